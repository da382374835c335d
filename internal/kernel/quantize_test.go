package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

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
