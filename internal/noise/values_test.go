package noise

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// poissonOf returns the smallest count whose cumulative probability is above u.
func poissonOf(rate, u float64) float64 {
	sum := 0.0
	for k := 0.0; ; k++ {
		logFactorial, _ := math.Lgamma(k + 1)
		if sum += math.Exp(k*math.Log(rate) - rate - logFactorial); sum > u || k > 100 {
			return k
		}
	}
}

// Counts of fewer than 10 photons on average are drawn by inversion. internal/poisson tests the
// others.
func TestShot_CountsPhotons(t *testing.T) {
	const seed, image = 3, 4
	for _, sigma := range []struct {
		text  string
		value float64
	}{{"0.4", 0.4}, {"1", 1}, {"5", 5}} {
		x := gradient(3 * 12 * 13)
		got := add(t, "shot="+sigma.text, x, 3, 12, 13, seed, image)
		for i, v := range got {
			key := kernel.PositionKey(kernel.Key(seed, 0x6e6f697365, image, 5), uint64(i))
			u := float64(kernel.Random(key, 1))/0x1p32 + math.Floor(float64(kernel.Random(key, 0))/0x1p11)/0x1p53
			want := 0.0
			if x[i] > 0 {
				want = math.Min(1, sigma.value*sigma.value*poissonOf(float64(x[i])/(sigma.value*sigma.value), u))
			}
			require.InDelta(t, want, v, 1e-7, "%s, value %d", sigma.text, i)
		}
	}
}

// The Poisson distribution of rate r has the mean r, the variance r, the third central moment r
// and the fourth r + 3*r*r.
func TestShot_HasTheKnownMoments(t *testing.T) {
	const n = 1e6
	for _, c := range []struct {
		text     string
		sigma, x float64
	}{{"shot=0.05", 0.05, 0.5}, {"shot=0.1", 0.1, 0.25}, {"shot=0.25", 0.25, 0.125}, {"shot=0.001", 0.001, 0.75}} {
		photon := c.sigma * c.sigma
		rate := c.x / photon
		values := draw(t, c.text, float32(c.x), 100)
		var third float64
		for i, v := range values {
			d := v/photon - rate
			if rate < 1000 {
				require.InDelta(t, 0, math.Abs(math.Remainder(v/photon, 1)), 1e-3, "a whole number of photons")
			}
			third += d * d * d / n
			values[i] = d
		}
		mean, variance := moments(values)
		require.InDelta(t, 0, mean, standardErrors*math.Sqrt(rate/n), c.text)
		require.InDelta(t, rate, variance, standardErrors*math.Sqrt((rate+2*rate*rate)/n), c.text)
		// The sixth central moment is about 15*rate^3 + 25*rate^2 + rate.
		require.InDelta(t, rate, third, standardErrors*math.Sqrt((15*rate*rate*rate+25*rate*rate+rate)/n), c.text)
	}
	// A count above 1/sigma^2 is clipped: with 1 photon for white, a white pixel is black with
	// probability 1/e, and otherwise white.
	black := 0.0
	for _, v := range draw(t, "shot=1", 1, 100) {
		require.True(t, v == 0 || v == 1)
		if v == 0 {
			black++
		}
	}
	p := math.Exp(-1)
	require.InDelta(t, p, black/n, standardErrors*math.Sqrt(p*(1-p)/n))
	require.Equal(t, constant(100, 0), add(t, "shot=0.3", constant(100, 0), 1, 10, 10, 0, 0), "black has no noise")
}

func TestShot_DrawsUnrelatedNumbersForEveryValue(t *testing.T) {
	const n = 30000
	of := func(text string, image uint64) []float64 {
		var v []float64
		for _, x := range add(t, text, constant(n, 0.5), 3, 100, 100, 1, image) {
			v = append(v, float64(x))
		}
		return v
	}
	values := of("shot=0.1", 2)
	for name, other := range map[string][]float64{
		"next value":    append(values[1:len(values):len(values)], values[0]),
		"other channel": append(values[10000:len(values):len(values)], values[:10000]...),
		"other image":   of("shot=0.1", 3),
		"gaussian":      of("gaussian=0.1", 2),
		"uniform":       of("uniform=0.1", 2),
	} {
		require.Less(t, math.Abs(correlation(values, other)), standardErrors/math.Sqrt(n), name)
	}
	for _, level := range []string{"shot=0.12", "shot=0.2", "shot=0.3"} {
		require.Greater(t, correlation(values, of(level, 2)), 0.6, "%s has the same random numbers", level)
	}
}

// At the smallest levels, the noise is below the last digit of the values.
func TestShot_OfTheSmallestLevelsChangesNothing(t *testing.T) {
	x := gradient(1000)
	for _, level := range []string{"1e-9", "1e-100", "1e-300", "5e-324"} {
		for i, v := range add(t, "shot="+level, x, 1, 10, 100, 1, 2) {
			require.InDelta(t, x[i], v, 3e-7, level)
		}
	}
}

func TestBrightness_AddsToAllValues(t *testing.T) {
	x := gradient(300)
	for text, b := range map[string]float64{"brightness=0.25": 0.25, "brightness=-0.4": -0.4, "brightness=1": 1, "brightness=-1": -1} {
		for i, v := range add(t, text, x, 3, 10, 10, 1, 2) {
			require.InDelta(t, math.Max(0, math.Min(1, float64(x[i])+b)), v, 1e-7, text)
		}
		require.Equal(t, add(t, text, x, 3, 10, 10, 1, 2), add(t, text, x, 3, 10, 10, 3, 4), "no random numbers")
	}
}

// random returns n values from 0 to 1.
func random(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(kernel.Random(99, i)>>8) / (1 << 24)
	}
	return v
}

// The reference is one sum over all neighbors in both directions.
func TestBlur_IsTheWeightedMeanOfTheNeighbors(t *testing.T) {
	for _, c := range []struct {
		text     string
		sigma    float64
		radius   int
		channels int
		height   int
		width    int
	}{
		{"blur=0.1", 0.1, 0, 1, 4, 5}, {"blur=0.125", 0.125, 1, 1, 4, 5}, {"blur=0.5", 0.5, 2, 3, 8, 6}, {"blur=0.6", 0.6, 2, 1, 8, 6},
		{"blur=0.7", 0.7, 3, 2, 7, 9}, {"blur=2", 2, 8, 1, 12, 11}, {"blur=3", 3, 12, 1, 5, 20}, {"blur=1", 1, 4, 2, 1, 1}, {"blur=1", 1, 4, 1, 1, 7},
	} {
		x := random(c.channels * c.height * c.width)
		got := add(t, c.text, x, c.channels, c.height, c.width, 1, 2)
		for i, v := range got {
			plane, row, column := i/(c.height*c.width), i/c.width%c.height, i%c.width
			var sum, weights float64
			for dy := -c.radius; dy <= c.radius; dy++ {
				for dx := -c.radius; dx <= c.radius; dx++ {
					w := math.Exp(-float64(dy*dy+dx*dx) / (2 * c.sigma * c.sigma))
					y, z := row+dy, column+dx
					y = int(math.Max(0, math.Min(float64(c.height-1), float64(y))))
					z = int(math.Max(0, math.Min(float64(c.width-1), float64(z))))
					sum += w * float64(x[(plane*c.height+y)*c.width+z])
					weights += w
				}
			}
			require.InDelta(t, sum/weights, v, 1e-7, "%s, value %d", c.text, i)
		}
	}
}

// A point becomes a Gaussian with this variance in both directions, apart from what lies
// beyond 4*sigma. Its sum does not change.
func TestBlur_OfAPointHasTheKnownMoments(t *testing.T) {
	for text, sigma := range map[string]float64{"blur=1": 1, "blur=2": 2, "blur=3.5": 3.5} {
		const size = 41
		x := constant(size*size, 0)
		x[size/2*size+size/2] = 1
		var sum, vertical, horizontal float64
		for i, v := range add(t, text, x, 1, size, size, 0, 0) {
			dy, dx := float64(i/size-size/2), float64(i%size-size/2)
			sum += float64(v)
			vertical += float64(v) * dy * dy
			horizontal += float64(v) * dx * dx
		}
		require.InDelta(t, 1, sum, 1e-6, text)
		require.InEpsilon(t, sigma*sigma, vertical, 2e-3, text)
		require.InEpsilon(t, sigma*sigma, horizontal, 2e-3, text)
	}
	for _, v := range []float32{0, 0.1, 0.7, 1} {
		require.Equal(t, constant(99, v), add(t, "blur=2", constant(99, v), 1, 9, 11, 0, 0), "a constant image stays")
	}
}
