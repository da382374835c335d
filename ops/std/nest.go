package std

// maxOperands is the maximum number of arrays that a nest walks through.
const maxOperands = 4

// nest is a nest of loops that walks through several arrays at once.
type nest struct {
	total   int // number of iterations
	sizes   []int
	strides [][maxOperands]int // per loop and array
}

// newNest returns loops of the given sizes, outermost first, with the strides of each
// array. Two neighboring loops become one if they walk through every array with a single
// stride, which makes the inner loops longer.
func newNest(sizes []int, strides ...[]int) nest {
	n := nest{total: 1}
	for i, size := range sizes {
		n.total *= size
		if size == 1 {
			continue
		}
		var step [maxOperands]int
		for a := range strides {
			step[a] = strides[a][i]
		}
		if last := len(n.sizes) - 1; last >= 0 && collapsible(n.strides[last], step, size) {
			n.sizes[last] *= size
			n.strides[last] = step
			continue
		}
		n.sizes = append(n.sizes, size)
		n.strides = append(n.strides, step)
	}
	if len(n.sizes) == 0 {
		n.sizes = []int{1}
		n.strides = make([][maxOperands]int, 1)
	}
	return n
}

// collapsible reports whether one step of the outer loop equals size steps of the inner
// loop in every array.
func collapsible(outer, inner [maxOperands]int, size int) bool {
	for a := range inner {
		if outer[a] != inner[a]*size {
			return false
		}
	}
	return true
}

// inner returns the strides of the innermost loop.
func (n *nest) inner() [maxOperands]int { return n.strides[len(n.strides)-1] }

// walk runs the iterations lo to hi-1. It calls row for each part of the innermost loop,
// with the place in each array at which the part starts and its number of iterations.
func (n *nest) walk(lo, hi int, row func(at [maxOperands]int, count int) error) error {
	if lo >= hi {
		return nil
	}
	var indexRoom [8]int
	index := append(indexRoom[:0], n.sizes...) // of each loop
	last := len(n.sizes) - 1
	var at [maxOperands]int
	rest := lo
	for d := last; d >= 0; d-- {
		index[d] = rest % n.sizes[d]
		rest /= n.sizes[d]
		for a, step := range n.strides[d] {
			at[a] += index[d] * step
		}
	}
	for {
		count := min(n.sizes[last]-index[last], hi-lo)
		if err := row(at, count); err != nil {
			return err
		}
		if lo += count; lo >= hi {
			return nil
		}
		// The innermost loop is at its end.
		for a, step := range n.strides[last] {
			at[a] -= index[last] * step
		}
		index[last] = 0
		for d := last - 1; d >= 0; d-- {
			if index[d]++; index[d] < n.sizes[d] {
				for a, step := range n.strides[d] {
					at[a] += step
				}
				break
			}
			for a, step := range n.strides[d] {
				at[a] -= (n.sizes[d] - 1) * step
			}
			index[d] = 0
		}
	}
}

// walkRows is walk for nests of at least two loops: it calls rows for parts of the two innermost loops,
// which are one row of the innermost loop, possibly not all of it, or several whole rows.
func (n *nest) walkRows(lo, hi int, rows func(at [maxOperands]int, rows, count int) error) error {
	last := len(n.sizes) - 1
	size := n.sizes[last]
	partial := func(lo, hi int) error {
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error { return rows(at, 1, count) })
	}
	first, end := (lo+size-1)/size, hi/size // of the whole rows
	if first >= end {
		return partial(lo, hi)
	}
	if err := partial(lo, first*size); err != nil {
		return err
	}
	outer := nest{sizes: n.sizes[:last], strides: n.strides[:last]}
	if err := outer.walk(first, end, func(at [maxOperands]int, count int) error { return rows(at, count, size) }); err != nil {
		return err
	}
	return partial(end*size, hi)
}
