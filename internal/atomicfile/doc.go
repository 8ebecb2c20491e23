// Package atomicfile replaces files so that a crash at any moment leaves the old content or the new, never a part.
package atomicfile
