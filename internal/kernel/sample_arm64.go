//go:build !purego

package kernel

// layoutNEON has a coarse table, where a search begins, if there are so many spikes that it pays.
// Otherwise spikes are found by binary search. On Neoverse N1, a threshold takes about 3 cycles to make the table,
// which saves 6 cycles of a spike with 64 thresholds and 11 with 1024 (docs/benchmarks/arm64.md), without mispredicted
// branches.
func layoutNEON(k, spikes int) layout {
	l := layout{room: roundUp(k, RowLen), fill: fullShare}
	if spikes >= k/2 {
		l.coarse = coarseEntries(k) + 4 // startsNEON writes whole vectors
	}
	return l
}

// startsOf returns the coarse table of position g, and the shift for its index.
func (s *Scratch) startsOf(g int) (starts *uint32, shift int) {
	n := s.l.layout.coarse
	return &s.coarse[g*n], int(lookup{starts: s.coarse[:n-4]}.shift())
}

// drawNEON computes the tables of position g from running sums.
func drawNEON(l *Layer, s *Scratch, g int, sums []float32) {
	t, total := s.thresholds[g*l.layout.room:][:l.layout.room], sums[l.k-1]
	if total < leastTotal {
		Thresholds(t[:l.k], sums[:l.k])
	} else {
		thresholdsNEON(&t[0], &sums[:len(t)][0], len(t), total, (1<<31)/total)
		for i := l.k; i < len(t); i++ {
			t[i] = l.layout.fill
		}
	}
	coarseNEON(l, s, g)
}

// coarseNEON fills the coarse table of position g, if there is one.
func coarseNEON(l *Layer, s *Scratch, g int) {
	if l.layout.coarse > 0 {
		starts, shift := s.startsOf(g)
		t := s.thresholds[g*l.layout.room:][:l.k]
		startsNEON(starts, &t[0], l.k, shift)
		first := uint32(0) // the smallest number that selects a spike is 1
		for t[first] == 0 {
			first++
		}
		*starts = first
	}
}

// sampleNEON draws the same spikes as Sample or SampleLowDiscrepancy.
func sampleNEON(l *Layer, s *Scratch, g, n, first int, scale uint32) {
	spikes := min(chunk, l.spikes-first)
	byHalves, byTable := roundUp(spikes, 8), roundUp(spikes, 4)
	for end := g + n; g < end; g++ {
		dst, t, state := &s.offsets[g*chunk], &s.thresholds[g*l.layout.room], counter(s.keys[g], first)
		if l.lowDiscrepancy {
			state = uint64(evenNumber(s.keys[g], first))
		}
		if l.layout.coarse == 0 {
			if l.lowDiscrepancy {
				sampleHalvesLowDiscrepancyNEON(dst, byHalves, t, l.k, state, scale)
			} else {
				sampleHalvesNEON(dst, byHalves, t, l.k, state, scale)
			}
			continue
		}
		starts, shift := s.startsOf(g)
		if l.lowDiscrepancy {
			sampleTableLowDiscrepancyNEON(dst, byTable, t, starts, shift, state, scale)
		} else {
			sampleTableNEON(dst, byTable, t, starts, shift, state, scale)
		}
	}
}

// rowNEON is a rowDrawer in assembly, for up to 8 positions.
type rowNEON struct{}

func (rowNEON) positions() int { return 8 }

func (rowNEON) draw(s *Scratch, r *row, g, n int, x []float32, offsets []int32, masked bool) {
	l := s.l
	if !masked {
		totals, thresholds := totalsRow1NEON, thresholdsRow1NEON
		switch r.count {
		case 2:
			totals, thresholds = totalsRow2NEON, thresholdsRow2NEON
		case 3:
			totals, thresholds = totalsRow3NEON, thresholdsRow3NEON
		}
		totals(&r.totals[0], &x[0], &r.starts, &r.lanes, &offsets[0], l.k)
		thresholds(&s.thresholds[g*l.layout.room], l.layout.room, n, &r.totals[0], &x[0], &r.starts, &r.lanes, &offsets[:l.layout.room][0], l.layout.room)
	}
	i := 0
	for _, p := range r.spans[:r.count] {
		for start := p.Start; start < p.Start+p.N; start++ {
			if masked || r.totals[i] < leastTotal {
				r.draw(s, g, i, x[start:], offsets)
			} else {
				coarseNEON(l, s, g+i)
			}
			i++
		}
	}
}

// draw computes the total and the tables of one position, from its patch in x.
func (r *row) draw(s *Scratch, g, i int, x []float32, offsets []int32) {
	l := s.l
	if r.sums == nil {
		r.sums = make([]float32, l.layout.room)
	}
	r.totals[i] = CumulateAt(r.sums, x, offsets[:l.k])
	drawNEON(l, s, g+i, r.sums)
}
