package image

import (
	"context"
	"time"

	"github.com/moby/moby/api/types/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Inspect tells all of an image, in the form of the newest API. What only older versions have, the route adds.
func (s *Service) Inspect(ctx context.Context, ref string, platform *ocispec.Platform) (image.InspectResponse, *Image, error) {
	img, err := s.Resolve(ctx, ref, platform)
	if err != nil {
		return image.InspectResponse{}, nil, err
	}
	resp := image.InspectResponse{
		ID: img.ID, RepoTags: img.RepoTags, RepoDigests: img.RepoDigests, Comment: img.Comment, Author: img.Author,
		Config: &img.Config, Architecture: img.Platform.Architecture, Variant: img.Platform.Variant, Os: img.Platform.OS,
		OsVersion: img.Platform.OSVersion, Size: img.Size,
		RootFS:   image.RootFS{Type: "layers"},
		Metadata: image.Metadata{LastTagTime: img.LastTagged},
	}
	if resp.RepoTags == nil {
		resp.RepoTags = []string{}
	}
	if resp.RepoDigests == nil {
		resp.RepoDigests = []string{}
	}
	if !img.Created.IsZero() {
		resp.Created = img.Created.Format(time.RFC3339Nano)
	}
	for _, d := range img.RootFS {
		resp.RootFS.Layers = append(resp.RootFS.Layers, d.String())
	}
	return resp, img, nil
}

// History tells how an image's layers were made, the youngest first.
func (s *Service) History(ctx context.Context, ref string, platform *ocispec.Platform) ([]image.HistoryResponseItem, error) {
	img, err := s.Resolve(ctx, ref, platform)
	if err != nil {
		return nil, err
	}
	out := make([]image.HistoryResponseItem, len(img.History))
	layer := 0
	for i, h := range img.History {
		item := image.HistoryResponseItem{ID: "<missing>", CreatedBy: h.CreatedBy, Comment: h.Comment}
		if h.Created != nil {
			item.Created = h.Created.Unix()
		}
		if !h.EmptyLayer && layer < len(img.Layers) {
			item.Size = img.Layers[layer].Size
			layer++
		}
		out[len(out)-1-i] = item
	}
	return out, s.nameHistory(out, img)
}

// nameHistory fills in the image and, where they are known, its parents.
func (s *Service) nameHistory(out []image.HistoryResponseItem, img *Image) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	id := img.ID
	for i := range out {
		if _, ok := v.records[id]; !ok {
			break
		}
		out[i].ID = id
		out[i].Tags, _ = v.split(id)
		id = v.records[id].Parent
	}
	return nil
}
