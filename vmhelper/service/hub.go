package service

import (
	"sync"

	"github.com/arca-engine/arca/vmhelper/sandbox"
)

// maxBehind is how many exits a watcher may be behind before it must begin anew.
const maxBehind = 4096

// hub tells watchers which sandboxes run and which exit.
type hub struct {
	ended func(sandbox.Info) // called before an exit is told.
	stop  chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	running  map[string]sandbox.Info // by boot ID.
	watchers map[*watcher]struct{}
	closed   bool
}

type watcher struct {
	events chan exit
	lost   chan struct{} // closed when events were dropped, or the hub.
	once   sync.Once
}

type exit struct {
	info   sandbox.Info
	reason string
}

func newHub(ended func(sandbox.Info)) *hub {
	return &hub{ended: ended, stop: make(chan struct{}), running: map[string]sandbox.Info{}, watchers: map[*watcher]struct{}{}}
}

// add watches a sandbox until it ends. Adding a boot again does nothing.
func (h *hub) add(sb sandbox.Sandbox) {
	info := sb.Info()
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.running[info.BootID]; ok || h.closed {
		return
	}
	h.running[info.BootID] = info
	h.wg.Go(func() {
		select {
		case <-sb.Done():
			h.ended(info)
			h.exited(exit{info, sb.Reason()})
		case <-h.stop:
		}
	})
}

func (h *hub) exited(e exit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, e.info.BootID)
	for w := range h.watchers {
		select {
		case w.events <- e:
		default:
			w.once.Do(func() { close(w.lost) })
		}
	}
}

// subscribe returns a watcher and what runs: every exit of it, and of what is added later, will be an event.
func (h *hub) subscribe() (*watcher, []sandbox.Info) {
	w := &watcher{events: make(chan exit, maxBehind), lost: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		w.once.Do(func() { close(w.lost) })
	}
	h.watchers[w] = struct{}{}
	infos := make([]sandbox.Info, 0, len(h.running))
	for _, info := range h.running {
		infos = append(infos, info)
	}
	return w, infos
}

func (h *hub) unsubscribe(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
}

func (h *hub) close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.stop)
		for w := range h.watchers {
			w.once.Do(func() { close(w.lost) })
		}
	}
	h.mu.Unlock()
	h.wg.Wait()
}
