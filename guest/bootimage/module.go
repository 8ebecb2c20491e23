package bootimage

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Wanted are the modules that a guest needs beside what is built in, by name with underscores. Which of them a kernel has built in differs;
// one that it has neither way is an error, except where a name ends with "?".
var Wanted = []string{
	"virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "virtio_console?", "virtio_rng",
	"vmw_vsock_virtio_transport", "virtiofs",
	"ext4", "overlay", "8021q", "tun", "veth",
	"nf_tables", "nft_chain_nat?", "nft_nat", "nft_redir", "nft_masq", "nft_ct", "nft_reject_inet", "nf_conntrack",
	"usb_storage?", "uas?", "sd_mod?", "xhci_pci?", "openvswitch?",
}

// Module is a kernel module, uncompressed.
type Module struct {
	Name string // with underscores.
	Data []byte
}

// Modules reads the wanted modules, and those that they need, from the directory of a kernel (lib/modules/VERSION), each
// after those it needs.
func Modules(dir fs.FS, wanted []string) ([]Module, error) {
	l := loader{dir: dir, paths: map[string]string{}, builtin: map[string]bool{}, done: map[string]bool{}}
	if err := l.index(); err != nil {
		return nil, err
	}
	for _, name := range wanted {
		name, optional := strings.CutSuffix(name, "?")
		err := l.load(name, 0)
		if optional && errors.Is(err, errNoModule) {
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return l.modules, nil
}

var errNoModule = errors.New("the kernel does not have it")

type loader struct {
	dir     fs.FS
	paths   map[string]string // by name.
	builtin map[string]bool
	done    map[string]bool
	modules []Module
}

func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func (l *loader) index() error {
	b, err := fs.ReadFile(l.dir, "modules.builtin")
	if err != nil {
		return fmt.Errorf("read the list of built-in modules: %w", err)
	}
	for _, line := range strings.Fields(string(b)) {
		l.builtin[moduleName(line)] = true
	}
	return fs.WalkDir(l.dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path.Base(name), ".ko") {
			l.paths[moduleName(name)] = name
		}
		return err
	})
}

// maxDepth bounds chains of dependencies.
const maxDepth = 32

func (l *loader) load(name string, depth int) error {
	if l.done[name] || l.builtin[name] {
		return nil
	}
	file, ok := l.paths[name]
	if !ok || depth > maxDepth {
		return fmt.Errorf("module %s: %w", name, errNoModule)
	}
	data, err := fs.ReadFile(l.dir, file)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(file, ".ko") {
		if data, err = unpack(data, 0); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	needs, err := dependencies(data)
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	l.done[name] = true
	for _, n := range needs {
		if err := l.load(n, depth+1); err != nil {
			return fmt.Errorf("module %s needs %w", name, err)
		}
	}
	l.modules = append(l.modules, Module{Name: name, Data: data})
	return nil
}

// dependencies reads what a module says of itself: the strings "depends=a,b" and "softdep=pre: a b" of .modinfo.
func dependencies(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("it says nothing of itself")
	}
	b, err := section.Data()
	if err != nil {
		return nil, err
	}
	var needs []string
	for line := range strings.SplitSeq(string(b), "\x00") {
		if list, ok := strings.CutPrefix(line, "depends="); ok && list != "" {
			needs = append(needs, strings.Split(list, ",")...)
		}
	}
	for i, n := range needs {
		needs[i] = strings.ReplaceAll(n, "-", "_")
	}
	slices.Sort(needs)
	return slices.Compact(needs), nil
}
