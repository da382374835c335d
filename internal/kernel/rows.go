package kernel

// updateRows applies spikes to the positions of a group, of which there may be
// fewer than a group has. What one spike does to h, times 1 + c*w, is done
// together with the sum for the next. A position waits for its sum and its
// division, while the processor goes ahead with the others.
func updateRows(l *Layer, s *Scratch, r steps) {
	clear(s.c)
	clear(s.add)
	n, at, weights, grow := l.width, r.first%chunk, l.weights, l.up.grow
	share := l.forgetting / float32(l.n)
	for g := range s.live {
		k := int(s.offsets[g*chunk+at])
		s.last[g] = weights[k*n:][:n] // c is 0 yet: any row will do
	}
	for t := at; t < at+r.n; t++ {
		for g, last := range s.last[:s.live] {
			k := int(s.offsets[g*chunk+t])
			next := weights[k*n:][:n]
			q := grow(s.h[g*n:][:n], last, next, s.c[g], s.add[g])
			s.last[g] = next
			if l.fast {
				s.c[g] = r.num[t-at] / q
				continue
			}
			scale := s.scales[g]
			if !(q > MinOverlap*scale) { // also when q is not a number
				s.c[g], s.add[g] = 0, 0
				continue
			}
			e := s.eps[g*chunk+t]
			s.c[g], s.add[g] = e*scale/q, e*scale*share
			s.scales[g] = scale * (1 + e*(1+l.forgetting))
		}
	}
	for g, last := range s.last[:s.live] {
		h := s.h[g*n:][:n]
		grow(h, last, last, s.c[g], s.add[g])
		if l.fast {
			multiply(h, r.inverse)
		}
	}
}
