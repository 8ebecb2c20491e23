// Package content keeps immutable files by digest: blobs as a registry has them, and the disks made from layers.
//
// Invariants: a file under blobs/ or disks/ is whole, verified and durable, because it is renamed there after its digest
// was checked and it was synced; what is under way lives in partial/ and temp/ alone; temp/ is emptied at start; a partial
// blob is never believed: its bytes are digested again when a download continues.
package content
