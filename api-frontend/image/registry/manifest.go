package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxManifest bounds a manifest or an index, as containerd does.
const maxManifest = 8 << 20

// Manifest is a verified manifest or index.
type Manifest struct {
	Descriptor ocispec.Descriptor
	Raw        []byte
}

// IsIndex says whether it lists manifests.
func (m Manifest) IsIndex() bool { return types.MediaType(m.Descriptor.MediaType).IsIndex() }

var accept = strings.Join([]string{
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.OCIImageIndex), "*/*",
}, ", ")

// Manifest fetches by tag or digest.
func (s *Session) Manifest(ctx context.Context, ref string) (Manifest, error) {
	resp, err := s.get(ctx, "/manifests/"+ref, accept, "")
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = resp.Body.Close() }() // Read only: nothing to lose.
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return Manifest{}, translate(s.named, s.ep, err)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return Manifest{}, translate(s.named, s.ep, err)
	}
	if len(raw) > maxManifest {
		return Manifest{}, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("manifest is larger than %d bytes", maxManifest))
	}
	d := digest.FromBytes(raw)
	if want, err := digest.Parse(ref); err == nil && d != want {
		return Manifest{}, errdefs.ErrDataLoss.WithMessage(fmt.Sprintf("manifest verification failed for digest %s", want))
	}
	media, err := CheckManifest(raw, resp.Header.Get("Content-Type"))
	if err != nil {
		return Manifest{}, err
	}
	return Manifest{Raw: raw, Descriptor: ocispec.Descriptor{MediaType: media, Digest: d, Size: int64(len(raw))}}, nil
}

// CheckManifest returns the media type of a manifest or an index, and refuses what says one thing in its header and
// another in its body, or has both manifests and layers (CVE-2021-41190).
func CheckManifest(raw []byte, contentType string) (string, error) {
	var probe struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		Manifests     json.RawMessage `json:"manifests"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if err := json.Unmarshal(raw, &probe); err != nil {
		return "", bad("manifest is not JSON: %v", err)
	}
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	if !known(media) {
		media = probe.MediaType
	}
	if media == "" && probe.SchemaVersion == 2 {
		if media = string(types.OCIManifestSchema1); len(probe.Manifests) > 0 {
			media = string(types.OCIImageIndex)
		}
	}
	t := types.MediaType(media)
	switch {
	case t == types.DockerManifestSchema1 || t == types.DockerManifestSchema1Signed || len(probe.FSLayers) > 0 || probe.SchemaVersion == 1:
		return "", errdefs.ErrNotImplemented.WithMessage("Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2.")
	case !known(media):
		return "", bad("unsupported manifest media type %q", media)
	case probe.MediaType != "" && probe.MediaType != media:
		return "", bad("mediaType in manifest should be '%s' not '%s'", media, probe.MediaType)
	case t.IsIndex() && (len(probe.Config) > 0 || len(probe.Layers) > 0):
		return "", bad("index has 'config' or 'layers' beside 'manifests': ambiguous manifest refused")
	case t.IsImage() && len(probe.Manifests) > 0:
		return "", bad("manifest has 'manifests' beside 'layers': ambiguous manifest refused")
	}
	return media, nil
}

func known(media string) bool {
	t := types.MediaType(media)
	return t.IsIndex() || t.IsImage()
}

func bad(format string, args ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
}
