package kernel

import (
	"context"
	"fmt"
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
