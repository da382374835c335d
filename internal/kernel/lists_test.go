package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

func TestMap_OfSpecialNumbers(t *testing.T) {
	inf, nan, zero := float32(math.Inf(1)), float32(math.NaN()), float32(math.Copysign(0, -1))
	for _, c := range []struct {
		f       Function
		x, want []float32
	}{
		{Exp, []float32{inf, -inf, 0, zero, 89, -104}, []float32{inf, 0, 1, 1, inf, 0}},
		{Sigmoid, []float32{inf, -inf, 0, zero}, []float32{1, 0, 0.5, 0.5}},
		{Tanh, []float32{inf, -inf, 0, zero, 0x1p-149}, []float32{1, -1, 0, zero, 0x1p-149}},
		{Erf, []float32{inf, -inf, 0, zero}, []float32{1, -1, 0, zero}},
		{Log, []float32{inf, -inf, -1, 0, zero, 1}, []float32{inf, nan, nan, -inf, -inf, 0}},
		{Softplus, []float32{inf, -inf}, []float32{inf, 0}},
		{Gelu, []float32{inf, -inf, 0, 100, -100}, []float32{inf, zero, 0, 100, zero}},
		{GeluTanh, []float32{inf, -inf, 0, 100, -100}, []float32{inf, zero, 0, 100, zero}},
		{Mish, []float32{inf, 100}, []float32{inf, 100}},
		{Sign, []float32{inf, -inf, 0, zero, -0x1p-149}, []float32{1, -1, 0, zero, -1}},
		{Sin, []float32{0, zero, inf}, []float32{0, zero, nan}},
		{Cos, []float32{0, zero, -inf}, []float32{1, 1, nan}},
		{Clip, []float32{inf, -inf}, []float32{someParameters[1], someParameters[0]}},
	} {
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := make([]float32, len(c.x))
			Map(c.f, got, c.x, someParameters)
			requireSameBits(t, c.want, got, fmt.Sprint(functionNames[c.f], " ", tier), c.x)
			undo()
		}
	}
	for f := range functionCount {
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := []float32{0}
			if Map(f, got, []float32{nan}, someParameters); f != ThresholdedRelu {
				require.True(t, got[0] != got[0], "%s of NaN, %v", functionNames[f], tier)
			}
			undo()
		}
	}
}

// eachTier calls compute with every tier, and checks that the results are those of the portable one,
// which it returns.
func eachTier(t *testing.T, name string, compute func() []float32) []float32 {
	t.Helper()
	var want []float32
	for _, tier := range Tiers() {
		undo := Use(tier)
		got := compute()
		undo()
		if tier == Portable {
			want = got
		}
		requireSameBits(t, want, got, fmt.Sprint(name, ", ", tier), got)
	}
	return want
}

// TestSoftmax_EqualsTheDefinition compares rows of all kinds of lengths with float64.
func TestSoftmax_EqualsTheDefinition(t *testing.T) {
	for n := 1; n <= ShortRow; n += 1 + n/20 {
		r := rand.New(rand.NewPCG(uint64(n), 61))
		const rows = 3
		x := make([]float32, rows*n)
		for i := range x {
			x[i] = float32(r.NormFloat64() * 10)
		}
		y := eachTier(t, "softmax", func() []float32 { y := make([]float32, len(x)); Softmax(y, x, n); return y })
		z := eachTier(t, "log", func() []float32 { z := append([]float32{}, x...); LogSoftmax(z, z, n); return z })
		for row := range rows {
			top, total := math.Inf(-1), 0.0
			for _, v := range x[row*n:][:n] {
				top = max(top, float64(v))
			}
			for _, v := range x[row*n:][:n] {
				total += math.Exp(float64(v) - top)
			}
			for i, v := range x[row*n:][:n] {
				exponent := float64(v) - top
				require.InEpsilon(t, math.Exp(exponent)/total, y[row*n+i], 1e-6*(1+math.Abs(exponent)/16))
				require.InDelta(t, exponent-math.Log(total), z[row*n+i], 4e-7*(1+math.Abs(exponent)))
			}
		}
	}
}

func TestSoftmax_OfSpecialRows(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct{ x, want []float32 }{
		{[]float32{-inf, 0, -inf, 0}, []float32{0, 0.5, 0, 0.5}},
		{[]float32{1, nan}, []float32{nan, nan}},
		{[]float32{-inf, -inf}, []float32{nan, nan}},
		{[]float32{inf, 1}, []float32{nan, 0}},
		{[]float32{1e30, 1e30}, []float32{0.5, 0.5}},
	} {
		got := eachTier(t, "softmax", func() []float32 { y := make([]float32, len(c.x)); Softmax(y, c.x, len(c.x)); return y })
		if c.x[0] == inf {
			got[1] = 0 // the sum is NaN
		}
		requireSameBits(t, c.want, got, fmt.Sprint(c.x), c.x)
	}
}

func TestExpSum_EqualsTheDefinition(t *testing.T) {
	for n := range 70 {
		x := randomPixels(rand.New(rand.NewPCG(uint64(n), 62)), n)
		top := Top(x)
		eachTier(t, "sum", func() []float32 {
			y, sums := make([]float32, n), make([]float32, n)
			sum := ExpSum(y, x, top)
			columns := make([]float32, n)
			ExpColumns(columns, x, constants(n, top), sums)
			requireSameBits(t, y, columns, "columns", x)
			requireSameBits(t, y, sums, "sums", x)
			require.True(t, sameBits(sum, ExpTotal(x, top)))
			return append(y, sum, Top(x))
		})
	}
}

func TestNormalizeRow_EqualsMap(t *testing.T) {
	for n := range 70 {
		x := randomPixels(rand.New(rand.NewPCG(uint64(n), 63)), n)
		got := eachTier(t, "row", func() []float32 {
			y := make([]float32, n)
			NormalizeRow(y, x, constants(n, 1.25), constants(n, -0.5), []float32{0.3, 0.75, 1})
			return y
		})
		want := make([]float32, n)
		mapPortable(Normalize, want, x, someParameters)
		requireSameBits(t, want, got, "row", x)
	}
}

func TestCombine_EqualsTheDefinition(t *testing.T) {
	for n := range 70 {
		r := rand.New(rand.NewPCG(uint64(n), 64))
		x, y := randomPixels(r, 2*n+1), randomPixels(r, 2*n+1)
		c := make([]bool, n)
		for i := range c {
			c[i] = r.IntN(2) == 1
		}
		for _, step := range [][2]int{{1, 1}, {0, 1}, {1, 0}, {0, 0}, {2, 1}} {
			got := map[Pair][]float32{}
			for op := range pairCount {
				got[op] = eachTier(t, fmt.Sprint(op, step), func() []float32 {
					out := make([]float32, n+1)
					Combine(op, out[:n], x, y, step[0], step[1])
					return out
				})
			}
			selected := eachTier(t, "selected", func() []float32 {
				out := make([]float32, n+1)
				Select(out[:n], c, x, y, step[0], step[1])
				return out
			})
			for _, tier := range Tiers() {
				undo := Use(tier)
				var less, lessEqual, equal [100]bool
				Compare(Less, less[:n], x, y, step[0], step[1])
				Compare(LessEqual, lessEqual[:n], x, y, step[0], step[1])
				Compare(Equal, equal[:n], x, y, step[0], step[1])
				undo()
				for i := range n {
					a, b := x[i*step[0]], y[i*step[1]]
					require.Equal(t, [3]bool{a < b, a <= b, a == b}, [3]bool{less[i], lessEqual[i], equal[i]}, "%v %v %v", tier, a, b)
				}
				require.False(t, less[n] || lessEqual[n] || equal[n])
			}
			for i := range n {
				a, b := x[i*step[0]], y[i*step[1]]
				slope := a
				if a < 0 { // not for -0, whose product with an infinite slope is NaN
					slope = a * b
				}
				chosen := b
				if c[i] {
					chosen = a
				}
				want := []float32{a + b, a - b, a * b, a / b, max(a, b), min(a, b), slope, chosen}
				have := []float32{got[Add][i], got[Sub][i], got[Mul][i], got[Div][i], got[Max][i], got[Min][i], got[PRelu][i], selected[i]}
				requireSame(t, want, have, fmt.Sprint(a, " and ", b))
			}
		}
	}
}

func TestTotal_EqualsTheDefinition(t *testing.T) {
	for n := range 200 {
		r := rand.New(rand.NewPCG(uint64(n), 65))
		x, center := make([]float32, n), r.Float64()
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		product, products := 1.0, map[Tier]float64{}
		for _, v := range x {
			product *= float64(v)
		}
		for _, tier := range Tiers() {
			undo := Use(tier)
			products[tier] = Product(x)
			undo()
			require.Equal(t, math.Float64bits(products[Portable]), math.Float64bits(products[tier]), "%v, %d numbers", tier, n)
		}
		require.InDelta(t, product, products[Portable], 1e-15*float64(1+n)*math.Abs(product))
		for kind := Numbers; kind <= Squares; kind++ {
			var want, portable float64
			for _, v := range x {
				switch kind {
				case Numbers:
					want += float64(v)
				case Magnitudes:
					want += math.Abs(float64(v))
				case Squares:
					want += (float64(v) - center) * (float64(v) - center)
				}
			}
			var columns []float64
			for _, tier := range Tiers() {
				undo := Use(tier)
				got := Total(kind, x, center)
				sums := make([]float64, n)
				for range 3 {
					Accumulate(kind, sums, x)
				}
				stride := n / 3
				rows, inTurn := make([]float64, stride), make([]float64, stride)
				AccumulateRows(kind, rows, x, 3, stride)
				for r := range 3 {
					Accumulate(kind, inTurn, x[r*stride:][:stride])
				}
				undo()
				require.Equal(t, inTurn, rows)
				if tier == Portable {
					portable, columns = got, sums
				}
				require.Equal(t, portable, got, "%v, %v, %d numbers", kind, tier, n)
				require.Equal(t, columns, sums)
				require.InDelta(t, want, got, 1e-12*float64(1+n))
				for i, s := range sums {
					v := float64(x[i])
					require.InDelta(t, []float64{3 * v, 3 * math.Abs(v), 3 * v * v}[kind], s, 1e-12)
				}
			}
		}
	}
}

func TestLargest_EqualsTheDefinition(t *testing.T) {
	for n := range 100 {
		r := rand.New(rand.NewPCG(uint64(n), 66))
		x := randomPixels(r, n)
		if n%2 == 0 { // without NaN
			for i, v := range x {
				if v != v {
					x[i] = 0
				}
			}
		}
		start := r.Float32() - 0.5
		got := eachTier(t, "extremes", func() []float32 { return []float32{Largest(x, start), Smallest(x, start)} })
		want := []float32{start, start}
		for _, v := range x {
			want[0], want[1] = max(want[0], v), min(want[1], v)
		}
		requireSame(t, want, got, "extremes")
	}
}

// TestHalf_IsTheSameOnAllTiers compares the conversions of the tiers with each other and, for
// numbers that float16 represents, with the definition.
func TestHalf_IsTheSameOnAllTiers(t *testing.T) {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	numbers := sampledNumbers(50021)
	for i := range 1 << 16 { // ties, and numbers next to them
		v := math.Float32bits(float32(math.Ldexp(float64(1<<11+i%4096*2+1), i/4096-24-12)))
		numbers = append(numbers, math.Float32frombits(v-1), math.Float32frombits(v), math.Float32frombits(v+1), math.Float32frombits(v|1<<31))
	}
	numbers = numbers[:len(numbers)&^15]
	var first []float32
	var halves []uint16
	for _, tier := range Tiers()[1:] {
		undo := Use(tier)
		back := make([]float32, len(all))
		require.Equal(t, len(all), FromHalf(back, all))
		h := make([]uint16, len(all))
		require.Equal(t, len(all), ToHalf(h, back))
		rounded := make([]uint16, len(numbers))
		require.Equal(t, len(numbers), ToHalf(rounded, numbers))
		undo()
		for i, b := range all {
			e, m, sign := int(b>>10&31), float64(b&1023), 1-2*float64(b>>15)
			switch {
			case e == 31 && m > 0:
				require.True(t, back[i] != back[i], i)
				require.Equal(t, uint16(0x7c00), h[i]&0x7c00)
				require.NotZero(t, h[i]&0x3ff)
				continue
			case e == 31:
				require.Equal(t, float32(math.Inf(int(sign))), back[i])
			case e == 0:
				require.Equal(t, float32(sign*math.Ldexp(m, -24)), back[i])
			default:
				require.Equal(t, float32(sign*math.Ldexp(1024+m, e-25)), back[i])
			}
			require.Equal(t, b, h[i])
		}
		if first == nil {
			first, halves = back, rounded
			continue
		}
		requireSameBits(t, first, back, tier.String(), back)
		for i, v := range numbers {
			if v == v {
				require.Equal(t, halves[i], rounded[i], "%v of %x", tier, v)
			}
		}
	}
}

func TestLogic_EqualsTheDefinition(t *testing.T) {
	for n := range 40 {
		r := rand.New(rand.NewPCG(uint64(n), 68))
		a, b := make([]bool, n), make([]bool, n)
		for i := range a {
			a[i], b[i] = r.IntN(2) == 1, r.IntN(2) == 1
		}
		and, or, xor, not := make([]bool, n), make([]bool, n), make([]bool, n), make([]bool, n)
		And(and, a, b)
		Or(or, a, b)
		Xor(xor, a, b)
		Not(not, a)
		for i := range a {
			require.Equal(t, [4]bool{a[i] && b[i], a[i] || b[i], a[i] != b[i], !a[i]}, [4]bool{and[i], or[i], xor[i], not[i]})
		}
		numbers := make([]float32, n)
		Dequantize(numbers, Bools(a), 1, 0)
		for i, v := range numbers {
			require.Equal(t, a[i], v == 1)
			require.Equal(t, !a[i], v == 0)
		}
	}
}

func TestTranspose_EqualsTheDefinition(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 69))
		rows, cols := r.IntN(40), r.IntN(40)
		from, to := cols+r.IntN(3), rows+r.IntN(3)
		x := randomPixels(r, rows*from+1)
		eachTier(t, "transposed", func() []float32 {
			y := make([]float32, cols*to+1)
			Transpose(y, to, x, from, rows, cols)
			for i := range rows {
				for j := range cols {
					require.True(t, sameBits(x[i*from+j], y[j*to+i]))
				}
			}
			return y
		})
	}
}

func TestAddRows_EqualsTheDefinition(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 71))
		rows, n := r.IntN(6), r.IntN(50)
		from, to := r.IntN(60), n+r.IntN(3)
		x, y := randomPixels(r, rows*from+n+1), randomPixels(r, rows*to+n+1)
		eachTier(t, "sums", func() []float32 {
			sums := slices.Clone(y)
			AddRows(sums, to, x, from, rows, n)
			for i, v := range sums {
				want := y[i]
				if to > 0 && i/to < rows && i%to < n {
					want += x[i/to*from+i%to]
				}
				require.True(t, sameBits(want, v))
			}
			return sums
		})
	}
}

func TestPow_IsTheSameOnAllTiers(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 70))
		n := r.IntN(100)
		x, y := make([]float32, n+1), make([]float32, n+1)
		for i := range x {
			x[i] = float32(math.Exp2(r.NormFloat64() * float64(1+seed%40)))
			y[i] = float32(r.NormFloat64() * 10)
			if seed%3 == 0 && r.IntN(10) == 0 {
				x[i] = randomPixels(r, 1)[0]
				y[i] = float32(r.IntN(7) - 3)
			}
		}
		if seed%7 == 0 { // the limits of the exponent
			x[0], y[0] = 2, 127.99999
		}
		for _, step := range [][2]int{{1, 1}, {0, 1}, {1, 0}, {0, 0}} {
			want := make([]float32, n)
			for i := range want {
				want[i] = portmath.PowSingle(x[i*step[0]], y[i*step[1]])
			}
			got := eachTier(t, "powers", func() []float32 {
				out := make([]float32, n)
				Pow(out, x, y, step[0], step[1])
				return out
			})
			requireSameBits(t, want, got, fmt.Sprint("powers ", seed), x)
		}
	}
}
