package image

import (
	"debug/elf"
	"fmt"
	"strings"
)

// triplets are Debian's names of architectures in paths of libraries.
var triplets = map[elf.Machine]string{elf.EM_X86_64: "x86_64-linux-gnu", elf.EM_AARCH64: "aarch64-linux-gnu"}

// libraries collects what the dynamic linker will load for a program, itself included: paths in the image, and where the
// files are now.
func (u *unpacked) libraries(path string, needed map[string]string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	triplet, ok := triplets[f.Machine]
	if !ok {
		return fmt.Errorf("read %s: the architecture %s is unknown", path, f.Machine)
	}
	if linker := interpreter(f); linker != "" {
		if _, ok := needed["usr/"+linker]; !ok {
			from, err := u.find(linker, "usr/"+linker)
			if err != nil {
				return err
			}
			needed["usr/"+linker] = from
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for _, name := range libraries {
		at := "usr/lib/" + triplet + "/" + name
		if _, ok := needed[at]; ok || strings.HasPrefix(name, "ld-linux") {
			continue
		}
		from, err := u.find("lib/"+triplet+"/"+name, at, "lib/"+name, "usr/lib/"+name)
		if err != nil {
			return err
		}
		needed[at] = from
		if err := u.libraries(from, needed); err != nil {
			return err
		}
	}
	return nil
}

// interpreter is the path of the dynamic linker without its first slash.
func interpreter(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 256 {
			continue
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return ""
		}
		return strings.TrimPrefix(strings.TrimRight(string(b), "\x00"), "/")
	}
	return ""
}
