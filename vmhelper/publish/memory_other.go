//go:build !linux

package publish

import (
	"errors"
	"fmt"
	"os"
)

// memoryFile makes a file of b that has no name.
func memoryFile(name string, b []byte) (*os.File, error) {
	f, err := os.CreateTemp("", name)
	if err != nil {
		return nil, fmt.Errorf("make memory file: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("make memory file: %w", err)
	}
	return f, nil
}
