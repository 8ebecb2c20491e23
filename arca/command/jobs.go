package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// The jobs of an instance, in the order of their start; they stop in the opposite one.
const (
	jobVMHelper = "vmhelper"
	jobFrontend = "frontend"
)

var jobs = []string{jobVMHelper, jobFrontend}

// binary finds a program of ours: beside this executable, in ../libexec/arca, else in PATH.
func binary(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, "..", "libexec", "arca", name)} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return filepath.Clean(path), nil
		}
	}
	if path, err := exec.LookPath(name); err == nil && name != "runc" { // another runc may lack what ours has
		return path, nil
	}
	return "", fmt.Errorf("%s is not beside %s: build it with `make build`", name, self)
}

// checkBinaries fails in one sentence before anything is started.
func checkBinaries() error {
	names := []string{"arca-frontend", "arca-vmhelper"}
	if runtime.GOOS == "linux" {
		names = append(names, "arca-guest", "arca-init", "runc")
	}
	for _, name := range names {
		if _, err := binary(name); err != nil {
			return err
		}
	}
	return nil
}
