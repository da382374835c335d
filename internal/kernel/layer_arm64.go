//go:build !purego

package kernel

import "math"

// updaterFor returns the updater of a tier for layers with (k, n) weights.
func updaterFor(t Tier, k, n int) updater {
	if t == Portable {
		return portable()
	}
	u := updater{layout: layoutNEON, draw: drawNEON, sample: sampleNEON, row: rowNEON{}, transpose: transposeAllNEON}
	for _, f := range updatesNEON {
		if n <= f.neurons {
			u.fixed(f)
			break
		}
	}
	if u.positions == 0 {
		u.wide()
	}
	if uint64(k)*uint64(4*roundUp(n, u.vector)) > math.MaxUint32 {
		return portable()
	}
	return u
}

// The sizes of a group in the assembly.
const (
	groupNEON     = 16 // positions of up to 96 neurons; they are computed in fours
	wideGroupNEON = 4  // positions of more neurons
	wideRowNEON   = 32 // the length of a row of weights for more neurons is a multiple
)

// updateNEON holds the assembly functions for one number of neurons.
type updateNEON struct {
	neurons             int
	fast                func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32, fours int)
	general, forgetting func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32, fours int)
}

var updatesNEON = []updateNEON{
	{4, updateFast4NEON, updateGeneral4NEON, updateForgetting4NEON},
	{8, updateFast8NEON, updateGeneral8NEON, updateForgetting8NEON},
	{12, updateFast12NEON, updateGeneral12NEON, updateForgetting12NEON},
	{16, updateFast16NEON, updateGeneral16NEON, updateForgetting16NEON},
	{20, updateFast20NEON, updateGeneral20NEON, updateForgetting20NEON},
	{24, updateFast24NEON, updateGeneral24NEON, updateForgetting24NEON},
	{28, updateFast28NEON, updateGeneral28NEON, updateForgetting28NEON},
	{32, updateFast32NEON, updateGeneral32NEON, updateForgetting32NEON},
	{40, updateFast40NEON, updateGeneral40NEON, updateForgetting40NEON},
	{48, updateFast48NEON, updateGeneral48NEON, updateForgetting48NEON},
	{64, updateFast64NEON, updateGeneral64NEON, updateForgetting64NEON},
	{80, updateFast80NEON, updateGeneral80NEON, updateForgetting80NEON},
	{96, updateFast96NEON, updateGeneral96NEON, updateForgetting96NEON},
}

// fixed sets the functions for a fixed number of neurons.
func (u *updater) fixed(f updateNEON) {
	u.positions, u.step, u.vector = groupNEON, 4, f.neurons
	u.fast = func(l *Layer, s *Scratch, r steps) {
		f.fast(&s.h[0], &l.weights[0], &s.offsets[r.first%chunk], &r.num[0], r.n, r.inverse, s.live/4)
	}
	u.general = func(l *Layer, s *Scratch, r steps) {
		at := r.first % chunk
		if l.forgetting > 0 {
			f.forgetting(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1+l.forgetting, l.forgetting/float32(l.n), s.live/4)
		} else {
			f.general(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1, 0, s.live/4)
		}
	}
}

// wide sets the functions for any number of neurons.
func (u *updater) wide() {
	u.positions, u.step, u.vector = wideGroupNEON, 1, wideRowNEON
	u.fast = func(l *Layer, s *Scratch, r steps) {
		updateFastWideNEON(&s.h[0], &l.weights[0], &s.offsets[r.first%chunk], &r.num[0], r.n, r.inverse, 4*l.width, s.live)
	}
	u.general = func(l *Layer, s *Scratch, r steps) {
		at := r.first % chunk
		if l.forgetting > 0 {
			updateForgettingWideNEON(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1+l.forgetting, l.forgetting/float32(l.n), 4*l.width, s.live)
		} else {
			updateGeneralWideNEON(&s.h[0], &l.weights[0], &s.offsets[at], &s.eps[at], &s.scales[0], r.n, 1, 0, 4*l.width, s.live)
		}
	}
}
