package sbs

// columnRun is a part of a chunk of (image, output position) pairs that lies in one row of the
// output: count positions from (y, x) on. The first of them is the given column of the chunk.
type columnRun struct{ column, image, y, x, count int }

// columnSource says which elements of a channel of X a run sees at a place of the kernel:
// position i of the run sees element at+i*step for i from lo to hi-1, and padding for all
// other i. Element 0 is the first one of the batch.
type columnSource struct{ at, step, lo, hi int }

// source returns the source of a run at a place of the kernel, in channel 0.
func (g *geometry) source(r columnRun, place int) columnSource {
	y, x := g.inputAt(r.y*g.ow+r.x, place)
	s := columnSource{step: g.win.Strides[1]}
	if y < 0 || y >= g.height || x >= g.width {
		return s
	}
	if x < 0 {
		s.lo = (s.step - 1 - x) / s.step
	}
	s.at = (r.image*g.channels*g.height+y)*g.width + x
	s.hi = min((g.width-x+s.step-1)/s.step, r.count)
	s.lo = min(s.lo, s.hi)
	return s
}

// gather sets dst to the elements of x, the images, that a run sees in the channel that begins at
// plane.
func (g *geometry) gather(dst, x []float32, s columnSource, plane int) {
	if s.lo > 0 || s.hi < len(dst) {
		clear(dst)
	}
	if s.lo == s.hi {
		return
	}
	dst = dst[s.lo:s.hi]
	from := x[plane+s.at+s.lo*s.step:]
	if s.step == 1 {
		copy(dst, from)
		return
	}
	for i := range dst {
		dst[i] = from[i*s.step]
	}
}

// add adds values, an element per position of a run, to the elements of x, the images, that the run
// sees in the channel that begins at plane.
func (s columnSource) add(x []float32, plane int, values []float32) {
	if s.lo == s.hi {
		return
	}
	x = x[plane+s.at+s.lo*s.step:]
	for i, v := range values[s.lo:s.hi] {
		x[i*s.step] += v
	}
}

// cutRuns appends the runs of count pairs from first on, and their sources in channel 0: an entry
// per place of the kernel and run.
func (g *geometry) cutRuns(runs []columnRun, sources []columnSource, first, count int) ([]columnRun, []columnSource) {
	for at := first; at < first+count; {
		pos := at % g.positions
		r := columnRun{column: at - first, image: at / g.positions, y: pos / g.ow, x: pos % g.ow}
		r.count = min(g.ow-r.x, first+count-at)
		runs = append(runs, r)
		at += r.count
	}
	for place := range g.places {
		for _, r := range runs {
			sources = append(sources, g.source(r, place))
		}
	}
	return runs, sources
}
