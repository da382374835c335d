package sbs

import "github.com/spike-by-spike/sbs/internal/kernel"

// row computes one row of W for a chunk. It adds to grad_X and grad_epsilon_xy. both
// holds R and G of the row, and row replaces them by the factors with which compute
// multiplies h and h*g.
func (d *gradient) row(w *gradWorker, c *gradChunk, k int, both []float32) {
	r, g := both[:c.count], both[c.count:][:c.count]
	patch := w.patch[:c.count]
	channel, place := k/d.places, k%d.places
	sources, plane := c.sources[place*len(c.runs):][:len(c.runs)], channel*d.height*d.width
	for i, run := range c.runs {
		d.gather(patch[run.column:][:run.count], d.x, sources[i], plane)
	}
	for i, v := range d.inverse[c.first:][:c.count] {
		patch[i] *= v
	}
	if d.gradX != nil || d.gradEps != nil {
		ratio, mean := w.ratio[:c.count], d.mean[c.first:][:c.count]
		kernel.Ratios(ratio, g, mean, r)
		if d.gradEps != nil {
			d.addEps(w.eps, ratio, patch, c, place)
		}
		if d.gradX != nil {
			for i, run := range c.runs {
				d.fold(ratio[run.column:][:run.count], run, sources[i], plane, place)
			}
		}
	}
	if d.local {
		for i := range r {
			r[i] = -2 * (patch[i] - r[i])
		}
		return
	}
	kernel.Factors(r, g, patch)
}

// addEps adds the contribution of one channel at one place of the kernel to
// grad_epsilon_xy.
func (d *gradient) addEps(eps, ratio, patch []float32, c *gradChunk, place int) {
	if d.epsPlaces == 1 {
		place = 0
	}
	for _, r := range c.runs {
		at := (r.y*d.ow+r.x)*d.epsPlaces + place
		for i := range r.count {
			j := r.column + i
			eps[at] += float32(ratio[j]*patch[j]) - d.overlap[c.first+j]
			at += d.epsPlaces
		}
	}
}

// targets returns Rule.Target at the pairs of a chunk, (n, count).
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

// fold adds the gradients of the elements of X that a run sees at a place of the kernel, in
// the channel that begins at plane.
func (d *gradient) fold(ratio []float32, r columnRun, s columnSource, plane, place int) {
	if d.factors == nil {
		s.add(d.gradX, plane, ratio)
		return
	}
	if s.lo == s.hi {
		return
	}
	to, ratio := d.gradX[plane+s.at+s.lo*s.step:], ratio[s.lo:s.hi]
	factors := d.factors[r.y*d.ow+r.x+s.lo:]
	if d.epsPlaces > 1 {
		factors = factors[place*d.positions:]
	}
	for i, v := range ratio {
		to[i*s.step] += float32(v * factors[i])
	}
}
