package sbs

import (
	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
)

// alphaLoop is a parallel.Loop over the images of a run: it multiplies h by alpha.
type alphaLoop struct {
	run    *run
	spaces parallel.Spares[*alphaSpace]
}

// Part implements parallel.Loop.
func (l *alphaLoop) Part(lo, hi int) error {
	bytes := 8 * int64(2*l.run.positions+l.run.height*l.run.width)
	if err := l.run.ctx.Reserve(bytes); err != nil {
		return err
	}
	defer l.run.ctx.Release(bytes)
	s := l.spaces.Get()
	defer l.spaces.Put(s)
	for b := lo; b < hi; b++ {
		if err := l.run.applyAlpha(s, b); err != nil {
			return err
		}
	}
	return nil
}

// alphaSpace is the temporary memory of one worker. The names are the same as in the
// package documentation. Everything is float64, because alpha is the result of many
// sums and quotients.
type alphaSpace struct {
	alpha []float64 // of each output position
	v     []float64 // row k of the reconstruction: of each output position
	z     []float64 // the sum over the channels: (height, width)
}

func (r *run) newAlphaSpace() *alphaSpace {
	return &alphaSpace{
		alpha: make([]float64, r.positions), v: make([]float64, r.positions), z: make([]float64, r.height*r.width),
	}
}

// applyAlpha multiplies h of image b by alpha; see the package documentation.
func (r *run) applyAlpha(s *alphaSpace, b int) error {
	for pos := range s.alpha {
		s.alpha[pos] = 1 / float64(r.positions)
	}
	for range r.AlphaIterations {
		if err := r.foldRows(s, b); err != nil {
			return err
		}
		if err := r.unfold(s); err != nil {
			return err
		}
	}
	h := r.hOf(b)
	for i := range h {
		h[i] = float32(float64(h[i]) * s.alpha[i%r.positions])
	}
	return nil
}

// hOf returns h of image b, (N, OH*OW).
func (r *run) hOf(b int) []float32 { return r.h[b*r.n*r.positions:][:r.n*r.positions] }

// foldRows sets z of image b. It computes the reconstruction one row at a time, and
// anew in each iteration, to keep only one row in memory.
func (r *run) foldRows(s *alphaSpace, b int) error {
	h := r.hOf(b)
	clear(s.z)
	for k := range r.k {
		if err := r.ctx.Err(); err != nil { // a single image can take minutes
			return err
		}
		clear(s.v)
		steps := 0
		for n, w := range r.w[k*r.n:][:r.n] {
			if steps += r.positions; steps > checkGrain {
				if steps = 0; r.ctx.Err() != nil {
					return r.ctx.Err()
				}
			}
			for pos := range s.v {
				s.v[pos] += float64(float64(w) * float64(h[n*r.positions+pos]))
			}
		}
		r.foldRow(s, b, k)
	}
	return nil
}

// foldRow adds row k of a = alpha*v, divided by its sum over the positions and
// multiplied by X, to z.
func (r *run) foldRow(s *alphaSpace, b, k int) {
	var sum float64
	for pos, a := range s.alpha {
		sum += float64(a * s.v[pos])
	}
	if sum == 0 {
		return
	}
	channel, place := k/r.places, k%r.places
	x := r.x[(b*r.channels+channel)*r.height*r.width:][:r.height*r.width]
	for pos, a := range s.alpha {
		if i, ok := r.indexAt(pos, place); ok {
			s.z[i] += float64(a * s.v[pos] / sum * float64(x[i]))
		}
	}
}

// unfold sets alpha from z.
func (r *run) unfold(s *alphaSpace) error {
	clear(s.alpha)
	var sum float64
	for pos := range s.alpha {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		for place := range r.places {
			if i, ok := r.indexAt(pos, place); ok {
				s.alpha[pos] += s.z[i]
			}
		}
		s.alpha[pos] += kernel.Tiny
		sum += s.alpha[pos]
	}
	for pos := range s.alpha {
		s.alpha[pos] /= sum
	}
	return nil
}
