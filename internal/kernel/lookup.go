package kernel

import "math/bits"

// lookup finds spikes in one distribution, in a time that hardly depends on the number of its
// entries.
type lookup struct {
	thresholds []uint32

	// Entry b of the coarse table is the spike for the smallest random number whose upper bits
	// are b.
	starts []uint32
}

// coarseEntries returns the length of the coarse table: two to four entries for each threshold, up
// to a limit.
func coarseEntries(n int) int {
	const most = 1 << 16
	return min(1<<bits.Len(uint(2*n-1)), most)
}

// shift returns the number of bits by which a random number is shifted to the right to get an index
// into the coarse table.
func (l lookup) shift() uint { return uint(32 - bits.Len(uint(len(l.starts)))) }

// prepare sets the distribution. sums are its running sums; the last one is positive and finite.
func (l lookup) prepare(sums []float32) {
	Thresholds(l.thresholds, sums)
	shift := l.shift()
	var next uint32
	for k, v := range l.thresholds {
		for ; next < uint32(len(l.starts)) && next<<shift <= v; next++ {
			l.starts[next] = uint32(k)
		}
	}
}

// find replaces random numbers by the spikes that they select.
func (l lookup) find(numbers []uint32) {
	t, starts, shift := l.thresholds, l.starts, l.shift()
	for i, r := range numbers {
		r = half(r)
		k := starts[r>>shift]
		for t[k] < r {
			k++
		}
		numbers[i] = k
	}
}
