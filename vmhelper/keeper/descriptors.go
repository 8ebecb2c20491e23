package keeper

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

// Descriptors is the worker's view of the Store.
type Descriptors struct{ Client *wire.Client }

// Put stores a copy of f by a name.
func (d Descriptors) Put(ctx context.Context, name string, f *os.File) error {
	_, err := d.Client.Call(ctx, OpPut, &Name{name}, nil, f)
	return err
}

// Get returns a copy of what a name stands for.
func (d Descriptors) Get(ctx context.Context, name string) (*os.File, error) {
	f, err := d.Client.Call(ctx, OpGet, &Name{name}, nil)
	if err == nil && f == nil {
		err = fmt.Errorf("get descriptor %q: the keeper gave none: %w", name, errdefs.ErrInternal)
	}
	return f, err
}

// Drop forgets a name.
func (d Descriptors) Drop(ctx context.Context, name string) error {
	_, err := d.Client.Call(ctx, OpDrop, &Name{name}, nil)
	return err
}

// Names lists the stored names that come after one, and says nothing at the end.
func (d Descriptors) Names(ctx context.Context, after string) ([]string, error) {
	var n Names
	if _, err := d.Client.Call(ctx, OpNames, &Name{after}, &n); err != nil {
		return nil, err
	}
	return n.Names, nil
}
