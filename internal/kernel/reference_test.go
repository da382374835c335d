package kernel

// applySpikes applies spikes to h, the neurons of one output position, as the package
// documentation describes. eps holds epsilon_0*epsilon_t. An empty epsXY stands for
// 1.
func applySpikes(h, weights []float32, spikes []int32, eps, epsXY []float32, forgetting float32) {
	n := len(h)
	scale := float32(1)
	for t, k := range spikes {
		w := weights[int(k)*n:][:n]
		q := dot(h, w)
		if !(q > minOverlap*scale) { // also if q is NaN
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

// dot returns the sum of h[i]*w[i], computed as four interleaved partial sums.
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
