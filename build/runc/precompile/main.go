// Command precompile compiles Docker's default seccomp profile for the capabilities of OCI specs, as runc would, and
// prints what comes of it in the form that package libseccomp embeds. The specs are golden files of the frontend, whose
// tests hold them to what it really asks for. A profile that is not met at run time costs time and nothing else.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	profile "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runc/libcontainer/seccomp"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

func main() {
	var all []libseccomp.Compiled
	libseccomp.Record = func(c libseccomp.Compiled) { all = append(all, c) }
	for _, path := range os.Args[1:] {
		if err := compile(path); err != nil {
			fmt.Fprintf(os.Stderr, "precompile %s: %v\n", path, err)
			os.Exit(1)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		fmt.Fprintln(os.Stderr, "precompile:", err)
		os.Exit(1)
	}
}

func compile(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var golden struct{ Spec specs.Spec }
	if err := json.Unmarshal(b, &golden); err != nil {
		return err
	}
	// The profile depends on the capabilities.
	rules, err := profile.GetDefaultProfile(&golden.Spec)
	if err != nil {
		return err
	}
	config, err := specconv.SetupSeccomp(rules)
	if err != nil {
		return err
	}
	if _, err := seccomp.InitSeccomp(config); !errors.Is(err, libseccomp.ErrRecorded) {
		return fmt.Errorf("it was not recorded: %w", err)
	}
	return nil
}
