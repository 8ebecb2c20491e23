package image

import (
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is what others need to know of an image. It is a value: nobody changes it.
type Image struct {
	// ID is the configuration's digest, "sha256:...".
	ID string
	// Config is what containers are made from.
	Config dockerspec.DockerOCIImageConfig
	// RootFS lists the diffIDs, lowest layer first.
	RootFS []digest.Digest
	// Layers are the disks, lowest first.
	Layers []Layer
	// Size is the sum of the layers' uncompressed sizes.
	Size int64
	// Created is when the image was built.
	Created time.Time
	// Platform is what the image was built for.
	Platform ocispec.Platform
	// RepoTags and RepoDigests are its familiar names, sorted.
	RepoTags    []string
	RepoDigests []string
	// Comment and Author are its author's words.
	Comment, Author string
	// DockerVersion is what built it, if it says so.
	DockerVersion string
	// History tells how the layers were made, oldest first.
	History []ocispec.History
	// Parent is the image that this one was committed on; empty for a pulled one.
	Parent string
	// LastTagged is when a name was last given to it.
	LastTagged time.Time
	// Manifest describes the manifest that it came with.
	Manifest ocispec.Descriptor
}

// Layer is one layer's disk.
type Layer struct {
	DiffID digest.Digest
	// DiskID names the disk: 64 hex digits.
	DiskID string
	// Size is the uncompressed size that Docker reports.
	Size int64
	// Blob is the compressed layer in the store.
	Blob ocispec.Descriptor
}
