package kernel

import "math/bits"

// packing describes columns of a matrix and how vectors of them are loaded from
// memory. It is the same for all taps.
type packing struct {
	offsets []int
	along   bool // whether there are at least minAlong taps, and each follows the one before

	// For the assembly tiers:
	groups []packGroup
	bases  []int // lowest offset of each group
	starts []int // index of the first group of each vector, and the number of groups
}

// packGroup describes the columns of one vector that one load brings: lane l is
// number index[l] of the load. Entries of load and lanes are all ones for the
// numbers and lanes that are used, otherwise 0. AVX2 uses the first 8 of each.
type packGroup struct {
	index, load, lanes [16]uint32
}

// minAlong is the number of taps from which columns that are far from each other are packed along the taps.
const minAlong = 8

// follow reports whether there are at least minAlong taps, and each follows the one before.
func follow(taps []int) bool {
	if len(taps) < minAlong {
		return false
	}
	for i, t := range taps {
		if t != taps[0]+i {
			return false
		}
	}
	return true
}

// plan divides the columns into vectors with the given number of lanes, and each
// vector into groups. A group consists of the first column that is in no group yet
// and all others that the same load can bring. A vector that is packed along the taps,
// because it would take a load per column and tap, has no groups.
func (p *packing) plan(lanes int, offsets []int) {
	p.offsets = offsets
	p.groups, p.bases, p.starts = p.groups[:0], p.bases[:0], p.starts[:0]
	for j := 0; j < len(offsets); j += lanes {
		p.starts = append(p.starts, len(p.groups))
		v := offsets[j:min(j+lanes, len(offsets))]
		if p.along && v[len(v)-1]-v[0] > 4*lanes {
			continue
		}
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

// run describes consecutive columns of a panel whose entries of C are consecutive
// in memory, too.
type run struct{ column, place, count int }

// split appends the runs of each panel of width columns, and to starts the index of
// the first run of each panel and the number of runs.
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
