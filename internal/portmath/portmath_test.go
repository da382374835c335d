package portmath

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

var functions = []struct {
	name         string
	f, reference func(float64) float64
	units        float64 // largest difference of f and reference, in units in the last place
}{
	{"Exp", Exp, math.Exp, 2},
	{"Expm1", Expm1, math.Expm1, 3},
	{"Log", Log, math.Log, 2},
	{"Log1p", Log1p, math.Log1p, 4},
	{"Tanh", Tanh, math.Tanh, 4},
	{"Cos", Cos, math.Cos, 2},
}

// special lists arguments for which the results of package math are required.
func special() []float64 {
	values := []float64{0, math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-60, 0.25, 0.5, 1, 1.5, 2, 3, 4, 1000, 1001, 0x1p52, 0x1p53 - 1,
		0x1p53, 0x1p54 + 4, 1e300, math.MaxFloat64, math.Inf(1)}
	for _, v := range values[:len(values):len(values)] {
		values = append(values, -v)
	}
	return append(values, math.NaN(), math.Copysign(0, -1))
}

// requireNear checks that got differs from want by at most so many units in the last
// place. Zeros, infinities and NaN must be equal, and so must the signs.
func requireNear(t *testing.T, want, got, units float64, arguments ...float64) {
	t.Helper()
	_, e := math.Frexp(want)
	unit := math.Ldexp(1, max(e-53, -1074))
	switch {
	case math.IsNaN(want) && math.IsNaN(got):
	case math.Signbit(want) == math.Signbit(got) && (want == got || want != 0 && math.Abs(want-got) <= units*unit):
	default:
		require.Failf(t, "wrong result", "of %x: %x, want %x", arguments, got, want)
	}
}

func TestFunctions_HaveTheSpecialCasesOfPackageMath(t *testing.T) {
	for _, c := range functions {
		t.Run(c.name, func(t *testing.T) {
			for _, x := range special() {
				switch {
				case c.name == "Cos" && math.Abs(x) > 1<<20 && !math.IsInf(x, 0):
					continue // see TestCos_OfLargeNumbers
				case c.name == "Log" && x > 0 && x < 0x1p-1022:
					continue // math.Log of Go 1.26 is wrong by 5% on amd64
				}
				requireNear(t, c.reference(x), c.f(x), c.units, x)
			}
		})
	}
}

func TestFunctions_AreNearPackageMath(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	for _, c := range functions {
		t.Run(c.name, func(t *testing.T) {
			for range 10000 {
				x := 10 * random.Float64()
				if c.name == "Cos" {
					x = random.Float64()
				}
				requireNear(t, c.reference(x), c.f(x), c.units, x)
				requireNear(t, c.reference(-x), c.f(-x), c.units, -x)
			}
		})
	}
}

func TestCos_OfLargeNumbers(t *testing.T) {
	for x := float64(1 << 20); x < 1<<40; x *= 1.37 {
		require.InDelta(t, math.Cos(x), Cos(x), x*0x1p-53, "%x", x)
	}
	require.LessOrEqual(t, math.Abs(Cos(math.MaxFloat64)), 1.0)
}

func TestPow_HasTheSpecialCasesOfPackageMath(t *testing.T) {
	for _, x := range special() {
		for _, y := range special() {
			if a := math.Abs(x); a > 0 && a < 0x1p-1022 && math.Trunc(y) != y {
				continue // math.Pow uses math.Log
			}
			requireNear(t, math.Pow(x, y), Pow(x, y), 1000, x, y) // math.Pow has large errors
		}
	}
}

func TestPow_IsExactIfAFloat64CanHoldTheResult(t *testing.T) {
	for n := 2; n < 3000; n++ {
		want := 1.0
		for y := 0; want < 0x1p53; y++ {
			require.Equal(t, want, Pow(float64(n), float64(y)), "%d, %d", n, y)
			if y > 0 && y&(y-1) == 0 { // 1/y is exact
				require.Equal(t, float64(n), Pow(want, 1/float64(y)), "root %d of %g", y, want)
			}
			want *= float64(n)
		}
	}
	for e := -1074; e < 1024; e++ {
		require.Equal(t, math.Ldexp(1, e), Pow(2, float64(e)))
		require.Equal(t, math.Ldexp(1, e), Pow(0.5, -float64(e)))
	}
}

func TestExp_OfTheLargestAndSmallestResults(t *testing.T) {
	require.True(t, math.IsInf(Exp(709.782712893385), 1))
	require.Less(t, Exp(709.782712893384-1e-13), math.Inf(1))
	require.Equal(t, 0.0, Exp(-745.2))
	require.Equal(t, math.SmallestNonzeroFloat64, Exp(-745.1))
}

// TestResults_AreTheSameBitsOnEveryProcessor compares a hash of many results. To run it
// for another architecture, install QEMU and run, for example:
//
//	GOARCH=arm64 CGO_ENABLED=0 go test -exec qemu-aarch64 ./internal/portmath
func TestResults_AreTheSameBitsOnEveryProcessor(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 16))
	// number returns a number with an exponent between -n and n, which is 0 in about half
	// of the cases.
	number := func(n int) float64 {
		e := 0
		if random.IntN(2) == 0 {
			e = random.IntN(2*n+1) - n
		}
		return math.Float64frombits(random.Uint64()&(1<<63|1<<52-1) | uint64(1023+e)<<52)
	}
	number32 := func() float32 {
		return math.Float32frombits(uint32(random.Uint64())&(1<<31|1<<23-1) | uint32(127+random.IntN(20)-10)<<23)
	}
	hash := fnv.New64a()
	write := func(y float64) {
		if math.IsNaN(y) {
			y = 0
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(y))
		hash.Write(b[:])
	}
	for range 20000 {
		for _, c := range functions {
			write(c.f(number(30)))
			write(c.f(number(1)))
		}
		write(Pow(math.Abs(number(60)), number(10)))
		write(Pow(number(10), math.Trunc(number(5))))
		write(float64(FMA(number32(), number32(), number32())))
	}
	for _, x := range special() {
		for _, c := range functions {
			write(c.f(x))
		}
		for _, y := range special() {
			write(Pow(x, y))
		}
	}
	require.Equal(t, uint64(0xed0b1fc32da8cc49), hash.Sum64())
}

func benchmark(b *testing.B, low, high float64, f func(float64) float64) {
	x := make([]float64, 1024)
	random := rand.New(rand.NewPCG(17, 18))
	for i := range x {
		x[i] = low + (high-low)*random.Float64()
	}
	total := 0.0
	for b.Loop() {
		for _, v := range x {
			total += f(v)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(x)), "ns/value")
	if math.IsNaN(total) {
		b.Fatal("a result is NaN")
	}
}

// BenchmarkFunctions compares the functions with those of package math.
func BenchmarkFunctions(b *testing.B) {
	for _, c := range functions {
		low, high := -10.0, 10.0
		if c.name == "Log" || c.name == "Log1p" {
			low = 0.01
		}
		b.Run(c.name, func(b *testing.B) { benchmark(b, low, high, c.f) })
		b.Run(c.name+"/math", func(b *testing.B) { benchmark(b, low, high, c.reference) })
	}
	b.Run("Pow", func(b *testing.B) { benchmark(b, 1, 100, func(x float64) float64 { return Pow(x, -0.37) }) })
	b.Run("Pow/math", func(b *testing.B) { benchmark(b, 1, 100, func(x float64) float64 { return math.Pow(x, -0.37) }) })
}
