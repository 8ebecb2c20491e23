package normal

import (
	"regexp"
	"strings"
)

// NameCharacters is how Docker describes a name; a name has at least two characters.
const NameCharacters = `[a-zA-Z0-9][a-zA-Z0-9_.-]`

var namePattern = regexp.MustCompile(`^` + NameCharacters + `+$`)

// CheckName validates the name of a container and takes a leading slash away.
func CheckName(name string) (string, error) {
	bare := strings.TrimPrefix(name, "/")
	if !namePattern.MatchString(bare) {
		return "", invalidf("Invalid container name (%s), only %s are allowed", name, NameCharacters)
	}
	return bare, nil
}

func checkVolumeName(name string) error {
	if len(name) == 1 {
		return invalidf("create %s: volume name is too short, names should be at least two alphanumeric characters", name)
	}
	if !namePattern.MatchString(name) {
		return invalidf("create %[1]s: %[1]q includes invalid characters for a local volume name, only %[2]q are allowed. If you intended to pass a host directory, use absolute path", name, NameCharacters)
	}
	return nil
}
