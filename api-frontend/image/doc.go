// Package image holds the images of an instance: pulls, loads, lists, names, removes and resolves them.
//
// An image's ID is the digest of its configuration. Its layers exist twice: as the compressed blobs that a registry gave
// (kept, so that save and push give the original digests without compressing again, as Docker's containerd store does)
// and as read-only disks named by diffID, made in the same pass as the download.
//
// Invariants: metadata is in the database, one transaction per effect; a record never names a file that is not whole,
// verified and durable; files that no record names are swept; what a running pull or load has made is leased until its
// own transaction names it.
package image
