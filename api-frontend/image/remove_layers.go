package image

import (
	"github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"
)

// layers drops the records of layers that no other image has, and tells their chain IDs as Docker does: from the top.
func (r *removal) layers(rec imageRecord) error {
	used := map[digest.Digest]struct{}{}
	chains := map[digest.Digest]struct{}{}
	for _, o := range r.v.records {
		used[o.Config.Digest], used[o.Manifest.Digest] = struct{}{}, struct{}{}
		for _, l := range o.Layers {
			used[l.Digest] = struct{}{}
		}
		for i, chain := range chainIDs(o.DiffIDs) {
			used[o.DiffIDs[i]], chains[chain] = struct{}{}, struct{}{}
		}
	}
	all := chainIDs(rec.DiffIDs)
	for i := len(all) - 1; i >= 0; i-- {
		if _, ok := chains[all[i]]; !ok {
			r.rows = append(r.rows, image.DeleteResponse{Deleted: all[i].String()})
		}
	}
	for _, d := range []digest.Digest{rec.Config.Digest, rec.Manifest.Digest} {
		if _, ok := used[d]; !ok && d != "" {
			r.blobs = append(r.blobs, d)
		}
	}
	for _, l := range rec.Layers {
		if _, ok := used[l.Digest]; ok || r.s.leases.held(l.Digest) {
			continue
		}
		r.blobs = append(r.blobs, l.Digest)
		if err := blobs.Delete(r.tx, l.Digest.String()); err != nil {
			return err
		}
	}
	pinned := pinnedDisks(r.users)
	for _, d := range rec.DiffIDs {
		if _, ok := used[d]; ok || pinned[d.Encoded()] || r.s.leases.held(d) {
			continue
		}
		r.disks = append(r.disks, d)
		r.freed += r.v.sizes[d]
		delete(r.v.sizes, d)
		if err := layers.Delete(r.tx, d.String()); err != nil {
			return err
		}
	}
	return nil
}
