package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func random(seed uint64, n int, lo, hi float32) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = lo + r.Float32()*(hi-lo)
	}
	return v
}

func TestLoss_HasTheValuesOfItsFormula(t *testing.T) {
	h, target := []float32{0.2, 0.5, 0.3, 0}, []float32{0, 1, 0, 0}
	mse := 0.04 + 0.25 + 0.09
	kl := -math.Log(0.5)
	grad := make([]float32, 4)
	for _, c := range []struct {
		loss Loss
		want float64
	}{
		{Loss{Kind: Mixture, Sum: true}, (0.5*mse + kl) / 1.5},
		{Loss{Kind: Mixture}, (0.5*mse + kl) / 1.5 / 4},
		{Loss{Kind: Mixture, MSE: 1, Sum: true}, mse},
		{Loss{Kind: Mixture, KL: 3, Sum: true}, kl},
		{Loss{Kind: CrossEntropy}, math.Log(math.Exp(0.2)+math.Exp(0.5)+math.Exp(0.3)+1) - 0.5},
	} {
		require.NoError(t, c.loss.Check())
		require.InDelta(t, c.want, c.loss.of(grad, h, target, 4, 1), 1e-6, "%+v", c.loss)
	}
	// The loss is large but finite if the output of the target's class is 0.
	got := Loss{Kind: Mixture, KL: 1, Sum: true}.of(grad, []float32{1, 0}, []float32{0, 1}, 2, 1)
	require.InDelta(t, -math.Log(1e-20), got, 1e-3)
}

// TestLoss_GradientIsTheDerivative compares with central differences.
func TestLoss_GradientIsTheDerivative(t *testing.T) {
	const images, classes, positions = 3, 4, 2
	for _, l := range []Loss{
		{Kind: Mixture}, {Kind: Mixture, Sum: true, MSE: 2, KL: 0.5}, {Kind: CrossEntropy},
	} {
		h := random(1, images*classes*positions, 0.1, 1)
		target := random(2, len(h), 0, 1)
		grad, unused := make([]float32, len(h)), make([]float32, len(h))
		l.of(grad, h, target, classes, positions)
		for i, v := range h {
			const step = 1. / 1024
			h[i] = v + step
			up := l.of(unused, h, target, classes, positions)
			h[i] = v - step
			down := l.of(unused, h, target, classes, positions)
			h[i] = v
			require.InDelta(t, (up-down)/(2*step), grad[i], 1e-3*math.Max(1, math.Abs(float64(grad[i]))), "%+v, entry %d", l, i)
		}
	}
}

// TestCrossEntropy_IsTheMeanOverPositions compares with the cross entropies of the single
// positions.
func TestCrossEntropy_IsTheMeanOverPositions(t *testing.T) {
	h, target := random(3, 12, -1, 1), make([]float32, 12)
	target[2*2+0], target[1*2+1], target[6+0*2+0], target[6+2*2+1] = 1, 1, 1, 1
	l := Loss{Kind: CrossEntropy}
	grad := make([]float32, 12)
	got := l.of(grad, h, target, 3, 2)
	var want float64
	for b := range 2 {
		for p := range 2 {
			var one, wanted, g [3]float32
			for c := range 3 {
				one[c], wanted[c] = h[b*6+c*2+p], target[b*6+c*2+p]
			}
			want += l.of(g[:], one[:], wanted[:], 3, 1) / 4
			for c := range 3 {
				require.InDelta(t, g[c]/4, grad[b*6+c*2+p], 1e-7)
			}
		}
	}
	require.InDelta(t, want, got, 1e-12)
}

// TestAdam_FollowsItsFormula computes the running means as explicit sums over all steps.
func TestAdam_FollowsItsFormula(t *testing.T) {
	for _, multiplicative := range []bool{false, true} {
		values := random(4, 5, 0.1, 1)
		want := make([]float64, len(values))
		for i, v := range values {
			want[i] = float64(v)
		}
		var m moments
		var history [][]float32
		for step := range 6 {
			g := random(uint64(10+step), len(values), -1, 1)
			history = append(history, g)
			Adam.step(&m, values, g, 0.05, multiplicative)
			for i := range want {
				var first, second float64
				for s, old := range history {
					age := float64(step - s)
					first += 0.1 * math.Pow(0.9, age) * float64(old[i])
					second += 0.001 * math.Pow(0.999, age) * float64(old[i]) * float64(old[i])
				}
				n := float64(step + 1)
				d := first / (1 - math.Pow(0.9, n)) / (math.Sqrt(second/(1-math.Pow(0.999, n))) + 1e-8)
				if multiplicative {
					want[i] *= (1+math.Tanh(-0.05*d))*0.5 + 0.5
				} else {
					want[i] -= 0.05 * d
				}
				require.InEpsilon(t, want[i], values[i], 1e-5, "step %d", step)
			}
		}
	}
}

func TestSGD_FollowsItsFormula(t *testing.T) {
	var m moments
	values := []float32{1, 2}
	SGD.step(&m, values, []float32{0.5, -1}, 0.1, false)
	require.InDeltaSlice(t, []float32{0.95, 2.1}, values, 1e-6)
	values = []float32{1, 2}
	SGD.step(&m, values, []float32{50, -1}, 0.1, true)
	require.InDeltaSlice(t, []float64{1 * ((1+math.Tanh(-5))/2 + 0.5), 2 * ((1+math.Tanh(0.1))/2 + 0.5)}, values, 1e-6)
	require.Nil(t, m.First)
}

func TestConstraints_NormalizeLimitAndAverage(t *testing.T) {
	w := []float32{1, 0, 3, 0, -3, 1}
	normalize(w, 2) // the columns 1, 3, -3 and 0, 0, 1 have the sum 1
	require.InDeltaSlice(t, []float32{1, 0, 3, 0, -3, 1}, w, 1e-6)
	w = []float32{1, 0, 3, 0}
	normalize(w, 2)
	require.Equal(t, []float32{0.25, 0, 0.75, 0}, w)
	w = []float32{1, -5, float32(math.NaN()), 0.5}
	atLeast(w, 0.5)
	require.Equal(t, []float32{1, 0.5, 0.5, 0.5}, w)
	average(w)
	require.Equal(t, []float32{0.625, 0.625, 0.625, 0.625}, w)
}

func TestSchedule_ChangesTheRate(t *testing.T) {
	for _, c := range []struct {
		schedule Schedule
		measures []float64
		want     []float64
	}{
		{Schedule{}, []float64{1, 2, 3}, []float64{1, 1, 1}},
		// The first measure is the best one. The third measure that is not better
		// exceeds the patience.
		{Schedule{Kind: Plateau, Factor: 0.5, Patience: 2}, []float64{5, 5, 5, 5, 5, 5, 5, 5}, []float64{1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25}},
		{Schedule{Kind: Plateau, Patience: 1}, []float64{5, 6, 4, 4, 4}, []float64{1, 1, 1, 1, 0.75}},
		// An improvement of less than 1/10,000 does not count.
		{Schedule{Kind: Plateau, Factor: 0.5}, []float64{5, 4.9999, 4.999, 4.9988}, []float64{1, 0.5, 0.5, 0.25}},
		// The smoothed measures are 4, 4, 6, 5.
		{Schedule{Kind: LowPassPlateau, Factor: 0.5, Patience: 1, Tau: 2}, []float64{4, 4, 8, 4}, []float64{1, 1, 0.5, 0.5}},
		{Schedule{Kind: Cosine, Length: 3}, []float64{1, 1, 1, 1}, []float64{0.75, 0.25, 0, 0}},
	} {
		require.NoError(t, c.schedule.Check())
		r := rate{Value: 1}
		var got []float64
		for _, m := range c.measures {
			r.follow(c.schedule, m)
			got = append(got, r.Value)
		}
		require.InDeltaSlice(t, c.want, got, 1e-15, "%+v", c.schedule)
	}
	r := rate{Value: 1.5e-8}
	s := Schedule{Kind: Plateau, Factor: 0.5}
	for range 5 {
		r.follow(s, 1)
	}
	require.Equal(t, 1.5e-8, r.Value, "changes below 1e-8 are omitted")
}

func TestCheck_RefusesValuesOutOfRange(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{Loss{Kind: "x"}.Check(), `unknown loss "x"`},
		{Loss{Kind: Mixture, MSE: -1}.Check(), "-1 (MSE)"},
		{Loss{Kind: Mixture, KL: math.NaN()}.Check(), "NaN (KL)"},
		{Optimizer("x").Check(), `unknown optimizer "x"`},
		{Schedule{Kind: "x"}.Check(), `unknown learning rate schedule "x"`},
		{Schedule{Factor: 2}.Check(), "factor of the learning rate schedule is 2"},
		{Schedule{Kind: Cosine}.Check(), "length of the learning rate schedule is 0"},
		{Schedule{Patience: -1}.Check(), "patience"},
		{Schedule{Tau: 0.5}.Check(), "tau"},
	} {
		require.ErrorContains(t, c.err, c.want)
	}
	require.NoError(t, SGD.Check())
}

func ExampleLoss() {
	h, target, grad := []float32{0.25, 0.75}, []float32{0, 1}, make([]float32, 2)
	l := Loss{Kind: Mixture, MSE: 1, Sum: true}
	fmt.Println(l.of(grad, h, target, 2, 1), grad)
	// Output: 0.125 [0.5 -0.5]
}
