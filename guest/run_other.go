//go:build !linux

package main

import "errors"

func run() error { return errors.New("the agent runs on Linux alone") }
