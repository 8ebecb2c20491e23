package privileged

import (
	"fmt"
	"path/filepath"

	"github.com/containerd/errdefs"
)

func invalid(format string, a ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, a...), errdefs.ErrInvalidArgument)
}

// checkID admits the 64 hexadecimal digits of a sandbox, disk or upper.
func checkID(what, id string) error {
	ok := len(id) == maxID
	for _, c := range []byte(id) {
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f')
	}
	if !ok {
		return invalid("the ID of a %s must be 64 lower-case hexadecimal digits, and is %q", what, id)
	}
	return nil
}

// checkName admits the name of a volume: a file name that is neither hidden nor special.
func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= maxName
	for i, c := range []byte(name) {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		ok = ok && (alnum || i > 0 && (c == '_' || c == '.' || c == '-'))
	}
	if !ok {
		return invalid("the ID of a volume is %q", name)
	}
	return nil
}

func checkTag(tag string) error {
	ok := len(tag) > 0 && len(tag) <= maxTag
	for _, c := range []byte(tag) {
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z')
	}
	if !ok {
		return invalid("the tag of a share must be 1 to 36 lower-case letters and digits, and is %q", tag)
	}
	return nil
}

func checkPath(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || len(path) > maxPath {
		return invalid("a path of the host must be absolute and clean, and is %q", path)
	}
	return nil
}

func checkLink(l Link) error {
	ok := len(l.Name) > 0 && len(l.Name) <= 15
	for _, c := range []byte(l.Name) {
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-')
	}
	switch {
	case !ok:
		return invalid("the name of a link must be 1 to 15 of a-z, 0-9 and -, and is %q", l.Name)
	case len(l.MAC) != 0 && (len(l.MAC) != 6 || l.MAC[0]&1 != 0):
		return invalid("the address of link %s is not that of one interface", l.Name)
	case l.MTU != 0 && (l.MTU < 68 || l.MTU > LinkMTU):
		return invalid("the MTU of link %s must be between 68 and %d", l.Name, LinkMTU)
	}
	return nil
}

// check validates what is to be attached, and that nothing is named twice.
func (t *Things) check() error {
	seen := map[[2]string]bool{}
	once := func(kind, id string, err error) error {
		if err == nil && seen[[2]string{kind, id}] {
			err = invalid("%s %q is named twice", kind, id)
		}
		seen[[2]string{kind, id}] = true
		return err
	}
	for _, id := range t.Disks {
		if err := once("disk", id, checkID("disk", id)); err != nil {
			return err
		}
	}
	for _, id := range t.Uppers {
		if err := once("upper", id, checkID("upper", id)); err != nil {
			return err
		}
	}
	for _, id := range t.Volumes {
		if err := once("volume", id, checkName(id)); err != nil {
			return err
		}
	}
	for _, s := range t.Shares {
		err := checkTag(s.Tag)
		if err == nil && s.Path != "" {
			err = checkPath(s.Path)
		}
		if err := once("share", s.Tag, err); err != nil {
			return err
		}
	}
	return nil
}

func (s *Start) check() error {
	if err := checkID("sandbox", s.ID); err != nil {
		return err
	}
	if s.BootID == "" {
		return invalid("a boot needs an ID")
	}
	if s.HostNetwork && len(s.Links) > 0 {
		return invalid("a sandbox in the host's network has no links")
	}
	if len(s.Links) > maxBootLinks {
		return invalid("a start brings at most %d links", maxBootLinks)
	}
	names := map[string]bool{}
	for _, l := range s.Links {
		if err := checkLink(l); err != nil {
			return err
		}
		if names[l.Name] {
			return invalid("link %q is named twice", l.Name)
		}
		names[l.Name] = true
	}
	return s.Things.check()
}
