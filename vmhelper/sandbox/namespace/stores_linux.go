package namespace

import (
	"context"

	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/privileged"
)

// RemoveUpper deletes a writable layer.
func (d *Driver) RemoveUpper(ctx context.Context, id string) error {
	return d.call(ctx, privileged.OpRemoveStore, &privileged.Store{ID: id}, nil)
}

// UsageUpper measures a writable layer.
func (d *Driver) UsageUpper(ctx context.Context, id string) (uint64, error) {
	var n privileged.Number
	err := d.call(ctx, privileged.OpUsageStore, &privileged.Store{ID: id}, &n)
	return n.N, err
}

// CreateVolume makes a volume.
func (d *Driver) CreateVolume(ctx context.Context, id string) error {
	return d.call(ctx, privileged.OpCreateVolume, &privileged.After{ID: id}, nil)
}

// RemoveVolume deletes a volume.
func (d *Driver) RemoveVolume(ctx context.Context, id string) error {
	return d.call(ctx, privileged.OpRemoveStore, &privileged.Store{Volume: true, ID: id}, nil)
}

// UsageVolume measures a volume.
func (d *Driver) UsageVolume(ctx context.Context, id string) (uint64, error) {
	var n privileged.Number
	err := d.call(ctx, privileged.OpUsageStore, &privileged.Store{Volume: true, ID: id}, &n)
	return n.N, err
}

// ListStores lists the uppers and volumes on disk.
func (d *Driver) ListStores(ctx context.Context) (uppers, volumes []string, err error) {
	for _, l := range []struct {
		volume bool
		to     *[]string
	}{{false, &uppers}, {true, &volumes}} {
		for after := ""; ; {
			var ids privileged.IDs
			if err := d.call(ctx, privileged.OpListStores, &privileged.Store{Volume: l.volume, ID: after}, &ids); err != nil {
				return nil, nil, err
			}
			if len(ids.IDs) == 0 {
				break
			}
			*l.to = append(*l.to, ids.IDs...)
			after = ids.IDs[len(ids.IDs)-1]
		}
	}
	return uppers, volumes, nil
}

// ReleaseDisk lets go of a disk.
func (d *Driver) ReleaseDisk(ctx context.Context, id string) error {
	return d.call(ctx, privileged.OpReleaseDisk, &privileged.After{ID: id}, nil)
}
