package bootimage

import (
	"io"
	"strings"
)

// Where things lie in the initramfs.
const (
	ModulesDir = "modules" // and the file "order" in it, a name a line.
	BinDir     = "arca/bin"
)

// Programs are what the initramfs brings along, static executables.
type Programs struct {
	Agent, Init, Runc []byte
}

// Initramfs writes the archive that the kernel unpacks into its first root.
func Initramfs(w io.Writer, p Programs, modules []Module) error {
	files := []File{
		{Path: "init", Mode: typeRegular | 0o755, Data: p.Agent},
		{Path: BinDir + "/runc", Mode: typeRegular | 0o755, Data: p.Runc},
		{Path: BinDir + "/arca-init", Mode: typeRegular | 0o755, Data: p.Init},
		// The kernel opens it before /init runs.
		{Path: "dev/console", Mode: typeCharacter | 0o600, Major: 5, Minor: 1},
	}
	for _, dir := range []string{"dev", "proc", "sys", "mnt", "tmp", "run"} {
		files = append(files, File{Path: dir, Mode: typeDirectory | 0o755})
	}
	var order strings.Builder
	for _, m := range modules {
		order.WriteString(m.Name + "\n")
		files = append(files, File{Path: ModulesDir + "/" + m.Name + ".ko", Mode: typeRegular | 0o600, Data: m.Data})
	}
	files = append(files, File{Path: ModulesDir + "/order", Mode: typeRegular | 0o600, Data: []byte(order.String())})
	return writeCPIO(w, files)
}
