package kernel

import "math/bits"

// packing is columns of a matrix and how to get them from memory, for all taps.
type packing struct {
	offsets []int

	// Of assembly tiers:
	groups []packGroup
	bases  []int // of each group: the lowest offset
	starts []int // of each vector in groups
}

// packGroup is columns of one vector that one load gets: lane l comes from number
// index[l] of it. Entries of load and lanes are all ones for the numbers and lanes
// in question. AVX2 has 8 of each.
type packGroup struct {
	index, load, lanes [16]uint32
}

// plan finds the groups of vectors of so many lanes: the columns that one load
// gets with the first, with the first of the others, and so on.
func (p *packing) plan(lanes int, offsets []int) {
	p.offsets = offsets
	p.groups, p.bases, p.starts = p.groups[:0], p.bases[:0], p.starts[:0]
	for j := 0; j < len(offsets); j += lanes {
		p.starts = append(p.starts, len(p.groups))
		v := offsets[j:min(j+lanes, len(offsets))]
		all := uint32(1)<<len(v) - 1
		for done := uint32(0); done != all; {
			first := bits.TrailingZeros32(^done)
			p.groups = append(p.groups, packGroup{})
			p.bases = append(p.bases, v[first])
			g := &p.groups[len(p.groups)-1]
			for l := first; l < len(v); l++ {
				if d := uint(v[l] - v[first]); d < uint(lanes) && done>>l&1 == 0 {
					g.index[l&15] = uint32(d)
					g.load[d&15], g.lanes[l&15] = 1<<32-1, 1<<32-1
					done |= 1 << l
				}
			}
		}
	}
	p.starts = append(p.starts, len(p.groups))
}

// run is consecutive columns of a panel whose entries of C are consecutive, too.
type run struct{ column, place, count int }

// split appends the runs of each panel of so many columns.
func split(runs []run, starts []int, places []int, width int) ([]run, []int) {
	for j, place := range places {
		if j%width == 0 {
			starts = append(starts, len(runs))
		} else if last := &runs[len(runs)-1]; place == last.place+last.count {
			last.count++
			continue
		}
		runs = append(runs, run{j % width, place, 1})
	}
	return runs, append(starts, len(runs))
}
