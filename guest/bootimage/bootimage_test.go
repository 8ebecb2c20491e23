package bootimage

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// moduleFile is the least ELF file that says of itself what it needs.
func moduleFile(info string) []byte {
	const header, section = 64, 64
	names := "\x00.modinfo\x00.shstrtab\x00"
	b := make([]byte, header)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 1)  // relocatable.
	le.PutUint16(b[18:], 62) // x86-64.
	le.PutUint32(b[20:], 1)
	at := uint64(header + len(info) + len(names))
	le.PutUint64(b[40:], at)
	le.PutUint16(b[52:], header)
	le.PutUint16(b[58:], section)
	le.PutUint16(b[60:], 3)
	le.PutUint16(b[62:], 2)
	b = append(append(b, info...), names...)
	add := func(name, kind uint32, offset, size uint64) {
		s := make([]byte, section)
		le.PutUint32(s, name)
		le.PutUint32(s[4:], kind)
		le.PutUint64(s[24:], offset)
		le.PutUint64(s[32:], size)
		b = append(b, s...)
	}
	add(0, 0, 0, 0)
	add(1, 1, header, uint64(len(info)))
	add(10, 3, uint64(header+len(info)), uint64(len(names)))
	return b
}

func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestModules(t *testing.T) {
	dir := fstest.MapFS{
		"modules.builtin":            {Data: []byte("kernel/fs/ext4/ext4.ko\n")},
		"kernel/drivers/disk-a.ko":   {Data: moduleFile("license=GPL\x00depends=bus-b,core\x00")},
		"kernel/drivers/bus_b.ko.gz": {Data: packed(t, moduleFile("depends=core\x00"))},
		"kernel/core.ko":             {Data: moduleFile("depends=\x00")},
		"kernel/orphan.ko":           {Data: moduleFile("depends=nowhere\x00")},
		"kernel/text.ko":             {Data: []byte("no module")},
	}
	for _, tc := range []struct{ wanted, names, err string }{
		{"disk_a ext4 gone?", "core bus_b disk_a", ""},
		{"bus_b core", "core bus_b", ""},
		{"gone", "", "gone"},
		{"orphan", "", "orphan needs module nowhere"},
		{"text", "", "text"},
	} {
		modules, err := Modules(dir, strings.Fields(tc.wanted))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v", tc.wanted, err)
			}
			continue
		}
		var names []string
		for _, m := range modules {
			names = append(names, m.Name)
		}
		if err != nil || strings.Join(names, " ") != tc.names {
			t.Errorf("%s: %v, %v", tc.wanted, names, err)
		}
	}
	if _, err := Modules(dir, []string{"gone"}); !errors.Is(err, errNoModule) {
		t.Errorf("%v", err)
	}
}

// bzImage is the least file that has a payload where a boot loader looks for it.
func bzImage(payload []byte, size uint32) []byte {
	b := make([]byte, 1024)
	b[0x1f1] = 1
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(payload)+4))
	return binary.LittleEndian.AppendUint32(append(b, payload...), size)
}

func TestKernel(t *testing.T) {
	elf := []byte("\x7fELF and the rest")
	arm := make([]byte, 64)
	copy(arm[56:], "ARM\x64")
	for _, tc := range []struct {
		name, arch string
		image      []byte
		want, err  string
	}{
		{"bzImage", "amd64", bzImage(packed(t, elf), uint32(len(elf))), string(elf), ""},
		{"another size than it says", "amd64", bzImage(packed(t, elf), 3), "", "bytes, want 3"},
		{"no ELF file", "amd64", bzImage(packed(t, []byte("text")), 4), "", "no ELF"},
		{"unknown compression", "amd64", bzImage([]byte("????????"), 4), "", "unknown way"},
		{"no bzImage", "amd64", arm, "", "no bzImage"},
		{"Image", "arm64", arm, string(arm), ""},
		{"no Image", "arm64", elf, "", "no uncompressed Image"},
		{"another processor", "riscv64", elf, "", "no guest"},
	} {
		got, err := Kernel(tc.arch, tc.image)
		if string(got) != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %d bytes, %v", tc.name, len(got), err)
		}
	}
}

func FuzzKernel(f *testing.F) {
	f.Add(bzImage([]byte{0x1f, 0x8b, 8, 0}, 4))
	f.Fuzz(func(t *testing.T, image []byte) { _, _ = Kernel("amd64", image) })
}

func FuzzModule(f *testing.F) {
	f.Add(moduleFile("depends=a,b\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = dependencies(data) })
}

// TestInitramfs has an independent tool unpack it.
func TestInitramfs(t *testing.T) {
	var b bytes.Buffer
	programs := Programs{Agent: []byte("agent"), Init: []byte("init"), Runc: []byte("runc.")}
	if err := Initramfs(&b, programs, []Module{{"core", []byte("c")}, {"disk", []byte("dd")}}); err != nil {
		t.Fatal(err)
	}
	tar, err := exec.LookPath("bsdtar")
	if err != nil {
		t.Skip("bsdtar is not installed")
	}
	cmd := exec.CommandContext(t.Context(), tar, "-tf", "-")
	cmd.Stdin = bytes.NewReader(b.Bytes())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(out))
	for _, want := range []string{"init", "arca/bin/runc", "arca/bin/arca-init", "dev/console", "modules/order", "modules/disk.ko", "proc", "mnt"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %v", want, names)
		}
	}
	if slices.Index(names, "arca") > slices.Index(names, "arca/bin") || slices.Index(names, "arca/bin") > slices.Index(names, "arca/bin/runc") {
		t.Errorf("a directory comes after its files: %v", names)
	}
	dir := t.TempDir()
	cmd = exec.CommandContext(t.Context(), tar, "-C", dir, "-xf", "-", "init", "arca/bin/runc", "modules/order")
	cmd.Stdin = bytes.NewReader(b.Bytes())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string]string{"init": "agent", "arca/bin/runc": "runc.", "modules/order": "core\ndisk\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestNothingTwice(t *testing.T) {
	var b bytes.Buffer
	if err := writeCPIO(&b, []File{{Path: "a", Mode: typeRegular}, {Path: "a", Mode: typeRegular}}); err == nil {
		t.Error("the same path twice was taken")
	}
}
