package system

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/arca-engine/arca/internal/atomicfile"
	"github.com/google/uuid"
)

// LoadID reads the engine's ID, and makes one the first time.
func LoadID(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		if id, err := uuid.Parse(strings.TrimSpace(string(text))); err == nil {
			return id.String(), nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read engine ID: %w", err)
	}
	id := uuid.NewString()
	if err := atomicfile.Write(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write engine ID: %w", err)
	}
	return id, nil
}
