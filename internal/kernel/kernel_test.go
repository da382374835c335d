package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRandom_IsUniform checks the moments and the bits of the numbers of one key and
// of neighboring keys.
func TestRandom_IsUniform(t *testing.T) {
	const n = 1 << 16
	for name, next := range map[string]func(i int) uint32{
		"along a key":      func(i int) uint32 { return Random(Key(1, 2, 3, 4), i) },
		"across positions": func(i int) uint32 { return Random(Key(1, 2, 3, uint64(i)), 0) },
		"across images":    func(i int) uint32 { return Random(Key(1, 2, uint64(i), 4), 1) },
		"across seeds":     func(i int) uint32 { return Random(Key(uint64(i), 2, 3, 4), 5) },
	} {
		t.Run(name, func(t *testing.T) {
			var sum, square, lag float64
			var bits [32]int
			var before float64
			for i := range n {
				r := next(i)
				u := float64(r)/(1<<32) - 0.5
				sum += u
				square += u * u
				lag += u * before
				before = u
				for b := range bits {
					bits[b] += int(r >> b & 1)
				}
			}
			// The tolerance is five standard deviations of each estimate.
			require.InDelta(t, 0, sum/n, 5*math.Sqrt(1./12/n))
			require.InDelta(t, 1./12, square/n, 5*math.Sqrt(1./180/n))
			require.InDelta(t, 0, lag/n, 5/12./math.Sqrt(n))
			for b, c := range bits {
				require.InDelta(t, n/2, c, 5*math.Sqrt(n)/2, "bit %d", b)
			}
		})
	}
}

// TestRandom_HasFixedNumbers checks some numbers: the results of models must not change
// from version to version.
func TestRandom_HasFixedNumbers(t *testing.T) {
	key := Key(0, 0, 0, 0)
	got := []uint32{Random(key, 0), Random(key, 1), Random(key, 2), Random(Key(1, 2, 3, 4), 1000)}
	require.Equal(t, []uint32{0x6b5fd45e, 0x78ae5a9a, 0x68592df1, 0x6d960bf4}, got)
}

// TestSample_FollowsTheDistribution is a chi-squared test.
func TestSample_FollowsTheDistribution(t *testing.T) {
	for _, k := range []int{1, 2, 25, 800} {
		r := rand.New(rand.NewPCG(uint64(k), 0))
		p := make([]float32, k)
		var total float64
		for i := range p {
			if i%3 != 1 { // some entries never spike
				p[i] = 0.1 + r.Float32()
			}
			total += float64(p[i])
		}
		sums, thresholds := make([]float32, k), make([]uint32, k)
		cumulate(sums, p)
		Thresholds(thresholds, sums)
		const n = 200_000
		spikes := make([]int32, n)
		Sample(spikes, thresholds, Key(9, 0, 0, uint64(k)))
		counts := make([]float64, k)
		for _, s := range spikes {
			counts[s]++
		}
		var chi float64
		cells := -1
		for i, c := range counts {
			expected := n * float64(p[i]) / total
			if expected == 0 {
				require.Zero(t, c, "k=%d: entry %d is 0 and must not spike", k, i)
				continue
			}
			chi += (c - expected) * (c - expected) / expected
			cells++
		}
		require.InDelta(t, cells, chi, 5*math.Sqrt(2*float64(max(cells, 1))), "k=%d", k)
	}
}

// TestSampleLowDiscrepancy_IsEvenlyDistributed checks that the count of each entry is
// within 3 of its expectation after every spike.
func TestSampleLowDiscrepancy_IsEvenlyDistributed(t *testing.T) {
	p := []float32{1, 0, 2, 5, 0.5, 1.5}
	sums, thresholds := make([]float32, len(p)), make([]uint32, len(p))
	total := cumulate(sums, p)
	Thresholds(thresholds, sums)
	for key := range uint64(50) {
		spikes := make([]int32, 400)
		SampleLowDiscrepancy(spikes, thresholds, key)
		counts := make([]float64, len(p))
		for i, s := range spikes {
			counts[s]++
			for k, c := range counts {
				require.InDelta(t, float64(i+1)*float64(p[k]/total), c, 3, "key %d, %d spikes, entry %d", key, i+1, k)
			}
		}
	}
}

func TestThresholds_AreSharesOfTheTotal(t *testing.T) {
	for _, c := range []struct {
		name string
		p    []float32
		want []uint32
	}{
		{"one entry", []float32{3}, []uint32{math.MaxInt32}},
		{"two equal entries", []float32{1, 1}, []uint32{1 << 30, math.MaxInt32}},
		{"zeros at the end never spike", []float32{1, 3, 0, 0}, []uint32{1 << 29, math.MaxInt32, math.MaxInt32, math.MaxInt32}},
		{"tiny", []float32{1e-20, 1e-20}, []uint32{1 << 30, math.MaxInt32}},
		{"too tiny for the scale", []float32{1e-38, 3e-38}, []uint32{1<<29 - 1<<6, math.MaxInt32}},
		{"huge", []float32{1 << 126, 1 << 126}, []uint32{1 << 30, math.MaxInt32}},
		{"subnormal", []float32{1e-45, 0}, []uint32{math.MaxInt32, math.MaxInt32}},
		{"two subnormals", []float32{1e-45, 1e-45}, []uint32{1 << 30, math.MaxInt32}},
		{"almost the total", []float32{1 << 24, 1}, []uint32{math.MaxInt32, math.MaxInt32}},
		{"one unit less than the total", []float32{1<<24 - 1, 1}, []uint32{1<<31 - 1<<7, math.MaxInt32}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sums, got := make([]float32, len(c.p)), make([]uint32, len(c.p))
			cumulate(sums, c.p)
			Thresholds(got, sums)
			require.Equal(t, c.want, got)
		})
	}
}

func TestInvert_ReturnsTheFirstEntryWhoseShareReachesU(t *testing.T) {
	sums := []float32{1, 2, 2, 4} // shares 0.25, 0.5, 0.5, 1
	for u, want := range map[float32]int32{0: 0, 0.25: 0, 0.2500001: 1, 0.5: 1, 0.6: 3, 0.99999994: 3, 1: 3} {
		require.Equal(t, want, Invert(sums, u), "u = %v", u)
	}
}

func TestApplySpikes_FollowsTheFormula(t *testing.T) {
	w := []float32{
		0.5, 0.25,
		0.5, 0.75,
		0, 0,
	}
	t.Run("one spike", func(t *testing.T) {
		h := []float32{0.5, 0.5}
		applySpikes(h, w, []int32{0}, []float32{1}, nil, 0)
		// q = 0.375; h = (0.5 + 0.25/0.375, 0.5 + 0.125/0.375)/2
		require.InDeltaSlice(t, []float64{(0.5 + 0.25/0.375) / 2, (0.5 + 0.125/0.375) / 2}, f64(h), 1e-7)
	})
	t.Run("a spike without overlap changes nothing", func(t *testing.T) {
		h := []float32{0.25, 0.75}
		applySpikes(h, w, []int32{2, 2}, []float32{1, 1}, nil, 0.5)
		require.Equal(t, []float32{0.25, 0.75}, h)
	})
	t.Run("epsilon_xy is shared by the channels", func(t *testing.T) {
		a, b := []float32{0.5, 0.5}, []float32{0.5, 0.5}
		applySpikes(a, w, []int32{0, 1}, []float32{1, 1}, []float32{0.5}, 0)
		applySpikes(b, w, []int32{0, 1}, []float32{0.5, 0.5}, nil, 0)
		require.Equal(t, b, a)
	})
	t.Run("the common factor is divided out", func(t *testing.T) {
		spikes, eps := make([]int32, 500), make([]float32, 500)
		for i := range spikes {
			spikes[i], eps[i] = int32(i%2), 20
		}
		h := []float32{0.5, 0.5}
		applySpikes(h, w, spikes, eps, nil, 0)
		require.InDelta(t, 1, h[0]+h[1], 1e-4)
	})
	t.Run("forgetting moves h toward 1/N", func(t *testing.T) {
		h := []float32{0.9, 0.1}
		applySpikes(h, []float32{1, 1}, make([]int32, 100), constants(100, 1), nil, 0.3)
		require.InDeltaSlice(t, []float64{0.5, 0.5}, f64(h), 1e-5)
	})
}

// cumulate is CumulateAt for a patch that is contiguous in memory.
func cumulate(sums, p []float32) float32 {
	offsets := make([]int32, len(p))
	for i := range offsets {
		offsets[i] = int32(i)
	}
	return CumulateAt(sums, p, offsets)
}

func TestCumulateAt4_EqualsCumulateAt(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	const n = 37
	offsets := make([]int32, n)
	var x, sums [4][]float32
	for i := range x {
		x[i], sums[i] = make([]float32, 100), make([]float32, n)
		for k := range x[i] {
			x[i][k] = r.Float32()
		}
	}
	for k := range offsets {
		offsets[k] = int32(r.IntN(100))
	}
	totals := CumulateAt4(sums, x, offsets)
	for i := range x {
		want := make([]float32, n)
		require.Equal(t, CumulateAt(want, x[i], offsets), totals[i])
		require.Equal(t, want, sums[i])
	}
}

func f64(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}
