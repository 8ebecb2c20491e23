// Package bootimage makes what a virtual machine boots: the kernel in the form that its loader wants, and an initramfs
// whose /init is the agent, with the modules of the kernel that a guest needs, in the order of their dependencies.
//
// The output depends on the input alone: entries are sorted, times are zero.
package bootimage
