package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/arca-engine/arca/arca/process"
)

// State is what a supervisor tells of itself in its state file.
type State struct {
	Supervisor process.ID `json:"supervisor"`
	Daemon     process.ID `json:"daemon"`
	Started    time.Time  `json:"started"`
	Restarts   int        `json:"restarts"`
	LastEnd    string     `json:"last_end,omitempty"`
	// Stopping says that the daemon was asked to end; it is killed Grace later.
	Stopping bool          `json:"stopping,omitempty"`
	Grace    time.Duration `json:"grace,omitempty"`
}

// StateFile is where the supervisor of a job writes its state, lockFile what it holds locked.
func StateFile(run, job string) string { return filepath.Join(run, job+".pid") }
func lockFile(run, job string) string  { return filepath.Join(run, job+".lock") }

// Read tells the state of a job's supervisor; running is false when there is none (never started, ended, or killed).
func Read(run, job string) (s State, running bool, err error) {
	b, err := os.ReadFile(StateFile(run, job))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("state of %s: %w", job, err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, false, fmt.Errorf("state of %s: %s: %w", job, StateFile(run, job), err)
	}
	return s, s.Supervisor.Alive(), nil
}

// Write replaces the state file of a job.
func Write(run, job string, s State) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(run, "."+job+".pid.*")
	if err != nil {
		return fmt.Errorf("state of %s: %w", job, err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), StateFile(run, job))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("state of %s: %w", job, err), os.Remove(f.Name()))
	}
	return nil
}
