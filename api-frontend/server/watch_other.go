//go:build !linux && !darwin

package server

// watcher does nothing here: the product's systems are Linux and macOS.
type watcher struct{}

func newWatcher() (*watcher, error) { return &watcher{}, nil }

func (*watcher) add(*peerConn)    {}
func (*watcher) remove(*peerConn) {}
func (*watcher) close()           {}
