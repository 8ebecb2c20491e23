// Package debimage makes layers of images from Debian packages. No maintainer script runs and no root is needed: packages
// are read, not installed.
package debimage
