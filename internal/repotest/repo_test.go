package repotest

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/arca-engine/arca/"

// files tells what git tracks, as paths from the top of the repository, which becomes the working directory.
func files(t *testing.T) []string {
	t.Helper()
	t.Chdir("../..")
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Skipf("this is no git checkout: %v", err)
	}
	var list []string
	for f := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if info, err := os.Lstat(f); err == nil && info.Mode().IsRegular() {
			list = append(list, f)
		}
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPackageDoc: every package says in doc.go (a program: in doc.go or main.go) what it is, in a sentence.
func TestPackageDoc(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range files(t) {
		if filepath.Ext(f) != ".go" || strings.HasSuffix(f, "_test.go") || strings.Contains(f, "/testdata/") {
			continue
		}
		dir := filepath.Dir(f)
		if _, seen := documented[dir]; !seen {
			documented[dir] = false
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		if parsed.Doc == nil {
			continue
		}
		base := filepath.Base(f)
		generated := strings.Contains(parsed.Doc.Text(), "DO NOT EDIT")
		if base != "doc.go" && (base != "main.go" || parsed.Name.Name != "main") && !generated {
			t.Errorf("%s: the package's comment belongs into doc.go", f)
		}
		if !strings.Contains(parsed.Doc.Text(), ".") {
			t.Errorf("%s: the package's comment is no sentence", f)
		}
		documented[dir] = true
	}
	for dir, ok := range documented {
		if !ok && !strings.HasPrefix(dir, "proto/") { // generated code; its .proto file tells
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// TestComponentsKeepApart: a component imports proto and internal, never another component.
func TestComponentsKeepApart(t *testing.T) {
	components := []string{"arca", "api-frontend", "vmhelper", "guest", "helpervm"}
	for _, f := range files(t) {
		if filepath.Ext(f) != ".go" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		own, _, _ := strings.Cut(f, "/")
		for _, spec := range parsed.Imports {
			rest, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
			if !ours {
				continue
			}
			other, _, _ := strings.Cut(rest, "/")
			switch {
			case slices.Contains(components, own) && other != own && other != "proto" && other != "internal":
				t.Errorf("%s: %s imports %s; a component may import proto and internal alone", f, own, rest)
			case (own == "proto" || own == "internal") && slices.Contains(components, other):
				t.Errorf("%s: %s imports the component %s", f, own, rest)
			case own != "test" && own != "bench" && (other == "test" || other == "bench"):
				t.Errorf("%s: the product imports %s", f, rest)
			}
		}
	}
}

// machinePaths are places that exist on one developer's machine alone.
var machinePaths = regexp.MustCompile(`(/(home|Users)/[a-z]+/|/(work)/[a-z]+\b|/root/(go|\.[a-z]+)/)`)

// TestNoMachinePaths: nothing in the repository names the machine that it was written on.
func TestNoMachinePaths(t *testing.T) {
	for _, f := range files(t) {
		if strings.HasSuffix(f, ".sum") || strings.HasPrefix(f, "internal/repotest/") {
			continue
		}
		text := read(t, f)
		if strings.ContainsRune(text, 0) {
			if !strings.Contains(f, "testdata/") && !strings.HasSuffix(f, ".gz") {
				t.Errorf("%s is a binary", f)
			}
			continue
		}
		for _, hit := range machinePaths.FindAllString(text, 3) {
			t.Errorf("%s names %s", f, hit)
		}
	}
}

// TestLicense: the repository is Apache-2.0.
func TestLicense(t *testing.T) {
	files(t)
	license := read(t, "LICENSE")
	for _, part := range []string{"Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"} {
		if !strings.Contains(license, part) {
			t.Errorf("LICENSE lacks %q", part)
		}
	}
	if !strings.Contains(read(t, "NOTICE"), "Apache License, Version 2.0") {
		t.Error("NOTICE does not name the license")
	}
}

// TestScriptsFail: a script stops at its first error.
func TestScriptsFail(t *testing.T) {
	for _, f := range files(t) {
		if (filepath.Ext(f) == ".sh" && strings.HasPrefix(f, "build/")) || f == ".ci/run" {
			if !strings.Contains(read(t, f), "set -euo pipefail") {
				t.Errorf("%s lacks set -euo pipefail", f)
			}
			if info, err := os.Stat(f); err == nil && info.Mode()&0o111 == 0 {
				t.Errorf("%s is not executable", f)
			}
		}
	}
}
