package kernel

// CumulateAt writes the running sums of a patch to sums and returns the last one,
// the total. Entry k of the patch is x[offsets[k]]. The entries are added in
// float32, in ascending order of k. len(sums) must be at least len(offsets).
func CumulateAt(sums, x []float32, offsets []int32) float32 {
	var c float32
	sums = sums[:len(offsets)]
	for k, o := range offsets {
		c += x[o]
		sums[k] = c
	}
	return c
}

// CumulateAt4 computes CumulateAt for four patches at once. It is faster than
// four calls because the processor adds the entries of different patches in
// parallel, whereas each addition of one patch waits for the one before.
func CumulateAt4(sums, x [4][]float32, offsets []int32) (totals [4]float32) {
	n := len(offsets)
	s0, s1, s2, s3 := sums[0][:n], sums[1][:n], sums[2][:n], sums[3][:n]
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	var c0, c1, c2, c3 float32
	for k, o := range offsets {
		c0 += x0[o]
		c1 += x1[o]
		c2 += x2[o]
		c3 += x3[o]
		s0[k], s1[k], s2[k], s3[k] = c0, c1, c2, c3
	}
	return [4]float32{c0, c1, c2, c3}
}

// The thresholds of a patch are integers from 0 to fullShare, which stands for the total.
// Others are at most belowFull.
const (
	fullShare = 1<<31 - 1
	belowFull = 1<<31 - 1<<7 // the largest float32 below 2^31
)

// Thresholds turns the running sums of a patch into the thresholds t for Sample:
// t[k] is sums[k]/total in units of 2^-31, where total is the last sum. It is computed in
// float32 as sums[k]*(2^31/total), which is less than 2^31 or taken for the next smaller
// number, and rounded down. For every k with sums[k] >= total it is 2^31-1. The total must
// be positive and finite, and t must be as long as sums.
func Thresholds(t []uint32, sums []float32) {
	total := sums[len(sums)-1]
	up := float32(1)
	if total < leastTotal {
		up = 1 / leastTotal
	}
	scale := (1 << 31) / (total * up)
	for k, c := range sums {
		t[k] = fullShare
		if c < total {
			t[k] = uint32(min(c*up*scale, belowFull))
		}
	}
}

// leastTotal is the smallest total that Thresholds divides by. It divides sums of smaller
// totals by this number first, so that the scale is finite.
const leastTotal = 1.0 / (1 << 64)

// Sample draws independent spikes from the distribution with thresholds t: spike
// i is the first k with t[k] >= Random(key, i)/2, rounded down and at least 1.
func Sample(spikes []int32, t []uint32, key uint64) {
	for i := range spikes {
		spikes[i] = search(t, half(Random(key, i)))
	}
}

// half returns the number that is compared with thresholds. It is not 0, which would select the
// first entry even if its probability is 0.
func half(random uint32) uint32 { return max(random>>1, 1) }

// goldenStep is 2^32 divided by the golden ratio.
const goldenStep = gamma >> 32

// evenNumber returns number i of the low-discrepancy sequence of a key:
// Random(key, 0) + i*goldenStep modulo 2^32.
func evenNumber(key uint64, i int) uint32 { return Random(key, 0) + uint32(i)*goldenStep }

// SampleLowDiscrepancy draws evenly distributed spikes from the distribution with
// thresholds t: spike i is the first k with t[k] >= (r + i*g modulo 2^32)/2, rounded down and at
// least 1, where r is Random(key, 0) and g is 2^32 divided by the golden ratio, rounded down.
func SampleLowDiscrepancy(spikes []int32, t []uint32, key uint64) {
	r := evenNumber(key, 0)
	for i := range spikes {
		spikes[i] = search(t, half(r))
		r += goldenStep
	}
}

// search returns the first k with t[k] >= r.
func search(t []uint32, r uint32) int32 {
	lo, hi := 0, len(t)-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if t[mid] < r {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return int32(lo)
}

// Invert returns the spike for a uniform number u in [0, 1) and the running sums
// of a patch: the first k with sums[k]/total >= u, where total is the last sum, or
// the last k if rounding leaves none. The division in float32 is the one of
// PyTorch-SbS. A u below LeastUniform counts as LeastUniform: 0 would select the first k
// even if its probability is 0.
func Invert(sums []float32, u float32) int32 {
	u = max(u, LeastUniform)
	total := sums[len(sums)-1]
	lo, hi := 0, len(sums)-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if sums[mid]/total < u {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return int32(lo)
}

// LeastUniform is the smallest uniform number that selects a spike. It is a power of ten below
// all probabilities that matter, and a normal float32, which no runtime takes for 0.
const LeastUniform = 1e-37

// Sampler draws spikes from one distribution after the other, like Sample and
// SampleLowDiscrepancy, but in a time that hardly depends on the number of entries. It is not
// safe for concurrent use.
type Sampler struct {
	lookup
	numbers [chunk]uint32
}

// NewSampler returns a Sampler for distributions with k entries. Prepare must be called before
// Draw.
func NewSampler(k int) *Sampler {
	return &Sampler{lookup: lookup{thresholds: make([]uint32, k), starts: make([]uint32, coarseEntries(k))}}
}

// SamplerBytes returns the memory of a Sampler for distributions with k entries.
func SamplerBytes(k int) int64 { return 4 * (int64(k) + int64(coarseEntries(k)) + chunk) }

// Prepare sets the distribution. sums are its running sums; the last one is positive and finite.
func (s *Sampler) Prepare(sums []float32) { s.prepare(sums) }

// Draw draws spikes first, first+1, ... with the random numbers of key. first must be even.
func (s *Sampler) Draw(spikes []int32, first int, key uint64, lowDiscrepancy bool) {
	for len(spikes) > 0 {
		r := s.numbers[:min(chunk, len(spikes))]
		numbers(r, key, first, lowDiscrepancy)
		s.find(r)
		for i, k := range r {
			spikes[i] = int32(k)
		}
		spikes = spikes[len(r):]
		first += len(r)
	}
}
