//go:build !purego

package kernel

import (
	"math/bits"
	"unsafe"
)

// loads describes how the assembly loads vectors of columns.
type loads struct {
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

// bytes returns the memory of the loads.
func (l *loads) bytes() int64 {
	return int64(cap(l.groups))*int64(unsafe.Sizeof(packGroup{})) + 8*int64(cap(l.bases)+cap(l.starts))
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
