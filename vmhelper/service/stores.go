package service

import (
	"context"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// RemoveUpper deletes a writable layer.
func (s *Service) RemoveUpper(ctx context.Context, req *vmhelperv1.RemoveUpperRequest) (*vmhelperv1.RemoveUpperResponse, error) {
	if err := checkID("upper", req.GetId()); err != nil {
		return nil, err
	}
	return &vmhelperv1.RemoveUpperResponse{}, s.cfg.Driver.RemoveUpper(ctx, req.GetId())
}

// UsageUpper measures a writable layer.
func (s *Service) UsageUpper(ctx context.Context, req *vmhelperv1.UsageUpperRequest) (*vmhelperv1.UsageUpperResponse, error) {
	if err := checkID("upper", req.GetId()); err != nil {
		return nil, err
	}
	n, err := s.cfg.Driver.UsageUpper(ctx, req.GetId())
	return &vmhelperv1.UsageUpperResponse{Bytes: n}, err
}

// CreateVolume makes a volume.
func (s *Service) CreateVolume(ctx context.Context, req *vmhelperv1.CreateVolumeRequest) (*vmhelperv1.CreateVolumeResponse, error) {
	if err := checkVolume(req.GetId()); err != nil {
		return nil, err
	}
	return &vmhelperv1.CreateVolumeResponse{}, s.cfg.Driver.CreateVolume(ctx, req.GetId())
}

// RemoveVolume deletes a volume.
func (s *Service) RemoveVolume(ctx context.Context, req *vmhelperv1.RemoveVolumeRequest) (*vmhelperv1.RemoveVolumeResponse, error) {
	if err := checkVolume(req.GetId()); err != nil {
		return nil, err
	}
	return &vmhelperv1.RemoveVolumeResponse{}, s.cfg.Driver.RemoveVolume(ctx, req.GetId())
}

// UsageVolume measures a volume.
func (s *Service) UsageVolume(ctx context.Context, req *vmhelperv1.UsageVolumeRequest) (*vmhelperv1.UsageVolumeResponse, error) {
	if err := checkVolume(req.GetId()); err != nil {
		return nil, err
	}
	n, err := s.cfg.Driver.UsageVolume(ctx, req.GetId())
	return &vmhelperv1.UsageVolumeResponse{Bytes: n}, err
}

// ListStores lists the uppers and volumes on disk.
func (s *Service) ListStores(ctx context.Context, _ *vmhelperv1.ListStoresRequest) (*vmhelperv1.ListStoresResponse, error) {
	uppers, volumes, err := s.cfg.Driver.ListStores(ctx)
	return &vmhelperv1.ListStoresResponse{Uppers: uppers, Volumes: volumes}, err
}

// ReleaseDisk lets go of a disk.
func (s *Service) ReleaseDisk(ctx context.Context, req *vmhelperv1.ReleaseDiskRequest) (*vmhelperv1.ReleaseDiskResponse, error) {
	if err := checkID("disk", req.GetId()); err != nil {
		return nil, err
	}
	return &vmhelperv1.ReleaseDiskResponse{}, s.cfg.Driver.ReleaseDisk(ctx, req.GetId())
}
