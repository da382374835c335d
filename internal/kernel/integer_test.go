package kernel

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// eachDots runs a test for all dots of the machine.
func eachDots(run func(d *dots)) {
	for _, d := range dotsTiers() {
		undo := useDots(d)
		run(d)
		undo()
	}
}

// randomBytes returns n random integers; often the least and the largest ones, whose products are
// the largest.
func randomBytes(r *rand.Rand, n int, signed bool) Bytes {
	v := make([]uint8, n)
	extreme := r.IntN(3) == 0
	for i := range v {
		v[i] = uint8(r.Uint32())
		if extreme {
			v[i] = []uint8{0, 0x7f, 0x80, 0xff}[r.IntN(4)]
		}
	}
	return Bytes{data: v, signed: signed}
}

// integerTask is a product of random matrices of integers.
type integerTask struct {
	m, n, k int
	a, b    Bytes
	zeros   Zeros
}

func randomIntegers(r *rand.Rand, most int) integerTask {
	size := func() int { return 1 + r.IntN([]int{1, 4, 16, 40, 70, 300, 900}[r.IntN(7)]) }
	c := integerTask{m: size(), n: size(), k: size() - r.IntN(30)/29}
	for c.m*c.n*c.k > most {
		c.m, c.n, c.k = (c.m+1)/2, (c.n+1)/2, (c.k+1)/2
	}
	c.a, c.b = randomBytes(r, c.m*c.k, r.IntN(2) == 0), randomBytes(r, c.k*c.n, r.IntN(2) == 0)
	zeros := func(n int, signed bool) (v []int32) {
		z := randomBytes(r, []int{1, n}[r.IntN(2)], signed)
		for i := range z.data {
			v = append(v, z.At(i))
		}
		if r.IntN(3) == 0 {
			return []int32{0}
		}
		return v
	}
	c.zeros = Zeros{A: zeros(c.m, c.a.signed), B: zeros(c.n, c.b.signed)}
	return c
}

func (c integerTask) String() string {
	return fmt.Sprintf("%d x %d x %d, signed %v and %v, %d and %d zero points", c.m, c.n, c.k, c.a.signed, c.b.signed, len(c.zeros.A), len(c.zeros.B))
}

// entry returns entry (i, j) of the product.
func (c integerTask) entry(i, j int) (sum int32) {
	for t := range c.k {
		sum += (c.a.At(i*c.k+t) - c.zeros.A[i%len(c.zeros.A)]) * (c.b.At(t*c.n+j) - c.zeros.B[j%len(c.zeros.B)])
	}
	return sum
}

// run computes the product, divided into parts.
func (c integerTask) run(t testing.TB, r *rand.Rand, guard func(rows *IntegerRows, columns *IntegerColumns, out *[]int32)) []int32 {
	ctx := context.Background()
	a, b := NewIntegerRows(c.m, c.k, 1, c.a.signed), NewIntegerColumns(c.k, c.n, c.b.signed)
	width := b.Panels() * IntegerRoom
	out := make([]int32, c.m*width)
	guard(a, b, &out)
	for i := range c.m {
		a.Set(i, c.a.Slice(i*c.k, (i+1)*c.k))
	}
	for p := range b.Panels() {
		require.NoError(t, b.Set(ctx, p, c.b))
	}
	i, p := r.IntN(c.m+1), r.IntN(b.Panels()+1)
	var s IntegerScratch
	require.NoError(t, b.Multiply(ctx, &s, a, 0, i, 0, p, c.zeros, out, width))
	if i < c.m {
		require.NoError(t, b.Multiply(ctx, &s, a, i, c.m, 0, p, c.zeros, out[i*width:], width))
	}
	if p < b.Panels() {
		require.NoError(t, b.Multiply(ctx, &s, a, 0, c.m, p, b.Panels(), c.zeros, out[p*IntegerRoom:], width))
	}
	return out
}

func compareIntegers(t *testing.T, seed uint64, most int) {
	eachDots(func(d *dots) {
		r := rand.New(rand.NewPCG(seed, 31))
		c := randomIntegers(r, most)
		out := c.run(t, r, func(*IntegerRows, *IntegerColumns, *[]int32) {})
		for i := range c.m {
			for j := range c.n {
				if want, got := c.entry(i, j), out[i*roundUp(c.n, IntegerRoom)+j]; want != got {
					t.Fatalf("%s, seed %d: %v: entry %d, %d: want %d, got %d", d.name, seed, c, i, j, want, got)
				}
			}
		}
	})
}

func TestIntegers_EqualTheDefinition(t *testing.T) {
	for seed := range uint64(250) {
		compareIntegers(t, seed, 1<<18)
	}
}

// FuzzIntegers is TestIntegers_EqualTheDefinition for more seeds and small products.
func FuzzIntegers(f *testing.F) {
	f.Add(uint64(0))
	f.Fuzz(func(t *testing.T, seed uint64) { compareIntegers(t, seed, 1<<11) })
}

// TestIntegers_WrapAround has sums that do not fit into 32 bits, in more words than are multiplied at
// once.
func TestIntegers_WrapAround(t *testing.T) {
	const k = 1 << 18
	c := integerTask{m: 1, n: 1, k: k, a: Uint8s(slices.Repeat([]uint8{255}, k)), b: Uint8s(slices.Repeat([]uint8{254}, k)), zeros: Zeros{A: []int32{0}, B: []int32{0}}}
	sum := int64(k) * 255 * 254
	eachDots(func(d *dots) {
		out := c.run(t, rand.New(rand.NewPCG(1, 1)), func(*IntegerRows, *IntegerColumns, *[]int32) {})
		require.Equal(t, int32(sum), out[0], d.name)
	})
}

// windowTask is a random convolution of one row of pixels per channel.
type windowTask struct {
	channels, taps, positions int
	x                         Bytes
	w                         []Bytes
	offsets                   []int
	start                     []int32
}

func randomWindows(r *rand.Rand) windowTask {
	c := windowTask{channels: 1 + r.IntN(9), taps: 1 + r.IntN(6), positions: 1 + r.IntN(150)}
	c.x = randomBytes(r, c.channels*c.width(), r.IntN(2) == 0)
	signed := r.IntN(2) == 0
	for range 1 + r.IntN(40) {
		c.w = append(c.w, randomBytes(r, c.channels*c.taps, signed))
		c.start = append(c.start, int32(r.Uint32()))
	}
	for range c.taps {
		c.offsets = append(c.offsets, r.IntN(10))
	}
	return c
}

func (c windowTask) width() int { return roundUp(c.positions, IntegerRoom) + 10 }

func (c windowTask) entry(filter, position int) int32 {
	sum := c.start[filter]
	for channel := range c.channels {
		for t, o := range c.offsets {
			sum += (c.w[filter].At(channel*c.taps+t) + ShiftOfRows(c.w[filter].signed)) * (c.x.At(channel*c.width()+o+position) + ShiftOfColumns(c.x.signed))
		}
	}
	return sum
}

func (c windowTask) run(t testing.TB, guard func(words *[]uint32, out *[]int32)) []int32 {
	per, width := Tiling().PerWord, c.width()
	groups := (c.channels + per - 1) / per
	words, room := make([]uint32, groups*width), roundUp(c.positions, IntegerRoom)
	out := make([]int32, len(c.w)*room)
	guard(&words, &out)
	var offsets []int
	for g := range groups {
		var starts []int
		for channel := g * per; channel < min((g+1)*per, c.channels); channel++ {
			starts = append(starts, channel*width)
		}
		Interleave(words[g*width:], c.x, starts, width)
		for _, o := range c.offsets {
			offsets = append(offsets, g*width+o)
		}
	}
	a := NewIntegerRows(len(c.w), c.channels, c.taps, c.w[0].signed)
	for i, w := range c.w {
		a.Set(i, w)
	}
	require.NoError(t, a.Multiply(context.Background(), 0, len(c.w), words, NewTaps(offsets), c.positions, c.start, nil, out, room))
	return out
}

// TestDots_AddToTheOldEntries compares tiles that begin with the old entries, as only those of long sums do,
// with tiles that begin with 0.
func TestDots_AddToTheOldEntries(t *testing.T) {
	eachDots(func(d *dots) {
		r := rand.New(rand.NewPCG(1, 37))
		for rows := 1; rows <= d.rows; rows++ {
			for columns := d.lanes; columns <= d.columns; columns += d.lanes {
				words := 1 + r.IntN(9)
				a, b, offsets := make([]uint32, rows*words), make([]uint32, words*columns), multiples(nil, 0, words, columns)
				for i := range a {
					a[i] = pair(int16(r.IntN(256)-128), int16(r.IntN(256)-128))
				}
				for i := range b {
					b[i] = pair(int16(r.IntN(256)), int16(r.IntN(256)))
				}
				sums, got := make([]int32, rows*columns), make([]int32, rows*columns)
				d.tile(rows, columns, a, words, b, offsets, sums, columns, make([]int32, rows), nil)
				for i := range got {
					got[i] = int32(r.Uint32())
					sums[i] += got[i]
				}
				d.tile(rows, columns, a, words, b, offsets, got, columns, nil, nil)
				require.Equal(t, sums, got, "%s: %d rows, %d columns", d.name, rows, columns)
			}
		}
	})
}

func TestIntegers_Convolve(t *testing.T) {
	for seed := range cases(200) {
		eachDots(func(d *dots) {
			c := randomWindows(rand.New(rand.NewPCG(seed, 32)))
			out := c.run(t, func(*[]uint32, *[]int32) {})
			for i := range c.w {
				for j := range c.positions {
					require.Equal(t, c.entry(i, j), out[i*roundUp(c.positions, IntegerRoom)+j], "%s, seed %d: filter %d, position %d", d.name, seed, i, j)
				}
			}
		})
	}
}

func TestDepthwise_EqualsTheDefinition(t *testing.T) {
	for seed := range uint64(100) {
		eachDots(func(d *dots) {
			c := randomWindows(rand.New(rand.NewPCG(seed, 33)))
			c.channels = 1
			x, weights := make([]uint8, c.width()), make([]int32, c.taps)
			if copy(x, c.x.data); c.x.signed {
				MakeUnsigned(x)
			}
			for i := range weights {
				weights[i] = c.w[0].At(i) + ShiftOfRows(c.w[0].signed)
			}
			out := make([]int32, roundUp(c.positions, IntegerRoom))
			Depthwise(out, x, NewTaps(c.offsets), weights, c.start[0])
			for j := range c.positions {
				require.Equal(t, c.entry(0, j), out[j], "%s, seed %d: position %d", d.name, seed, j)
			}
		})
	}
}

func TestSplit_SeparatesNeighbors(t *testing.T) {
	for n := range 200 {
		x := randomBytes(rand.New(rand.NewPCG(uint64(n), 1)), n, false).data
		for _, tier := range Tiers() {
			undo := Use(tier)
			even, odd := make([]uint8, (n+1)/2), make([]uint8, n/2)
			Split(even, odd, x)
			undo()
			for i, v := range x {
				require.Equal(t, v, [][]uint8{even, odd}[i%2][i/2], "%v, %d of %d", tier, i, n)
			}
		}
	}
}

func TestQuantize_RoundsAndSaturates(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := []float32{0, 0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, 300, -300, inf, -inf, nan, 3e38, -3e38, 1, 2}
	for _, tier := range Tiers() {
		undo := Use(tier)
		out := make([]uint8, len(x))
		Quantize(out, x, 1, Quantum{Zero: 1})
		require.Equal(t, []uint8{1, 1, 3, 3, 1, 0, 127, 129, 255, 0, 255, 0, 0, 255, 0, 2, 3}, out, "%v", tier)
		Quantize(out, x, 1, Quantum{Zero: -1, Signed: true})
		require.Equal(t, []int8{-1, -1, 1, 1, -1, -3, 125, 127, 127, -128, 127, -128, 0, 127, -128, 0, 1}, signedBytes(out), "%v", tier)
		back := make([]float32, len(x))
		Dequantize(back, Bytes{data: out, signed: true}, 0.5, -1)
		require.Equal(t, []float32{0, 0, 1, 1, 0, -1, 63, 64, 64, -63.5, 64, -63.5, 0.5, 64, -63.5, 0.5, 1}, back, "%v", tier)
		least, largest := Bounds([]float32{nan, 1, -2, nan, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, -16, 17, nan}, 0, 0)
		require.Equal(t, [2]float32{-16, 17}, [2]float32{least, largest}, "%v", tier)
		undo()
	}
}

func signedBytes(v []uint8) []int8 {
	s := make([]int8, len(v))
	for i, b := range v {
		s[i] = int8(b)
	}
	return s
}

// TestQuantization_SameBitsInAllTiers compares all tiers with the portable one.
func TestQuantization_SameBitsInAllTiers(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 34))
		q := quantization(r)
		var want []any
		for _, tier := range Tiers() {
			undo := Use(tier)
			got := q.run()
			undo()
			if tier == Portable {
				want = got
			}
			require.Equal(t, want, got, "%v, seed %d", tier, seed)
		}
	}
}

// TestTruncateBytes_LimitsNumbers has numbers outside the range of the integers, and NaN.
func TestTruncateBytes_LimitsNumbers(t *testing.T) {
	inf := float32(math.Inf(1))
	special := []float32{-inf, -1e30, -129, -128.5, -128, -1.5, -0.5, 0, 0.99, 127.5, 128, 255.9, 256, 3e9, 1e30, inf, float32(math.NaN())}
	signed := []int8{-128, -128, -128, -128, -128, -1, 0, 0, 0, 127, 127, 127, 127, 127, 127, 127, 0}
	unsigned := []uint8{0, 0, 0, 0, 0, 0, 0, 0, 0, 127, 128, 255, 255, 255, 255, 255, 0}
	x := slices.Repeat(special, 3)
	for _, tier := range Tiers() {
		undo := Use(tier)
		out := make([]uint8, len(x))
		TruncateBytes(out, x, Quantum{Signed: true})
		require.Equal(t, slices.Repeat(signed, 3), signedBytes(out), tier)
		TruncateBytes(out, x, Quantum{})
		require.Equal(t, slices.Repeat(unsigned, 3), out, tier)
		undo()
	}
}

// TestQuantize_RoundsTheQuotient quantizes numbers whose quotients are next to those that are rounded in the other
// direction, and numbers and scales without a usual quotient.
func TestQuantize_RoundsTheQuotient(t *testing.T) {
	inf := float32(math.Inf(1))
	scales := []float32{0x1p-149, 0x1p-90, 0x1p90, 0x1.8p91, math.MaxFloat32, inf, 0, -0.5, float32(math.NaN()), 0x1.fffffep-7, 1}
	r := rand.New(rand.NewPCG(1, 44))
	for range cases(2000) {
		scales = append(scales, float32(math.Ldexp(1+r.Float64(), r.IntN(180)-90)))
	}
	for _, scale := range scales {
		x := []float32{0, inf, -inf, float32(math.NaN()), math.MaxFloat32, -math.MaxFloat32, 0x1p-149, -0x1p-149}
		for len(x) < 72 {
			near := (float32(r.IntN(400)-200) + 0.5) * scale
			x = append(x, near, math.Nextafter32(near, inf), math.Nextafter32(near, -inf), near+float32(r.IntN(9)-4)*0x1p-23*near)
		}
		requireSameQuanta(t, x, scale)
	}
}

// TestQuantize_RoundsTheHardestQuotients quantizes the numbers whose quotients are the most difficult to round like a
// division: those that are nearest to the middle between k + 1/2 and the float32 before or after it. With integers of
// 24 bits for the digits of number and scale, and of 25 for those of the middle, this is number * 2^bits = middle *
// scale + distance, and each distance has one scale.
func TestQuantize_RoundsTheHardestQuotients(t *testing.T) {
	count := 0
	for k := range 256 {
		half := float32(k) + 0.5
		for _, neighbor := range []float32{math.Nextafter32(half, 0), math.Nextafter32(half, 1000)} {
			digits, exponent := math.Frexp((float64(half) + float64(neighbor)) / 2)
			middle := uint64(math.Ldexp(digits, 25))
			inverse := middle // modulo 2^64, after Newton's method
			for range 5 {
				inverse *= 2 - middle*inverse
			}
			for distance := int64(-7); distance <= 7; distance += 2 {
				for _, bits := range []int{24, 25} {
					scale := -uint64(distance) * inverse % (1 << bits)
					number := (middle*scale + uint64(distance)) >> bits
					if min(number, scale) < 1<<23 || max(number, scale) >= 1<<24 {
						continue
					}
					count++
					shift := exponent - 25 + bits
					require.InDelta(t, float64(half), math.Ldexp(float64(number)/float64(scale), shift), 1e-4)
					for _, e := range []int{-113, -30, 60} {
						x := float32(math.Ldexp(float64(number), e+shift))
						requireSameQuanta(t, []float32{x, -x, x, -x}, float32(math.Ldexp(float64(scale), e)))
					}
				}
			}
		}
	}
	require.Greater(t, count, 1000)
}

// requireSameQuanta compares Quantize of all tiers with the portable one.
func requireSameQuanta(t *testing.T, x []float32, scale float32) {
	t.Helper()
	for _, q := range []Quantum{{}, {Zero: 255}, {Zero: 131}, {Signed: true}, {Zero: -128, Signed: true}, {Zero: 7, Signed: true}} {
		var want []uint8
		for _, tier := range Tiers() {
			undo := Use(tier)
			out := make([]uint8, len(x))
			Quantize(out, x, scale, q)
			undo()
			if tier == Portable {
				want = out
			}
			require.Equal(t, want, out, "%v, scale %x, %+v, numbers %x", tier, scale, q, x)
		}
	}
}

// TestDequantize_TakesAnyZero subtracts zeros that float32 holds only as multiples of 2.
func TestDequantize_TakesAnyZero(t *testing.T) {
	x := make([]uint8, 256)
	for i := range x {
		x[i] = uint8(i)
	}
	for _, zero := range []int32{0, -128, 255, 1<<23 - 257, 1<<23 - 256, 1 << 23, 1<<24 + 1, 1 - 1<<23, -1 << 23, -1 << 24} {
		for _, signed := range []bool{false, true} {
			want := make([]float32, len(x))
			for i, b := range x {
				v := int32(b)
				if signed {
					v = int32(int8(b))
				}
				want[i] = float32(v-zero) * 0.3
			}
			for _, tier := range Tiers() {
				undo := Use(tier)
				got := make([]float32, len(x))
				Dequantize(got, Bytes{data: x, signed: signed}, 0.3, zero)
				undo()
				require.Equal(t, want, got, "%v, zero %d, signed %v", tier, zero, signed)
			}
		}
	}
}

// quantizationTask has random arguments of Requantize, Quantize, Dequantize and conversions.
type quantizationTask struct {
	sums    []int32
	scales  []float32
	numbers []float32
	special []float32 // also infinite ones and NaN
	bytes   []uint8
	quantum Quantum
}

func quantization(r *rand.Rand) quantizationTask {
	n := r.IntN(100)
	q := quantizationTask{
		sums: make([]int32, n), numbers: make([]float32, n), bytes: make([]uint8, n),
		scales:  make([]float32, []int{1, max(1, n)}[r.IntN(2)]),
		quantum: Quantum{Zero: int32(r.IntN(256)), Signed: r.IntN(2) == 0},
	}
	if q.quantum.Signed {
		q.quantum.Zero -= 128
	}
	q.special = randomPixels(r, n)
	for i := range n {
		q.sums[i], q.bytes[i] = int32(r.Uint32())>>r.IntN(32), uint8(r.Uint32())
		q.numbers[i] = float32(r.IntN(1000)-500) / 2
	}
	for i := range q.scales {
		q.scales[i] = float32(math.Ldexp(r.Float64(), -r.IntN(24)))
	}
	return q
}

func (q quantizationTask) run() []any {
	out := [3][]uint8{make([]uint8, len(q.sums)), make([]uint8, len(q.sums)), make([]uint8, len(q.sums))}
	Requantize(out[0], q.sums, q.scales, q.quantum)
	Quantize(out[1], q.numbers, q.scales[0], q.quantum)
	Quantize(out[2], q.special, q.scales[0], q.quantum)
	back := make([]float32, len(q.sums))
	Dequantize(back, Bytes{data: q.bytes, signed: q.quantum.Signed}, q.scales[0], q.quantum.Zero)
	least, largest := Bounds(q.special, 0, 1)
	whole, single, long := make([]int32, len(q.sums)), make([]float32, len(q.sums)), make([]int64, len(q.sums))
	Truncate(whole, q.numbers)
	Singles(single, q.sums)
	Longs(long, q.sums)
	narrow, bytes := make([]uint8, len(q.sums)), make([]uint8, len(q.sums))
	Narrow(narrow, q.sums)
	TruncateBytes(bytes, q.numbers, Quantum{Signed: q.quantum.Signed})
	return []any{out, back, least, largest, whole, single, long, narrow, bytes}
}

// BenchmarkIntegers reports the multiplications and additions per second.
func BenchmarkIntegers(b *testing.B) {
	for _, s := range []struct{ m, n, k int }{{1, 1024, 1024}, {128, 768, 768}, {512, 512, 512}} {
		eachDots(func(d *dots) {
			b.Run(fmt.Sprintf("%s/m=%d/n=%d/k=%d", d.name, s.m, s.n, s.k), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 2))
				c := integerTask{m: s.m, n: s.n, k: s.k, a: randomBytes(r, s.m*s.k, false), b: randomBytes(r, s.k*s.n, true), zeros: Zeros{A: []int32{3}, B: []int32{0}}}
				rows, columns := NewIntegerRows(c.m, c.k, 1, false), NewIntegerColumns(c.k, c.n, true)
				for p := range columns.Panels() {
					_ = columns.Set(context.Background(), p, c.b)
				}
				width := columns.Panels() * IntegerRoom
				out := make([]int32, c.m*width)
				var scratch IntegerScratch
				for b.Loop() {
					for i := range c.m {
						rows.Set(i, c.a.Slice(i*c.k, (i+1)*c.k))
					}
					_ = columns.Multiply(context.Background(), &scratch, rows, 0, c.m, 0, columns.Panels(), c.zeros, out, width)
				}
				b.ReportMetric(2*float64(s.m)*float64(s.n)*float64(s.k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "Gop/s")
			})
		})
	}
}
