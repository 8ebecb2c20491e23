// Package account finds and makes the system users and groups that the daemons run as.
//
//	arca            group: may use the API socket
//	arca            user:  the frontend, primary group arca-frontend, member of arca
//	arca-frontend   group: may enter vmhelper's socket directory
//	arca-vmhelper   user and group: vmhelper's worker
package account
