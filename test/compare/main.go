package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/arca-engine/arca/test/harness"
	"github.com/arca-engine/arca/test/peer"
)

func main() {
	only := flag.String("only", "", "run only the lines that hold this text (and those they stand on are up to you)")
	fixtures := flag.String("fixtures", "", "the built command fixtures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	differ, err := run(ctx, *only, *fixtures)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
	if differ > 0 {
		os.Exit(3)
	}
}

func run(ctx context.Context, only, fixtures string) (differ int, err error) {
	arca, err := harness.Start(ctx, harness.Options{Images: []string{"busybox"}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, arca.Stop(context.WithoutCancel(ctx))) }()
	dockerd, err := peer.Start(ctx, harness.Cache(), fixtures)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dockerd.Stop()) }()
	same := 0
	for _, line := range lines {
		if !strings.Contains(line, only) {
			continue
		}
		want, got := answer(ctx, dockerd.Socket(), line), answer(ctx, arca.Socket(), line)
		if want == got {
			same++
			continue
		}
		differ++
		if _, err := fmt.Fprintf(os.Stdout, "== %s\n%s\n", line, difference(want, got)); err != nil {
			return differ, err
		}
	}
	_, err = fmt.Fprintf(os.Stdout, "%d command lines, %d the same, %d differ\n", same+differ, same, differ)
	return differ, err
}

// answer is the exit code, stdout and stderr of a line, with what must differ replaced.
func answer(ctx context.Context, socket, line string) string {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix://" + socket, "HOME=" + filepath.Dir(socket), "DOCKER_CLI_HINTS=false"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return err.Error()
	}
	return fmt.Sprintf("exit %d\n%s%s", cmd.ProcessState.ExitCode(), kinds(stdout.String(), "| "), kinds(stderr.String(), "! "))
}

var replacements = []struct {
	expr *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:DIGEST"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "ID64"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "ID12"},
	{regexp.MustCompile(`(About |Less than )?(an?|\d+) (second|minute|hour|day|week|month|year)s?`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "DATE"},
	{regexp.MustCompile(`/var/tmp/(arca|dockerd)-[^ "]*`), "/PATH"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`\r`), ""},
}

func kinds(s, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		for _, r := range replacements {
			line = r.expr.ReplaceAllString(line, r.with)
		}
		b.WriteString(prefix + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

// difference shows the lines that only one of them has.
func difference(want, got string) string {
	count := map[string]int{}
	for line := range strings.Lines(want) {
		count[line]++
	}
	var b strings.Builder
	for line := range strings.Lines(got) {
		if count[line] > 0 {
			count[line]--
			continue
		}
		b.WriteString("  arca    " + line)
	}
	for line := range strings.Lines(want) {
		if count[line] > 0 {
			count[line]--
			b.WriteString("  dockerd " + line)
		}
	}
	return b.String()
}
