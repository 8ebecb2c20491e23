package commit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/change"
)

// Containers is what a commit needs of the engine.
type Containers interface {
	RecordOf(ref string) (*record.Container, error)
	Pause(ctx context.Context, ref string) error
	Unpause(ctx context.Context, ref string) error
	Publish(id string, action events.Action, extra map[string]string)
}

// Layers opens what differs from a container's image.
type Layers interface {
	Layer(ctx context.Context, ref string) (io.ReadCloser, error)
}

// Images makes images.
type Images interface {
	Commit(ctx context.Context, o image.CommitOptions, layer io.Reader) (id string, err error)
}

// Options are those of POST /commit.
type Options struct {
	Ref             reference.Named
	Author, Comment string
	Changes         []string
	Pause           bool
	// Config overrides the container's configuration; nil for none.
	Config *change.Config
}

// Service makes images of containers.
type Service struct {
	containers Containers
	layers     Layers
	images     Images
}

// New makes a service.
func New(c Containers, l Layers, i Images) *Service { return &Service{c, l, i} }

// thawLimit bounds the end of the pause, which a client's leaving does not keep from happening.
const thawLimit = 10 * time.Second

// Commit makes an image of a container.
func (s *Service) Commit(ctx context.Context, ref string, o Options) (id string, err error) {
	rec, err := s.containers.RecordOf(ref)
	if err != nil {
		return "", err
	}
	switch rec.State.Status {
	case record.Dead:
		return "", conflict("You cannot commit container %s which is Dead", rec.ID)
	case record.Removing:
		return "", conflict("You cannot commit container %s which is being removed", rec.ID)
	}
	cfg, err := config(rec, o)
	if err != nil {
		return "", err
	}
	if o.Pause && s.containers.Pause(ctx, rec.ID) == nil { // One that does not run, or is paused already, changes nothing.
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), thawLimit)
			defer cancel()
			if uerr := s.containers.Unpause(ctx, rec.ID); uerr != nil && !errdefs.IsConflict(uerr) && !errdefs.IsNotFound(uerr) {
				err = errors.Join(err, uerr)
			}
		}()
	}
	layer, err := s.layers.Layer(ctx, rec.ID)
	if err != nil {
		return "", err
	}
	id, err = s.images.Commit(ctx, image.CommitOptions{
		Parent: rec.ImageID, Ref: o.Ref, Author: o.Author, Comment: o.Comment, Config: cfg,
		CreatedBy: strings.Join(append([]string{rec.Path}, rec.Args...), " "),
	}, layer)
	if err = errors.Join(err, layer.Close()); err != nil {
		return "", err
	}
	told := map[string]string{"comment": o.Comment, "imageID": id, "imageRef": ""}
	if o.Ref != nil {
		told["imageRef"] = reference.FamiliarString(o.Ref)
	}
	s.containers.Publish(rec.ID, events.ActionCommit, told)
	return id, nil
}

func conflict(format string, args ...any) error {
	return errdefs.ErrConflict.WithMessage(fmt.Sprintf(format, args...))
}

// config is what the image says: the request's configuration with the changes, and the container's where that is silent.
func config(rec *record.Container, o Options) (change.Config, error) {
	own, err := convert(rec.Config)
	if err != nil {
		return own, err
	}
	cfg := own
	if o.Config != nil {
		cfg = *o.Config
	}
	if err := change.Apply(&cfg, o.Changes); err != nil {
		return cfg, err
	}
	change.Fill(&cfg, &own)
	return cfg, nil
}

// convert leaves out what no image has: names, terminals, streams.
func convert(c *container.Config) (out change.Config, err error) {
	b, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return out, fmt.Errorf("convert configuration: %w", err)
	}
	return out, nil
}
