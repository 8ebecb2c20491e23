// Command mkboot makes the kernel and the initramfs of a guest from an unpacked kernel package and our programs.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/arca-engine/arca/guest/bootimage"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mkboot:", err)
		os.Exit(1)
	}
}

func run() error {
	var root, arch, bin, out string
	flag.StringVar(&root, "kernel", "", "directory of the unpacked kernel package")
	flag.StringVar(&arch, "arch", "", "amd64 or arm64")
	flag.StringVar(&bin, "bin", "", "directory of arca-guest, arca-init and runc")
	flag.StringVar(&out, "o", "", "directory for the files kernel and initramfs")
	flag.Parse()
	if root == "" || arch == "" || bin == "" || out == "" {
		return errors.New("--kernel, --arch, --bin and -o are needed")
	}
	image, err := only(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return err
	}
	modules, err := only(filepath.Join(root, "lib", "modules", "*"))
	if err != nil {
		if modules, err = only(filepath.Join(root, "usr", "lib", "modules", "*")); err != nil {
			return err
		}
	}
	packed, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	kernel, err := bootimage.Kernel(arch, packed)
	if err != nil {
		return fmt.Errorf("%s: %w", image, err)
	}
	list, err := bootimage.Modules(os.DirFS(modules), bootimage.Wanted)
	if err != nil {
		return fmt.Errorf("%s: %w", modules, err)
	}
	var p bootimage.Programs
	for name, data := range map[string]*[]byte{"arca-guest": &p.Agent, "arca-init": &p.Init, "runc": &p.Runc} {
		if *data, err = os.ReadFile(filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "kernel"), kernel, 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(out, "initramfs"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(bootimage.Initramfs(w, p, list), w.Flush(), f.Close())
}

// only finds the one file of a pattern.
func only(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d files are called %s", len(found), pattern)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
