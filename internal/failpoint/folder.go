package failpoint

import (
	"os"
	"path/filepath"
	"strings"
)

// folderPrefix begins a value of [Env] that names a folder.
const folderPrefix = "dir:"

// firedSuffix ends the name of the file that tells that a point has acted.
const firedSuffix = ".fired"

// FileName is the name of the file that arms a point in a folder.
func FileName(point string) string { return strings.ReplaceAll(point, "/", "_") }

// find tells what a point is armed with. What a folder arms belongs to the process that takes its file away.
func (p *plan) find(name string) *point {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.folder == "" {
		return p.points[name]
	}
	if action, ok := p.take(name); ok {
		if found, err := parse(action); err == nil { // With a mistake the test finds that its point never fired.
			p.points[name] = found
		}
	}
	return p.points[name]
}

// take takes the file of a point away; one process alone succeeds.
func (p *plan) take(name string) (action string, ok bool) {
	path := filepath.Join(p.folder, FileName(name))
	b, err := os.ReadFile(path)
	if err != nil || os.Remove(path) != nil {
		return "", false
	}
	return strings.TrimSpace(string(b)), true
}

// note leaves word that a point acts.
func (p *plan) note(name string) {
	if p.folder == "" {
		return
	}
	if f, err := os.Create(filepath.Join(p.folder, FileName(name)+firedSuffix)); err == nil {
		_ = f.Close()
	}
}

// Inherit is the value of [Env] for a child that cannot see this process's files, as an agent cannot: what is armed
// below the prefix passes to it.
func Inherit(prefix string) string {
	value := os.Getenv(Env)
	plan := armed.Load()
	if plan == nil || plan.folder == "" {
		return value
	}
	entries, err := os.ReadDir(plan.folder)
	if err != nil {
		return ""
	}
	var terms []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, firedSuffix) || !strings.HasPrefix(name, FileName(prefix)) {
			continue
		}
		if action, ok := plan.take(name); ok {
			terms = append(terms, prefix+strings.TrimPrefix(name, FileName(prefix))+"="+action)
		}
	}
	return strings.Join(terms, ";")
}
