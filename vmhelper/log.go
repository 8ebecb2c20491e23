package main

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
)

func newLogger(role, level string) (hclog.Logger, error) {
	l := hclog.LevelFromString(level)
	if l == hclog.NoLevel {
		return nil, fmt.Errorf("log level %q is unknown", level)
	}
	return hclog.New(&hclog.LoggerOptions{Name: role, Level: l}), nil
}
