package doctor

import "github.com/arca-engine/arca/arca/instance"

// Checks are those of this platform.
func Checks(home instance.Home) []Check { return Common(home) }
