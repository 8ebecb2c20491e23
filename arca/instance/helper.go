package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// HelperState is what the frontend tells of the networks' helper.
type HelperState struct {
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Starts  int       `json:"starts"`
	Problem string    `json:"problem"`
}

// maxHelperState bounds what is read.
const maxHelperState = 64 << 10

// ReadHelper reads what the frontend told last of the helper; nil: nothing yet.
func (h Home) ReadHelper() (*HelperState, error) {
	f, err := os.Open(h.Helper())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of the helper: %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxHelperState))
	if err != nil {
		return nil, fmt.Errorf("read the state of the helper: %w", err)
	}
	s := &HelperState{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("read the state of the helper: %w", err)
	}
	return s, nil
}
