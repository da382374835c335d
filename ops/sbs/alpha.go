package sbs

import "github.com/spike-by-spike/sbs/internal/parallel"

// alpha multiplies h of image b by the weights of its output positions; see
// the package documentation. It works in float64: A times K*OH*OW numbers are
// divided by their sums. The reconstruction is formed anew in each iteration, a
// row at a time, so that it is never whole in memory.
func (r *run) alpha(s *alphaSpace, b int) error {
	positions := r.oh * r.ow
	h := r.h[b*r.n*positions:][:r.n*positions]
	alpha, v, z := s.alpha, s.v, s.z
	for pos := range alpha {
		alpha[pos] = 1 / float64(positions)
	}
	for range r.AlphaIterations {
		clear(z)
		for k := range r.k {
			if err := r.ctx.Err(); err != nil { // a single image can take minutes
				return err
			}
			clear(v)
			for n, w := range r.w[k*r.n:][:r.n] {
				for pos := range v {
					v[pos] += float64(w) * float64(h[n*positions+pos])
				}
			}
			r.foldAlpha(z, alpha, v, b, k)
		}
		clear(alpha)
		var sum float64
		for pos := range alpha {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			for place := range r.Kernel[0] * r.Kernel[1] {
				if i, ok := r.source(pos, place); ok {
					alpha[pos] += z[i]
				}
			}
			alpha[pos] += 1e-20
			sum += alpha[pos]
		}
		for pos := range alpha {
			alpha[pos] /= sum
		}
	}
	for i := range h {
		h[i] = float32(float64(h[i]) * alpha[i%positions])
	}
	return nil
}

// alphaLoop is a parallel.Loop over the images of a run.
type alphaLoop struct {
	run    *run
	spaces parallel.Spares[*alphaSpace]
}

// alphaSpace is what one worker needs at a time.
type alphaSpace struct {
	alpha []float64
	v     []float64 // a row of the reconstruction
	z     []float64 // a plane of the input
}

func (r *run) newAlphaSpace() *alphaSpace {
	positions := r.oh * r.ow
	return &alphaSpace{make([]float64, positions), make([]float64, positions), make([]float64, r.height*r.width)}
}

func (l *alphaLoop) Part(lo, hi int) error {
	r := l.run
	s := l.spaces.Get()
	defer l.spaces.Put(s)
	for b := lo; b < hi; b++ {
		if err := r.alpha(s, b); err != nil {
			return err
		}
	}
	return nil
}

// foldAlpha adds row k of alpha*v, normalised over the positions, to z at the
// places of the input that the row stands for, times X there.
func (r *run) foldAlpha(z, alpha, v []float64, b, k int) {
	var sum float64
	for pos, a := range alpha {
		sum += a * v[pos]
	}
	if sum == 0 {
		return
	}
	places := r.Kernel[0] * r.Kernel[1]
	x := r.x[(b*r.channels+k/places)*r.height*r.width:][:r.height*r.width]
	for pos, a := range alpha {
		if i, ok := r.source(pos, k%places); ok {
			z[i] += a * v[pos] / sum * float64(x[i])
		}
	}
}

// source returns the index in a plane of the input that an output position
// sees at a place of the kernel; false for padding.
func (r *run) source(pos, place int) (int, bool) {
	y := pos/r.ow*r.Strides[0] - r.Pads[0] + place/r.Kernel[1]*r.Dilations[0]
	x := pos%r.ow*r.Strides[1] - r.Pads[1] + place%r.Kernel[1]*r.Dilations[1]
	return y*r.width + x, y >= 0 && y < r.height && x >= 0 && x < r.width
}
