package volume

import "regexp"

const (
	nameChars = `[a-zA-Z0-9][a-zA-Z0-9_.-]`
	maxName   = 255
)

var namePattern = regexp.MustCompile(`^` + nameChars + `+$`)

// CheckName refuses names that Docker's local driver refuses.
func CheckName(name string) error {
	switch {
	case len(name) == 1:
		return invalid("volume name is too short, names should be at least two alphanumeric characters")
	case len(name) > maxName:
		return invalid("volume name is too long, names should have at most %d characters", maxName)
	case !namePattern.MatchString(name):
		return invalid("%q includes invalid characters for a local volume name, only %q are allowed. If you intended to pass a host directory, use absolute path", name, nameChars)
	}
	return nil
}
