// Package image makes the helper's image: the daemons of OVS and OVN from Debian's packages, the libraries that they need
// and nothing else, and the program arca-network. helpervm/image/Dockerfile makes the same with Docker.
//
// The container that is made of it needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE and CAP_IPC_LOCK, a writable
// /proc/sys, /dev/net/tun, and a tmpfs at /run. It has no shell.
package image
