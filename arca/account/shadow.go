package account

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Shadow makes accounts with groupadd and useradd; the caller must be root. It tells each on Out.
type Shadow struct{ Out io.Writer }

// Group makes a system group.
func (s Shadow) Group(ctx context.Context, name string) error {
	_, _ = fmt.Fprintf(s.Out, "Making the system group %s.\n", name)
	return run(ctx, "groupadd", "--system", name)
}

// User makes a system user without a home and without a shell.
func (s Shadow) User(ctx context.Context, name, group string, groups []string) error {
	_, _ = fmt.Fprintf(s.Out, "Making the system user %s.\n", name)
	args := []string{"--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "--gid", group}
	if len(groups) > 0 {
		args = append(args, "--groups", strings.Join(groups, ","))
	}
	return run(ctx, "useradd", append(args, name)...)
}

func run(ctx context.Context, tool string, args ...string) error {
	path, err := exec.LookPath(tool)
	if err != nil {
		path = "/usr/sbin/" + tool
		if _, statErr := os.Stat(path); statErr != nil {
			return fmt.Errorf("%s is missing: install the package passwd, or make the account %s by other means", tool, args[len(args)-1])
		}
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", tool, args[len(args)-1], err, strings.TrimSpace(string(out)))
	}
	return nil
}
