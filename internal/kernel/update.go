package kernel

// MinOverlap is the bound of q = sum_n h[n]*W[k,n] up to which a spike is
// skipped: dividing by it would say nothing.
const MinOverlap = 1e-10

// maxScale bounds the common factor that h carries while spikes are applied.
const maxScale = 1e10

// Update applies spikes one after the other to h, the N neurons of one output
// position, and leaves h normalised by what the spikes have added (its sum
// stays what it was, but for rounding and forgetting). For spike k at time t,
// with the row w = W[k] of the (K, N) matrix weights,
//
//	e = eps[t] * epsXY[k mod len(epsXY)]
//	q = sum_n h[n]*w[n]
//	h <- (h + e*h*w/q + e*forgetting/N) / (1 + e*(1+forgetting))
//
// and nothing at all when q <= MinOverlap. An empty epsXY stands for 1.
//
// The division by 1 + e is put off: h carries a common factor, which the
// original does too.
func Update(h, weights []float32, spikes []int32, eps, epsXY []float32, forgetting float32) {
	n := len(h)
	scale := float32(1)
	for t, k := range spikes {
		w := weights[int(k)*n:][:n]
		q := dot(h, w)
		if !(q > MinOverlap*scale) { // also when q is not a number
			continue
		}
		e := eps[t]
		if len(epsXY) > 0 {
			e *= epsXY[int(k)%len(epsXY)]
		}
		c := e * scale / q
		if forgetting > 0 {
			add := scale * e * forgetting / float32(n)
			for i, v := range w {
				h[i] += float32(c*v)*h[i] + add
			}
			scale *= 1 + e*(1+forgetting)
		} else {
			for i, v := range w {
				h[i] += float32(c*v) * h[i]
			}
			scale *= 1 + e
		}
		if scale > maxScale {
			multiply(h, 1/scale)
			scale = 1
		}
	}
	multiply(h, 1/scale)
}

// dot returns the sum of h[i]*w[i], formed in four interleaved partial sums.
func dot(h, w []float32) float32 {
	var s0, s1, s2, s3 float32
	w = w[:len(h)]
	for len(h) >= 4 && len(w) >= 4 {
		s0 += h[0] * w[0]
		s1 += h[1] * w[1]
		s2 += h[2] * w[2]
		s3 += h[3] * w[3]
		h, w = h[4:], w[4:]
	}
	for i, v := range h {
		s0 += v * w[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func multiply(h []float32, f float32) {
	for i := range h {
		h[i] *= f
	}
}
