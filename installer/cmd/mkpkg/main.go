// Command mkpkg writes a macOS package from a staging directory, on any system: see package flatpkg.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/arca-engine/arca/installer/flatpkg"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mkpkg:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	s := flatpkg.Spec{Component: "arca.pkg"}
	var out string
	var epoch int64
	flag.StringVar(&s.Root, "root", "", "staging directory, installed over /")
	flag.StringVar(&s.Scripts, "scripts", "", "directory of preinstall and postinstall")
	flag.StringVar(&s.Identifier, "identifier", "com.arca.engine", "identifier of the package")
	flag.StringVar(&s.Version, "version", "", "version of the package")
	flag.StringVar(&s.Title, "title", "Arca", "what the Installer shows")
	flag.StringVar(&s.Arch, "arch", "arm64", "processor of the Mac")
	flag.StringVar(&s.MinimumOS, "min-os", "14.0", "lowest macOS")
	flag.Int64Var(&epoch, "epoch", 0, "time of all files, in seconds since 1970")
	flag.StringVar(&out, "o", "", "file to write")
	flag.Parse()
	if s.Root == "" || s.Version == "" || out == "" {
		return errors.New("--root, --version and -o are needed")
	}
	s.BuildTime = time.Unix(epoch, 0)
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = errors.Join(flatpkg.Write(w, s), w.Flush(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(out))
	}
	return nil
}
