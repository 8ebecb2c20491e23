package container

import "sync"

// loans counts the operations that use the sandbox of a run. The sandbox stays until the last of them is over, so a copy
// outlives its container; once the run lets go of it nobody else gets it.
type loans struct {
	mu     sync.Mutex
	out    int
	called bool
	back   chan struct{} // made by recall, closed when none is out.
}

// take is false when the run is letting go of its sandbox. Each one that was taken is given back once.
func (l *loans) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.called {
		return false
	}
	l.out++
	return true
}

func (l *loans) giveBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out--
	if l.called && l.out == 0 {
		close(l.back)
	}
}

// recall lends no more; its channel is closed when everything is back. It is called once.
func (l *loans) recall() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.called, l.back = true, make(chan struct{})
	if l.out == 0 {
		close(l.back)
	}
	return l.back
}

// awaited tells whether the run lets go of its sandbox as soon as everything is back.
func (l *loans) awaited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.called && l.out > 0
}
