package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// sameBits reports whether two numbers have the same bits or are both NaN.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func requireSameBits(t *testing.T, want, got []float32, name string, x []float32) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, w := range want {
		if !sameBits(w, got[i]) {
			t.Fatalf("%s: number %d of %d, %x: want %x, got %x", name, i, len(want), x[i], w, got[i])
		}
	}
}

// sampledNumbers returns numbers from all float32, which are some bits apart, and special ones.
func sampledNumbers(step uint32) []float32 {
	var x []float32
	for bits := uint64(0); bits < 1<<32; bits += uint64(step) {
		x = append(x, math.Float32frombits(uint32(bits)))
	}
	special := []float32{
		0, 1, 0x1p-149, 0x1p-126, 0x1.fffffcp-127, math.MaxFloat32, float32(math.Inf(1)), float32(math.NaN()), 88.72283, 88.72284, 87.33654, 87.33655,
		103.97, 103.98, 104, 89, 20, 40, 4, 3.92, 14.5, 0.5, 1.5, 2.5, 8388607.5, 8388608, 0x1.6a09e6p0, 0x1.6a09e6p-1, 0x1.6a09e8p-1, 0x1.a8279ap-2,
	}
	for _, v := range special {
		x = append(x, v, -v)
	}
	for i := range 20000 { // where most numbers of a network are
		x = append(x, float32(i-10000)/500)
	}
	return x
}

var functionNames = [functionCount]string{
	"Exp", "Sigmoid", "Tanh", "Erf", "Log", "Softplus", "Softsign", "Mish", "Gelu", "GeluTanh", "Swish", "Elu", "LeakyRelu", "ThresholdedRelu",
	"HardSigmoid", "HardSwish", "Clip", "Normalize", "Abs", "Neg", "Sign", "Reciprocal", "Sqrt", "Floor", "Ceil", "Sin", "Cos", "Round",
}

var someParameters = []float32{0.3, 0.75, 1.25, -0.5}

func TestMap_GivesTheSameBitsOnAllTiers(t *testing.T) {
	x := sampledNumbers(20011)
	want, got := make([]float32, len(x)), make([]float32, len(x))
	for f := range functionCount {
		mapPortable(f, want, x, someParameters)
		for _, tier := range Tiers() {
			undo := Use(tier)
			Map(f, got, x, someParameters)
			undo()
			requireSameBits(t, want, got, fmt.Sprint(functionNames[f], " ", tier), x)
		}
	}
}

func TestMap_OfAnyLength(t *testing.T) {
	for n := range 70 {
		x := randomPixels(rand.New(rand.NewPCG(uint64(n), 60)), n)
		want, got := make([]float32, n), make([]float32, n+1)
		for f := range functionCount {
			mapPortable(f, want, x, someParameters)
			for _, tier := range Tiers() {
				undo := Use(tier)
				got[n] = 7
				Map(f, got[:n], x, someParameters)
				requireSameBits(t, want, got[:n], fmt.Sprint(functionNames[f], " ", tier), x)
				require.Equal(t, float32(7), got[n], "the number after the last one")
				copy(got, x)
				Map(f, got[:n], got[:n], someParameters)
				undo()
				requireSameBits(t, want, got[:n], fmt.Sprint(functionNames[f], " in place, ", tier), x)
			}
		}
	}
}

// TestMap_IsAccurate compares with float64. The difference counts in units in the last place, which
// are those of absolute numbers where results below them do not matter.
func TestMap_IsAccurate(t *testing.T) {
	x := sampledNumbers(10007)
	got := make([]float32, len(x))
	sigmoid := func(v float64) float64 {
		if v < 0 {
			return math.Exp(v) / (1 + math.Exp(v))
		}
		return 1 / (1 + math.Exp(-v))
	}
	softplus := func(v float64) float64 { return math.Max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) }
	p0, p1, p2 := float64(someParameters[0]), float64(someParameters[1]), float64(someParameters[2])
	for _, c := range []struct {
		f        Function
		of       func(v float64) float64
		bound    float64 // units in the last place
		absolute float64 // error that is allowed in any case
	}{
		{Exp, math.Exp, 1, 0},
		{Sigmoid, sigmoid, 2.1, 0},
		{Tanh, math.Tanh, 2.6, 0},
		{Erf, math.Erf, 2.7, 0},
		{Log, math.Log, 1, 0},
		{Softplus, softplus, 2, 0},
		{Softsign, func(v float64) float64 { return v / (1 + math.Abs(v)) }, 1.6, 0},
		{Mish, func(v float64) float64 { return v * math.Tanh(softplus(v)) }, 4, 1e-42},
		{Gelu, func(v float64) float64 { return 0.5 * v * math.Erfc(-v/math.Sqrt2) }, 10, 1e-8},
		{GeluTanh, func(v float64) float64 { return v * sigmoid(2*math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)) }, 5, 3e-8},
		{Swish, func(v float64) float64 { return v * sigmoid(p0*v) }, 10, 1e-9},
		{Elu, func(v float64) float64 {
			if v < 0 {
				return p0 * math.Expm1(p1*v)
			}
			return p2 * v
		}, 3, 0},
		{HardSigmoid, func(v float64) float64 { return math.Max(0, math.Min(1, p0*v+p1)) }, 1, 1e-7},
		{Reciprocal, func(v float64) float64 { return 1 / v }, 0.501, 0},
		{Sqrt, math.Sqrt, 0.501, 0},
		{Floor, math.Floor, 0, 0},
		{Ceil, math.Ceil, 0, 0},
		{Sin, math.Sin, 2, 1e-8},
		{Cos, math.Cos, 2, 1e-8},
		{Round, math.RoundToEven, 0, 0},
	} {
		Map(c.f, got, x, someParameters)
		worst, at := 0.0, float32(0)
		for i, v := range x {
			want := c.of(float64(v))
			if math.IsNaN(want) || math.IsInf(float64(v), 0) || (c.f == Sin || c.f == Cos) && math.Abs(float64(v)) > MostRadians {
				continue // TestMap_OfSpecialNumbers
			}
			if d := ulps(got[i], want, c.absolute); d > worst || math.IsNaN(d) {
				worst, at = d, v
			}
		}
		t.Logf("%s: %.3f units at %v", functionNames[c.f], worst, at)
		if !(worst <= c.bound) {
			t.Errorf("%s(%v) is off by %.3f units in the last place", functionNames[c.f], at, worst)
		}
	}
}

// ulps returns the difference of got and want in units in the last place of want, or 0 if it is at
// most an absolute number.
func ulps(got float32, want, absolute float64) float64 {
	rounded := float32(want)
	if got == rounded || math.Abs(float64(got)-want) <= absolute {
		return 0
	}
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e-24, -149))
}
