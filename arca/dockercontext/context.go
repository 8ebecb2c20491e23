package dockercontext

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

type endpoint struct {
	Host          string
	SkipTLSVerify bool
}

type metadata struct {
	Name      string
	Metadata  map[string]string
	Endpoints map[string]endpoint
}

// ConfigDir is the docker CLI's directory: DOCKER_CONFIG, else ~/.docker.
func ConfigDir() (string, error) {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("docker context: %w", err)
	}
	return filepath.Join(home, ".docker"), nil
}

func dir(config, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(config, "contexts", "meta", hex.EncodeToString(sum[:]))
}

// Write makes or updates the context called name.
func Write(config, name, host string) error {
	b, err := json.Marshal(metadata{
		Name:      name,
		Metadata:  map[string]string{"Description": "Arca"},
		Endpoints: map[string]endpoint{"docker": {Host: host}},
	})
	if err != nil {
		return err
	}
	d := dir(config, name)
	path := filepath.Join(d, "meta.json")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, b) {
		return nil
	}
	if err := os.MkdirAll(d, 0o755); err != nil {
		return fmt.Errorf("docker context %s: %w", name, err)
	}
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return fmt.Errorf("docker context %s: %w", name, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("docker context %s: %w", name, err)
	}
	return nil
}

// Host tells where the context called name points; empty when there is none.
func Host(config, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir(config, name), "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("docker context %s: %w", name, err)
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return "", fmt.Errorf("docker context %s: %w", name, err)
	}
	return m.Endpoints["docker"].Host, nil
}
