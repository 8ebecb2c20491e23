package image

import (
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/store"
)

// imageRecord is an image in the database, by ID.
type imageRecord struct {
	Manifest   ocispec.Descriptor   `json:"manifest"`
	Config     ocispec.Descriptor   `json:"config"`
	Layers     []ocispec.Descriptor `json:"layers"`
	DiffIDs    []digest.Digest      `json:"diffIds"`
	Parent     string               `json:"parent,omitempty"`
	LastTagged time.Time            `json:"lastTagged,omitzero"`
	Added      time.Time            `json:"added"`
}

// nameRecord is a name, by its canonical form "docker.io/library/x:tag" or "docker.io/library/x@sha256:...".
type nameRecord struct {
	Image string `json:"image"`
}

// layerRecord is a layer's disk, by diffID.
type layerRecord struct {
	Size  int64     `json:"size"`
	Added time.Time `json:"added"`
}

// blobRecord tells which disk a compressed layer gives, by the blob's digest.
type blobRecord struct {
	DiffID digest.Digest `json:"diffId"`
	Added  time.Time     `json:"added"`
}

var (
	images = store.Bucket[imageRecord]{Name: "images"}
	names  = store.Bucket[nameRecord]{Name: "image-names"}
	layers = store.Bucket[layerRecord]{Name: "layers"}
	blobs  = store.Bucket[blobRecord]{Name: "layer-blobs"}
)
