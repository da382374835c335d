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
	last := len(n.sizes) - 1
	for lo < hi {
		count := min(n.sizes[last]-lo%n.sizes[last], hi-lo)
		var at [maxOperands]int
		rest := lo
		for d := last; d >= 0; d-- {
			i := rest % n.sizes[d]
			rest /= n.sizes[d]
			for a := range at {
				at[a] += i * n.strides[d][a]
			}
		}
		if err := row(at, count); err != nil {
			return err
		}
		lo += count
	}
	return nil
}
