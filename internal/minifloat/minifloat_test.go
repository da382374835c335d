package minifloat_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/minifloat"
)

var formats = []struct {
	name             string
	f                *minifloat.Format
	bits             int
	largest, nearest float64 // the largest number, and the smallest one above 0
}{
	{"float16", minifloat.Float16, 16, 65504, 0x1p-24},
	{"bfloat16", minifloat.BFloat16, 16, 0x1.fep127, 0x1p-133},
	{"float8e4m3fn", minifloat.Float8E4M3FN, 8, 448, 0x1p-9},
	{"float8e4m3fnuz", minifloat.Float8E4M3FNUZ, 8, 240, 0x1p-10},
	{"float8e5m2", minifloat.Float8E5M2, 8, 57344, 0x1p-16},
	{"float8e5m2fnuz", minifloat.Float8E5M2FNUZ, 8, 57344, 0x1p-17},
	{"float4e2m1", minifloat.Float4E2M1, 4, 6, 0.5},
}

// Every number of a format is its own nearest number, and the extremes are those of the
// specifications.
func TestFormats_KeepTheirOwnNumbers(t *testing.T) {
	for _, c := range formats {
		t.Run(c.name, func(t *testing.T) {
			largest, smallest := 0.0, math.Inf(1)
			for b := range 1 << c.bits {
				v := c.f.Decode(uint16(b))
				if v != v {
					require.True(t, math.IsNaN(c.f.Decode(c.f.Encode(v, true))))
					continue
				}
				require.Equal(t, uint16(b), c.f.Encode(v, false), "%v", v)
				if !math.IsInf(v, 0) {
					largest = max(largest, v)
				}
				if v > 0 {
					smallest = min(smallest, v)
				}
			}
			require.Equal(t, c.largest, largest)
			require.Equal(t, c.nearest, smallest)
		})
	}
}

func TestFastDecoders_AgreeWithTheFormats(t *testing.T) {
	for b := range 1 << 16 {
		for name, got := range map[string][2]float64{
			"float16":  {minifloat.Float16.Decode(uint16(b)), minifloat.DecodeFloat16(uint16(b))},
			"bfloat16": {minifloat.BFloat16.Decode(uint16(b)), minifloat.DecodeBFloat16(uint16(b))},
		} {
			require.Equal(t, math.Float64bits(got[0]), math.Float64bits(got[1]), "%s %#x", name, b)
		}
	}
}

// Between two neighbors, the nearer one counts; in the middle, the even one.
func TestEncode_RoundsToTheNearestEvenNumber(t *testing.T) {
	for _, c := range formats {
		t.Run(c.name, func(t *testing.T) {
			for b := range 1<<(c.bits-1) - 1 {
				low, high := c.f.Decode(uint16(b)), c.f.Decode(uint16(b+1))
				if high != high || math.IsInf(high, 0) || low != low {
					continue
				}
				middle := (low + high) / 2
				even := uint16(b + b&1)
				require.Equal(t, even, c.f.Encode(middle, true), "%v", middle)
				require.Equal(t, uint16(b), c.f.Encode(math.Nextafter(middle, low), true), "%v", middle)
				require.Equal(t, uint16(b+1), c.f.Encode(math.Nextafter(middle, high), true), "%v", middle)
			}
		})
	}
}

func TestEncode_OutOfRange(t *testing.T) {
	inf := math.Inf(1)
	require.Equal(t, inf, minifloat.Float16.Decode(minifloat.Float16.Encode(65520, false)))
	require.Equal(t, 65504.0, minifloat.Float16.Decode(minifloat.Float16.Encode(65519, false)))
	for _, c := range []struct {
		f        *minifloat.Format
		v        float64
		saturate bool
		want     uint16
	}{
		{minifloat.Float8E4M3FN, 1000, true, 0x7e}, {minifloat.Float8E4M3FN, inf, true, 0x7e}, {minifloat.Float8E4M3FN, -inf, true, 0xfe},
		{minifloat.Float8E4M3FN, 1000, false, 0x7f}, {minifloat.Float8E4M3FN, -inf, false, 0xff}, {minifloat.Float8E4M3FN, 464, false, 0x7e},
		{minifloat.Float8E4M3FN, math.Copysign(0, -1), true, 0x80},
		{minifloat.Float8E4M3FNUZ, 1000, true, 0x7f}, {minifloat.Float8E4M3FNUZ, -inf, false, 0x80}, {minifloat.Float8E4M3FNUZ, math.Copysign(0, -1), true, 0},
		{minifloat.Float8E5M2, inf, true, 0x7b}, {minifloat.Float8E5M2, inf, false, 0x7c}, {minifloat.Float8E5M2, -1e9, false, 0xfc},
		{minifloat.Float8E5M2FNUZ, inf, true, 0x7f}, {minifloat.Float8E5M2FNUZ, inf, false, 0x80},
		{minifloat.Float4E2M1, 100, false, 7}, {minifloat.Float4E2M1, -inf, false, 15},
	} {
		require.Equal(t, c.want, c.f.Encode(c.v, c.saturate), "%v", c)
	}
}

func TestE8M0(t *testing.T) {
	var e minifloat.E8M0
	for b := range 256 {
		v := e.Decode(uint8(b))
		require.Equal(t, uint8(b), e.Encode(v, true, minifloat.Up))
	}
	require.Equal(t, uint8(128), e.Encode(1.1, true, minifloat.Up))
	require.Equal(t, uint8(127), e.Encode(1.9, true, minifloat.Down))
	require.Equal(t, uint8(127), e.Encode(1.49, true, minifloat.Nearest))
	require.Equal(t, uint8(128), e.Encode(1.5, true, minifloat.Nearest))
	require.Equal(t, uint8(0), e.Encode(0, true, minifloat.Up))
	require.Equal(t, uint8(255), e.Encode(0, false, minifloat.Nearest))
	require.Equal(t, uint8(254), e.Encode(math.Inf(1), true, minifloat.Up))
	require.Equal(t, uint8(255), e.Encode(0x1p130, false, minifloat.Down))
}
