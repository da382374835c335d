package sbs_test

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// referenceOutput is the oracle of the tests: it computes the output of the operator in
// float64, in the simplest way, for given spikes of shape (B, S, OH, OW). epsilonXY may
// be nil. The inputs must be valid.
func referenceOutput(p sbs.Params, x, w, epsilonXY, spikes *ops.Tensor) []float64 {
	s := spikes.Shape()
	ref := reference{p: p, x: x, w: w, xs: x.Shape(), oh: s[2], ow: s[3], neurons: w.Shape()[1]}
	ref.spikes = func(b, oy, ox int) []int {
		if ref.dead(b, oy, ox) {
			return nil
		}
		list := make([]int, p.Spikes)
		for t := range list {
			list[t] = int(spikes.Int64s()[((b*s[1]+t)*s[2]+oy)*s[3]+ox])
		}
		return list
	}
	return ref.output(epsilonXY)
}

// referenceFullOutput is referenceOutput for SbSFullLayer: it takes the spikes of the images, of
// shape (B, S, 1, 1).
func referenceFullOutput(p sbs.Params, x, w, epsilonXY, spikes *ops.Tensor) []float64 {
	ref := reference{p: p, x: x, w: w, xs: x.Shape(), neurons: w.Shape()[1]}
	size := func(axis int) int {
		return (ref.xs[2+axis]+p.Pads[axis]+p.Pads[axis+2]-p.Dilations[axis]*(p.Kernel[axis]-1)-1)/p.Strides[axis] + 1
	}
	ref.oh, ref.ow = size(0), size(1)
	ref.spikes = func(b, oy, ox int) []int {
		image := ref.xs[1] * ref.xs[2] * ref.xs[3]
		if slices.Max(x.Float32s()[b*image:][:image]) == 0 {
			return nil
		}
		var list []int
		for t := range p.Spikes {
			for k := range w.Shape()[0] {
				if i, ok := ref.input(b, oy, ox, k); ok && int64(i-b*image) == spikes.Int64s()[b*spikes.Shape()[1]+t] {
					list = append(list, k)
				}
			}
		}
		return list
	}
	return ref.output(epsilonXY)
}

func (r reference) output(epsilonXY *ops.Tensor) []float64 {
	batch, oh, ow := r.xs[0], r.oh, r.ow
	out := make([]float64, batch*r.neurons*oh*ow)
	for b := range batch {
		h := make([][][]float64, oh) // oh, ow, n
		for oy := range oh {
			h[oy] = make([][]float64, ow)
			for ox := range ow {
				h[oy][ox] = r.position(b, oy, ox, epsilonXY)
			}
		}
		alpha := r.alpha(b, h)
		for n := range r.neurons {
			for oy := range oh {
				for ox := range ow {
					out[((b*r.neurons+n)*oh+oy)*ow+ox] = h[oy][ox][n] * alpha[oy][ox]
				}
			}
		}
	}
	return out
}

type reference struct {
	p       sbs.Params
	x, w    *ops.Tensor
	xs      []int // shape of x
	oh, ow  int
	neurons int

	spikes func(b, oy, ox int) []int // of an output position
}

// input returns the index of the element of x that output position (oy, ox) of image b
// sees at row k of W, and false for padding.
func (r reference) input(b, oy, ox, k int) (int, bool) {
	places := r.p.Kernel[0] * r.p.Kernel[1]
	c, i, j := k/places, k%places/r.p.Kernel[1], k%r.p.Kernel[1]
	y := oy*r.p.Strides[0] + i*r.p.Dilations[0] - r.p.Pads[0]
	x := ox*r.p.Strides[1] + j*r.p.Dilations[1] - r.p.Pads[1]
	return ((b*r.xs[1]+c)*r.xs[2]+y)*r.xs[3] + x, y >= 0 && y < r.xs[2] && x >= 0 && x < r.xs[3]
}

func (r reference) weight(k, n int) float64 { return float64(r.w.Float32s()[k*r.neurons+n]) }

// dead reports whether the patch of an output position is all zero.
func (r reference) dead(b, oy, ox int) bool {
	for k := range r.w.Shape()[0] {
		if i, ok := r.input(b, oy, ox, k); ok && r.x.Float32s()[i] != 0 {
			return false
		}
	}
	return true
}

// position returns h of one output position.
func (r reference) position(b, oy, ox int, epsilonXY *ops.Tensor) []float64 {
	h := make([]float64, r.neurons)
	for n := range h {
		h[n] = 1 / float64(r.neurons)
	}
	places := r.p.Kernel[0] * r.p.Kernel[1]
	for t, k := range r.spikes(b, oy, ox) {
		e := float64(r.p.Epsilon0) * float64(r.p.EpsilonT[t])
		if epsilonXY != nil {
			at := oy*r.ow + ox
			if len(epsilonXY.Shape()) == 4 {
				at = at*places + k%places
			}
			e *= float64(epsilonXY.Float32s()[at])
		}
		var q float64
		for n := range h {
			q += h[n] * r.weight(k, n)
		}
		if q <= 1e-10 {
			continue
		}
		f := max(float64(r.p.Forgetting), 0)
		for n := range h {
			h[n] = (h[n] + e*h[n]*r.weight(k, n)/q + e*f/float64(r.neurons)) / (1 + e*(1+f))
		}
	}
	return h
}

// alpha returns the factor of each output position of image b, which is 1 if
// alpha_iterations is 0.
func (r reference) alpha(b int, h [][][]float64) [][]float64 {
	oh, ow := len(h), len(h[0])
	alpha := make([][]float64, oh)
	for oy := range alpha {
		alpha[oy] = make([]float64, ow)
		for ox := range alpha[oy] {
			alpha[oy][ox] = 1
			if r.p.AlphaIterations > 0 {
				alpha[oy][ox] = 1 / float64(oh*ow)
			}
		}
	}
	places := r.p.Kernel[0] * r.p.Kernel[1]
	plane := r.xs[2] * r.xs[3]
	for range r.p.AlphaIterations {
		z := make([]float64, plane)
		for k := range r.w.Shape()[0] {
			a := make([][]float64, oh)
			var sum float64
			for oy := range a {
				a[oy] = make([]float64, ow)
				for ox := range a[oy] {
					for n, v := range h[oy][ox] {
						a[oy][ox] += alpha[oy][ox] * v * r.weight(k, n)
					}
					sum += a[oy][ox]
				}
			}
			for oy := range a {
				for ox := range a[oy] {
					if i, ok := r.input(b, oy, ox, k); ok && sum > 0 {
						z[i%plane] += a[oy][ox] / sum * float64(r.x.Float32s()[i])
					}
				}
			}
		}
		var sum float64
		for oy := range alpha {
			for ox := range alpha[oy] {
				alpha[oy][ox] = 1e-20
				for k := range places {
					if i, ok := r.input(b, oy, ox, k); ok {
						alpha[oy][ox] += z[i%plane]
					}
				}
				sum += alpha[oy][ox]
			}
		}
		for oy := range alpha {
			for ox := range alpha[oy] {
				alpha[oy][ox] /= sum
			}
		}
	}
	return alpha
}
