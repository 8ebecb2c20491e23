// Package version holds the version of this build, the same in every binary.
package version
