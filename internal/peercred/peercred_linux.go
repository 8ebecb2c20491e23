package peercred

import "golang.org/x/sys/unix"

func ofFD(fd int) (Peer, error) {
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	return Peer{UID: u.Uid, GID: u.Gid, PID: u.Pid}, nil
}
