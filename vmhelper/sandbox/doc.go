// Package sandbox is what a driver of sandboxes must be: something that boots a guest agent with disks, uppers,
// volumes, shares and links, gives streams to it, and tells when it has ended. It is designed for virtual machines;
// namespaces fit into it.
//
// # The contract
//
// A sandbox is named by its ID; each boot of it has a boot ID of its own. At most one boot of an ID runs at a time.
//
//   - Create boots and MUST return only when the agent has said that it serves. When it fails, nothing of the attempt
//     is left. When the ID runs already it MUST return that sandbox and created=false, whoever else creates it at the
//     same moment; when the ID is just ending it waits for the end and boots.
//   - What the spec names is attached when Create returns; Attachments tells where the agent finds each thing. An
//     upper is made when it is absent; a volume and a disk MUST exist. A missing share is a directory made by the
//     owner when Create is set, else an error.
//   - AddDisks on a running sandbox returns the attachments of all that was named, those that were there included.
//     RemoveDisks of what is not attached succeeds. A driver without the feature returns ErrFailedPrecondition.
//   - Dial opens a stream to a port of the agent. It may be called from the moment that Create returned. The stream
//     belongs to its caller, and lives on when the driver's process dies where the descriptor was handed on.
//   - A link carries ethernet frames between the sandbox and whoever holds its descriptor; one datagram or one read
//     is one frame, with the header that LinkInfo tells of.
//   - AddLink on a running sandbox makes a link; making one that is there changes nothing. RemoveLink of an absent one
//     succeeds; callers MUST let go of the descriptors that Link gave them before, since a link is there as long as one
//     of them is open. Links tells what links there are. A driver without the feature returns ErrFailedPrecondition.
//   - Stop asks the agent to unmount and end where unwritten data would be lost otherwise, waits as long as grace says,
//     kills, and MUST return only when nothing is left: processes, mounts, groups, devices, descriptors. Stopping what has
//     ended succeeds.
//   - Done is closed when the sandbox has ended, by whatever cause, and nothing of it is left; then Reason is one
//     sentence. An agent never restarts: its end is the sandbox's end.
//   - Uppers and volumes outlive sandboxes. Removing one that a sandbox has is ErrFailedPrecondition; removing an
//     absent one succeeds.
//   - Close lets go of the driver without ending a sandbox, where sandboxes can outlive it.
//
// Every error is classified with errdefs. Callers never look at a driver's name: what differs is in Features.
// Package conformance holds the suite that every driver passes, the fake included.
package sandbox
