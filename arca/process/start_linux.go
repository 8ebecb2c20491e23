package process

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// startTime reads field 22 of /proc/PID/stat, counted after the last parenthesis because a name may hold anything.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return "", fmt.Errorf("process %d: stat has no name", pid)
	}
	fields := strings.Fields(string(b[i+1:]))
	const state, start = 0, 19
	if len(fields) <= start {
		return "", fmt.Errorf("process %d: stat has %d fields", pid, len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	return fields[start], nil
}
