package fabric

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/store"
)

// Images makes the disks of the helper's image.
type Images interface {
	// Unpack makes the layer disks of the one image of an archive, without making it an image of the engine. The disks
	// stay until release at least.
	Unpack(ctx context.Context, r io.Reader) (img *image.Unpacked, release func(), err error)
	// HasDisks tells whether all of these disks are there.
	HasDisks(ids ...string) bool
}

// imageRecord is the helper's image in the database.
type imageRecord struct {
	Digest     string   `json:"digest"` // of the archive.
	Layers     []string `json:"layers"` // IDs of the layer disks, base layer first.
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	Env        []string `json:"env,omitempty"`
}

var helperImages = store.Bucket[*imageRecord]{Name: "helper"}

const imageKey = "image"

// loaded is the image that was loaded last; an empty one when none was.
func loaded(db *store.Store) (r *imageRecord, err error) {
	err = db.View(func(tx *store.Tx) error {
		r, err = helperImages.Get(tx, imageKey)
		return err
	})
	if errdefs.IsNotFound(err) {
		return &imageRecord{}, nil
	}
	return r, err
}

// loader loads the helper's image once for each content that its file has.
type loader struct {
	images Images
	store  *store.Store
	path   string
}

// load makes the disks of the image, unless they are there. Without a file the image that was loaded before is taken.
func (l *loader) load(ctx context.Context) (*imageRecord, error) {
	have, err := loaded(l.store)
	if err != nil {
		return nil, fmt.Errorf("read the record of the helper's image: %w", err)
	}
	there := have.Digest != "" && l.images.HasDisks(have.Layers...)
	if !fileExists(l.path) {
		if there {
			return have, nil
		}
		return nil, errNoImage
	}
	f, err := os.Open(l.path)
	if err != nil {
		return nil, fmt.Errorf("open the helper's image: %w", err)
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, fmt.Errorf("read the helper's image: %w", err)
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	if there && have.Digest == digest {
		return have, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the helper's image: %w", err)
	}
	img, release, err := l.images.Unpack(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("load the helper's image: %w", err)
	}
	defer release()
	r := &imageRecord{Digest: digest, Layers: img.Layers, Entrypoint: img.Config.Entrypoint, Cmd: img.Config.Cmd, Env: img.Config.Env}
	if len(r.Entrypoint)+len(r.Cmd) == 0 {
		return nil, fmt.Errorf("load the helper's image: it names no program: %w", errdefs.ErrInvalidArgument)
	}
	if err := l.store.Update(func(tx *store.Tx) error { return helperImages.Put(tx, imageKey, r) }); err != nil {
		return nil, fmt.Errorf("record the helper's image: %w", err)
	}
	return r, nil
}
