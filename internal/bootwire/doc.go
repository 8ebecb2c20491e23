// Package bootwire is what vmhelper and the guest agent of a namespace sandbox say to each other over the inherited
// boot socket.
//
// The agent is started with ARCA_GUEST=namespace in its environment, the boot socket (SOCK_SEQPACKET) as descriptor 3
// and the listener of its control channel (a unix stream socket, already listening) as descriptor 4. The first request
// is a boot: the spec and everything that is attached from the beginning. The agent answers it once, when it serves its
// listener or when it cannot. Later requests add and remove attachments of the running sandbox; each is answered once,
// in any order, by its sequence number. When the agent cannot boot it answers with the reason and exits.
//
// An attachment with a file carries a detached mount (open_tree(OPEN_TREE_CLONE)): the agent places it with move_mount
// at the path that follows "dir:" or "file:" in its ref, making the mount point first. A disk carries no file: its ref
// is "block:/dev/loopN" with the device's numbers, and the agent mounts that device read-only in its own mount
// namespace. Tools ("runc", "init") are mounts of single files.
//
// Each connection to the listener begins with the port that is dialled, four bytes, big-endian; the agent reads the
// peer's credentials from the kernel and accepts only the uids of the spec.
//
// Invariants: what the host says is trusted by the agent, what the agent says is hostile to the host; every length and
// count is bounded before memory is taken; a request that does not fit in one packet is split by the sender and joined
// by the receiver; descriptors that came with a refused packet are closed.
package bootwire
