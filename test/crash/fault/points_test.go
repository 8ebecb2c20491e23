//go:build integration

package fault

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/test/harness"
)

var (
	hit    = regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)
	method = regexp.MustCompile(`\{frontend, "(vmhelper/[a-z-]+)"\}`)
	others = regexp.MustCompile(`failpoint\.Hit\(`)
)

// computed are the files that make names of points by themselves; edges knows them.
var computed = []string{"api-frontend/sandbox/failpoint.go", "vmhelper/service/authorise.go"}

// points tells every failpoint that the sources name.
func points(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, top := range []string{"api-frontend", "vmhelper", "guest", "arca", "internal"} {
		err := filepath.WalkDir(filepath.Join(harness.Root(), top), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(harness.Root(), path)
			if err != nil {
				return err
			}
			named := hit.FindAllStringSubmatch(string(b), -1)
			for _, m := range named {
				all = append(all, m[1])
			}
			for _, m := range method.FindAllStringSubmatch(string(b), -1) {
				all = append(all, m[1])
				if m[1] != "vmhelper/watch-sandboxes" {
					all = append(all, m[1]+"/answer")
				}
			}
			if len(others.FindAllString(string(b), -1)) > len(named) && !slices.Contains(computed, rel) {
				t.Errorf("%s makes the name of a failpoint: tell this test how", rel)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all = append(all, edges("frontend/vmhelper/", vmhelperv1.VMHelper_ServiceDesc)...)
	all = append(all, edges("frontend/agent/", guestv1.Agent_ServiceDesc)...)
	slices.Sort(all)
	return slices.Compact(all)
}

func edges(prefix string, service grpc.ServiceDesc) []string {
	var all []string
	for _, m := range service.Methods {
		all = append(all, prefix+m.MethodName, prefix+m.MethodName+"/answer")
	}
	for _, s := range service.Streams {
		all = append(all, prefix+s.StreamName)
	}
	return all
}
