package poisson

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// probability returns the Poisson probability of k, with an error of about 1e-8.
func probability(k int, rate float64) float64 {
	logFactorial, _ := math.Lgamma(float64(k) + 1)
	return math.Exp(float64(k)*math.Log(rate) - rate - logFactorial)
}

// around returns the counts that are not too improbable.
func around(rate float64) (lo, hi int) {
	reach := 12*math.Sqrt(rate) + 30
	return max(0, int(rate-reach)), int(rate + reach)
}

var testedRates = []float64{0.1, 1, 9.9, 10.1, 25, 88, 120, 800, 1e4, 1e6}

// TestCount_HasThePoissonDistribution compares the mean, the variance and the frequencies of
// many counts with the exact ones. In a chi-square test, neighboring counts are taken together
// so that at least 100 counts are expected in each class.
func TestCount_HasThePoissonDistribution(t *testing.T) {
	const n = 200_000
	for _, rate := range testedRates {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			lo, hi := around(rate)
			frequency := make([]int, hi-lo+1)
			var sum, squares float64
			for i := range n {
				k := int(Count(rate, kernel.Key(1, 2, 3, uint64(i))))
				require.True(t, lo <= k && k <= hi, "%d", k)
				frequency[k-lo]++
				d := float64(k) - rate
				sum += d
				squares += d * d
			}
			require.InDelta(t, 0, sum/n, 4*math.Sqrt(rate/n), "mean")
			require.InEpsilon(t, rate, squares/n, 4*math.Sqrt((2+1/rate)/n), "variance")

			var chi, expected, got float64
			classes := 0
			for i, f := range frequency {
				expected += n * probability(lo+i, rate)
				got += float64(f)
				if expected >= 100 {
					chi += (got - expected) * (got - expected) / expected
					classes++
					expected, got = 0, 0
				}
			}
			require.Greater(t, classes, 1)
			require.InDelta(t, float64(classes), chi, 4*math.Sqrt(2*float64(classes)), "chi-square of %d classes", classes)
		})
	}
}

func TestCount_OfRatesUpToTheMostSpikes(t *testing.T) {
	for i := range 1000 {
		key := kernel.Key(1, 2, 3, uint64(i))
		for _, rate := range []float64{0, 1e-320, 1e-20, 1e-15} {
			require.Zero(t, Count(rate, key), rate)
		}
		require.InDelta(t, 1.6e7, Count(1.6e7, key), 6*4000)
		require.InDelta(t, 1<<24, Count(1<<24, key), 6*4096)
	}
}

// TestCount_OfLargeRates compares the mean and the variance up to the largest rate. The values
// are also compared with the normal distribution, which the Poisson distribution approaches.
func TestCount_OfLargeRates(t *testing.T) {
	const n = 100_000
	for _, rate := range []float64{1e9, 1e12, 1 << 50} {
		var sum, squares, within float64
		for i := range n {
			d := (float64(Count(rate, kernel.Key(4, 5, 6, uint64(i)))) - rate) / math.Sqrt(rate)
			sum += d
			squares += d * d
			if math.Abs(d) < 1 {
				within++
			}
		}
		require.InDelta(t, 0, sum/n, 4/math.Sqrt(n), "mean of %v", rate)
		require.InDelta(t, 1, squares/n, 4*math.Sqrt(2./n), "variance of %v", rate)
		p := math.Erf(math.Sqrt(0.5))
		require.InDelta(t, p, within/n, 4*math.Sqrt(p*(1-p)/n)+1e-4, "share within one standard deviation of %v", rate)
	}
}

// TestInverse_InvertsTheDistribution compares with sums of the exact probabilities.
func TestInverse_InvertsTheDistribution(t *testing.T) {
	below := math.Nextafter32(1, 0)
	for _, rate := range append([]float64{1e-20, 1e-3, 300, 1.6e7}, testedRates...) {
		require.Zero(t, only(Inverse(rate, 0)), "%v: every count has a positive probability", rate)
		last := int64(0)
		for _, u := range []float32{1e-30, 1e-10, 0x1p-24, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 1 - 0x1p-20, below} {
			k, steps := Inverse(rate, u)
			require.LessOrEqual(t, float64(steps), 32*math.Sqrt(rate)+66)
			require.GreaterOrEqual(t, k, last)
			last = k
			lo, _ := around(rate)
			var sum float64
			for i := lo; i < int(k); i++ {
				sum += probability(i, rate)
			}
			require.LessOrEqual(t, sum, float64(u)*(1+1e-6), "rate %v, u %v: cumulative probability of %d", rate, u, k-1)
			require.Greater(t, (sum+probability(int(k), rate))*(1+1e-6), float64(u), "rate %v, u %v: cumulative probability of %d", rate, u, k)
		}
	}
	for _, rate := range []float64{0, 5e-324} {
		require.Zero(t, only(Inverse(rate, below)))
	}
}

func only(k int64, _ int) int64 { return k }

// TestLogProbability_SumsToOne sums all probabilities. It finds errors that are too small for
// the other tests.
func TestLogProbability_SumsToOne(t *testing.T) {
	for _, rate := range append([]float64{1e-20, 15.5, 16.5, 5e6, 1 << 24}, testedRates...) {
		lo, hi := around(rate)
		var sum float64
		for k := lo; k <= hi; k++ {
			sum += math.Exp(logProbability(float64(k), rate))
		}
		require.InDelta(t, 1, sum, 1e-13, rate)
	}
}

func BenchmarkCount(b *testing.B) {
	for _, rate := range []float64{1e-18, 1, 9, 30, 1e6} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			i := uint64(0)
			for b.Loop() {
				Count(rate, i)
				i++
			}
		})
	}
}
