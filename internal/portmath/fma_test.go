package portmath

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactFMA returns x*y + z, computed exactly and then rounded to float32.
func exactFMA(x, y, z float32) float32 {
	for _, v := range []float32{x, y, z} {
		if f := float64(v); math.IsInf(f, 0) || math.IsNaN(f) {
			p := float64(x) * float64(y)
			return float32(float64(p) + float64(z))
		}
	}
	const enough = 1000 // bits: from 2^-298, the product of the smallest numbers, to 2^256
	number := func(v float32) *big.Float { return new(big.Float).SetPrec(enough).SetFloat64(float64(v)) }
	sum := number(x)
	sum.Mul(sum, number(y))
	sum.Add(sum, number(z))
	r, _ := sum.Float32()
	return r
}

// sameBits reports whether a and b have the same bits or are both NaN.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// draws returns the number of random cases: with -short, which emulated processors need, a tenth of n.
func draws(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func checkFMA(t *testing.T, x, y, z float32) {
	t.Helper()
	if got, want := FMA(x, y, z), exactFMA(x, y, z); !sameBits(got, want) {
		t.Fatalf("FMA(%x, %x, %x) = %x, want %x", x, y, z, got, want)
	}
}

func TestFMA_RoundsOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	// number has a random sign, 24 random bits, of which the last ones are often 0, and an
	// exponent near the given one.
	number := func(exponent int) float32 {
		m := 1<<23 | random.Uint32N(1<<23)
		m &= ^uint32(0) << random.IntN(24)
		f := math.Ldexp(float64(m), exponent-23+random.IntN(7)-3)
		if random.IntN(2) == 0 {
			f = -f
		}
		return float32(f)
	}
	for subject, exponent := range map[string]struct{ x, y, z int }{
		"all near 1":    {0, 0, 0},
		"small product": {-12, -12, 0},
		"product of half a unit in the last place": {-12, -12, 0},
		"tiny product":                          {-30, -30, 0},
		"small sum":                             {10, 20, 3},
		"cancellation":                          {10, -10, 0},
		"subnormal sum":                         {-70, -70, -140},
		"subnormal product":                     {-70, -80, -126},
		"subnormal numbers":                     {-140, -5, -149},
		"subnormal with a large factor":         {-140, 10, -130},
		"product far below the smallest number": {-149, -149, -149},
		"huge":                                  {64, 63, 127},
		"overflow that the sum prevents":        {64, 64, 127},
	} {
		t.Run(subject, func(t *testing.T) {
			for range draws(20000) {
				checkFMA(t, number(exponent.x), number(exponent.y), number(exponent.z))
			}
		})
	}
	for range draws(100000) { // any bits
		f := func() float32 { return math.Float32frombits(random.Uint32()) }
		checkFMA(t, f(), f(), f())
	}
}

// TestFMA_BreaksTiesByTheExactSum has sums that are a tie in float64, but not exactly: the
// product is a tie of the float32 near z, plus or minus less than float64 can hold.
func TestFMA_BreaksTiesByTheExactSum(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, scale := range []int{0, -100, 40, 103, -125, -126, -127, -130, -140, -149, -150, -151} {
		for range draws(20000) {
			// x*y = (1 + d) * (1 - d) = 1 - d*d or 1 + 2*d + d*d, times half a unit of z
			d := math.Ldexp(float64(1+random.IntN(3)), -10-random.IntN(14))
			x, y := 1+d, 1-d
			if random.IntN(2) == 0 {
				y = x
			}
			z := float64(random.Uint32N(1<<24)) * 2
			up := random.IntN(30) // exponent of x; y has the rest
			x, y, z = math.Ldexp(x, up+scale/2), math.Ldexp(y, scale-scale/2-up), math.Ldexp(z, scale)
			for _, s := range []float64{1, -1} {
				checkFMA(t, float32(s*x), float32(y), float32(z))
				checkFMA(t, float32(s*x), float32(y), float32(-z))
			}
		}
	}
}

func TestFMA_OfSpecialValues(t *testing.T) {
	inf := float32(math.Inf(1))
	values := []float32{
		0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-149, -0x1p-149, 0x1p-126, 0x1.fffffcp-127, 0x1p-75, 0x1p-74, -0x1p-75,
		math.MaxFloat32, -math.MaxFloat32, 0x1p64, 0x1p63, 0x1.000002p0, 0x1.fffffep-1, inf, -inf, float32(math.NaN()),
	}
	for _, x := range values {
		for _, y := range values {
			for _, z := range values {
				checkFMA(t, x, y, z)
			}
		}
	}
}

// TestFMA_OfAProduct checks that the compiler does not fuse another product, which is an
// argument of FMA.
func TestFMA_OfAProduct(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 10000 {
		x, y, a, b := random.Float32(), random.Float32(), random.Float32(), random.Float32()
		z := float32(a * b)
		if got, want := FMA(x, y, a*b), exactFMA(x, y, z); !sameBits(got, want) {
			t.Fatalf("FMA(%x, %x, %x*%x) = %x, want %x", x, y, a, b, got, want)
		}
	}
}

func FuzzFMA(f *testing.F) {
	f.Add(uint32(0x3f800000), uint32(0x3f800001), uint32(0x33800000))
	f.Add(uint32(1), uint32(0x3f000000), uint32(0x80000001))
	f.Fuzz(func(t *testing.T, x, y, z uint32) {
		checkFMA(t, math.Float32frombits(x), math.Float32frombits(y), math.Float32frombits(z))
	})
}

func BenchmarkFMA(b *testing.B) {
	x, y, z := make([]float32, 1024), make([]float32, 1024), make([]float32, 1024)
	random := rand.New(rand.NewPCG(7, 8))
	for i := range x {
		x[i], y[i], z[i] = random.Float32(), random.Float32(), random.Float32()
	}
	b.SetBytes(4 * int64(len(x)))
	for b.Loop() {
		for i, v := range x {
			z[i] = FMA(v, y[i], z[i]*0.25)
		}
	}
}
