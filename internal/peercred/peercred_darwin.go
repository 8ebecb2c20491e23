package peercred

import "golang.org/x/sys/unix"

func ofFD(fd int) (Peer, error) {
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{UID: x.Uid, PID: int32(pid)}
	if x.Ngroups > 0 {
		p.GID = x.Groups[0]
	}
	return p, nil
}
