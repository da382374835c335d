package sbs

// row does what concerns one row of W: it adds to the gradients of the input and
// of epsilon_xy, and turns R and G into the factors of h and h*g.
func (d *gradient) row(w *gradWorker, c *gradChunk, k int, both []float32) {
	r, g := both[:c.count], both[c.count:][:c.count]
	patch := w.patch[:c.count]
	w.sources = w.sources[:0]
	for _, run := range c.runs {
		s := d.source(run, k)
		w.sources = append(w.sources, s)
		d.gather(patch[run.column:][:run.count], s)
	}
	for i, v := range d.inverse[c.first:][:c.count] {
		patch[i] *= v
	}
	if d.gradX != nil || d.gradEps != nil {
		ratio, mean := w.ratio[:c.count], d.mean[c.first:][:c.count]
		for i, m := range mean {
			ratio[i] = (g[i] + m*r[i]) / (r[i] + tiny)
		}
		if d.gradEps != nil {
			d.addEps(w.eps, ratio, patch, c, k%d.places)
		}
		if d.gradX != nil {
			for i, run := range c.runs {
				d.fold(ratio[run.column:][:run.count], run, w.sources[i], k)
			}
		}
	}
	if d.local {
		for i := range r {
			r[i] = -2 * (patch[i] - r[i])
		}
		return
	}
	for i, p := range patch {
		ri, gi := r[i], g[i]
		q := p / (ri*ri + tiny)
		r[i], g[i] = -q*gi, q*ri
	}
}

// addEps adds the part of epsilon_xy's gradient that one channel has at a place of
// the kernel.
func (d *gradient) addEps(eps, ratio, patch []float32, c *gradChunk, place int) {
	if d.epsPlaces == 1 {
		place = 0
	}
	for _, r := range c.runs {
		at := (r.y*d.ow+r.x)*d.epsPlaces + place
		for i := range r.count {
			j := r.column + i
			eps[at] += ratio[j]*patch[j] - d.overlap[c.first+j]
			at += d.epsPlaces
		}
	}
}

// targets returns the wanted output at the positions of a chunk, (n, count).
func (d *gradient) targets(c *gradChunk) []float32 {
	t := make([]float32, d.n*c.count)
	for n := range d.n {
		for i := range c.count {
			image, pos := (c.first+i)/d.positions, (c.first+i)%d.positions
			t[n*c.count+i] = d.target[(image*d.n+n)*d.positions+pos]
		}
	}
	return t
}

// gradSource says where in the input a run lies at a row of W: entry i is element
// at+i*step for i from lo to hi-1, and padding for any other.
type gradSource struct{ at, step, lo, hi int }

func (d *gradient) source(r gradRun, k int) gradSource {
	place := k % d.places
	y := r.y*d.Strides[0] - d.Pads[0] + place/d.Kernel[1]*d.Dilations[0]
	x := r.x*d.Strides[1] - d.Pads[1] + place%d.Kernel[1]*d.Dilations[1]
	s := gradSource{step: d.Strides[1]}
	if y < 0 || y >= d.height || x >= d.width {
		return s
	}
	if x < 0 {
		s.lo = (s.step - 1 - x) / s.step
	}
	s.at = ((r.image*d.channels+k/d.places)*d.height+y)*d.width + x
	s.hi = min((d.width-x+s.step-1)/s.step, r.count)
	s.lo = min(s.lo, s.hi)
	return s
}

// gather copies what a run sees of the input at a row of W.
func (d *gradient) gather(dst []float32, s gradSource) {
	if s.lo > 0 || s.hi < len(dst) {
		clear(dst)
	}
	if s.lo == s.hi {
		return
	}
	dst = dst[s.lo:s.hi]
	from := d.x[s.at+s.lo*s.step:]
	if s.step == 1 {
		copy(dst, from)
		return
	}
	for i := range dst {
		dst[i] = from[i*s.step]
	}
}

// fold adds the gradient of a run's patches at row k of W to that of the input.
func (d *gradient) fold(ratio []float32, r gradRun, s gradSource, k int) {
	if s.lo == s.hi {
		return
	}
	to, ratio := d.gradX[s.at+s.lo*s.step:], ratio[s.lo:s.hi]
	if d.factors == nil {
		for i, v := range ratio {
			to[i*s.step] += v
		}
		return
	}
	factors := d.factors[r.y*d.ow+r.x+s.lo:]
	if d.epsPlaces > 1 {
		factors = factors[k%d.places*d.positions:]
	}
	for i, v := range ratio {
		to[i*s.step] += v * factors[i]
	}
}
