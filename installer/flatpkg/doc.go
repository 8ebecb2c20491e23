// Package flatpkg writes macOS flat packages (.pkg, "product archives"): a xar archive of a Distribution, a Bom, a
// PackageInfo and a gzip-compressed cpio payload.
//
// On a Mac pkgbuild and productbuild are the norm; this writer lets Linux make, and CI check, the same package. The
// output depends on the input alone. What is not documented by Apple was learnt from what pkgbuild writes and is read
// back in tests by independent tools (bsdtar, 7z).
package flatpkg
