package ops

// Buffers holds temporary memory that one node after the other uses: memory that is new for the
// process takes about as much time as a simple operation on it. It must not be used by several
// goroutines at the same time. The zero value is empty, and nil is Buffers that keep nothing.
type Buffers struct{ free [][]float32 }

// mostBuffers is the number of buffers that Buffers keep, of those that are not in use.
const mostBuffers = 4

// Take returns n elements that have no defined value. The caller has reserved their memory, see
// Context.Reserve.
func (b *Buffers) Take(n int) []float32 {
	best := -1
	if b != nil {
		for i, v := range b.free {
			if cap(v) >= n && cap(v)/4 <= n && (best < 0 || cap(v) < cap(b.free[best])) {
				best = i
			}
		}
	}
	if best < 0 {
		return make([]float32, n)
	}
	v := b.free[best]
	last := len(b.free) - 1
	b.free[best], b.free[last] = b.free[last], nil
	b.free = b.free[:last]
	return v[:n]
}

// Give makes memory of Take available again. If there are too many buffers, the smallest is dropped.
func (b *Buffers) Give(v []float32) {
	if b == nil {
		return
	}
	b.free = append(b.free, v)
	if len(b.free) <= mostBuffers {
		return
	}
	smallest := 0
	for i, v := range b.free {
		if cap(v) < cap(b.free[smallest]) {
			smallest = i
		}
	}
	b.free[smallest], b.free[mostBuffers] = b.free[mostBuffers], nil
	b.free = b.free[:mostBuffers]
}
