// Package engine is the small client of an instance's own API that the CLI needs: is it there, what runs, stop it.
package engine
