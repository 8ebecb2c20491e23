package keeper

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
)

const maxStored = 1 << 16

// Reserved begins the names of descriptors that the Backend stores: the worker may get them and nothing more.
const Reserved = "sandbox/"

// Store holds open descriptors by name.
type Store struct {
	mu    sync.Mutex
	files map[string]*os.File
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{files: map[string]*os.File{}} }

// Put takes over f. It replaces, and closes, what the name stood for.
func (s *Store) Put(name string, f *os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.files[name]
	if old == nil && len(s.files) >= maxStored {
		_ = f.Close()
		return fmt.Errorf("store descriptor %q: the store is full: %w", name, errdefs.ErrResourceExhausted)
	}
	s.files[name] = f
	if old != nil {
		return old.Close()
	}
	return nil
}

// Get returns the descriptor of a name. It stays the store's, open at least until Drop.
func (s *Store) Get(name string) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("no descriptor %q is stored: %w", name, errdefs.ErrNotFound)
}

// Drop closes what a name stands for, if anything.
func (s *Store) Drop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[name]
	delete(s.files, name)
	if f == nil {
		return nil
	}
	return f.Close()
}

// DropAll closes everything whose name begins with prefix.
func (s *Store) DropAll(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, f := range s.files {
		if strings.HasPrefix(name, prefix) {
			_ = f.Close()
			delete(s.files, name)
		}
	}
}

// Names returns at most most names after the given one, sorted.
func (s *Store) Names(after string, most int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.files {
		if name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), most)]
}
