package store

import "sync"

// watchers are channels to be woken. The zero value has none.
type watchers struct {
	mu   sync.Mutex
	next int
	list map[int]chan<- struct{}
}

// add registers ch; stop ends that and may be called twice.
func (w *watchers) add(ch chan<- struct{}) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = map[int]chan<- struct{}{}
	}
	id := w.next
	w.next++
	w.list[id] = ch
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.list, id)
	}
}

// any reports whether somebody waits.
func (w *watchers) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.list) > 0
}

// wake leaves a signal in every channel that has room for it.
func (w *watchers) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.list {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
