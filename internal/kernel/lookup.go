package kernel

import "math/bits"

// Lookup draws independent spikes from one distribution, in a time that hardly depends on the
// number of its entries.
type Lookup struct {
	thresholds []uint32

	// Entry b of the coarse table is the spike for the smallest random number whose upper bits
	// are b.
	starts []uint32
}

// NewLookup returns a Lookup for distributions with n entries. Prepare must be called before
// Sample.
func NewLookup(n int) Lookup {
	return Lookup{thresholds: make([]uint32, n), starts: make([]uint32, coarseEntries(n))}
}

// LookupBytes returns the memory that a Lookup for n entries takes.
func LookupBytes(n int) int64 { return 4 * (int64(n) + int64(coarseEntries(n))) }

// coarseEntries returns the length of the coarse table: two to four entries for each threshold, up
// to a limit.
func coarseEntries(n int) int {
	const most = 1 << 16
	return min(1<<bits.Len(uint(2*n-1)), most)
}

// Sample draws some of the spikes that the function Sample draws with the same distribution: spike
// first, which must be even, and those after it.
func (l Lookup) Sample(spikes []uint32, key uint64, first int) {
	numbers(spikes, key, first, false)
	l.find(spikes)
}

// shift returns the number of bits by which a random number is shifted to the right to get an index
// into the coarse table.
func (l Lookup) shift() uint { return uint(32 - bits.Len(uint(len(l.starts)))) }

// Prepare sets the distribution. sums are its running sums; the last one is positive and finite.
func (l Lookup) Prepare(sums []float32) {
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
func (l Lookup) find(numbers []uint32) {
	t, starts, shift := l.thresholds, l.starts, l.shift()
	for i, r := range numbers {
		r >>= 1
		k := starts[r>>shift]
		for t[k] < r {
			k++
		}
		numbers[i] = k
	}
}
