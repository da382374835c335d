package fourier

import (
	"context"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func always(int) error { return nil }

// transformed returns the transform of random numbers, and the numbers.
func transformed(t testing.TB, n int) (x, y []complex128) {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	re, im := make([]float64, n), make([]float64, n)
	for i := range re {
		re[i], im[i] = r.Float64()-0.5, r.Float64()-0.5
		x = append(x, complex(re[i], im[i]))
	}
	p, err := NewPlan(n, always)
	require.NoError(t, err)
	require.NoError(t, p.Transform(always, re, im, make([]float64, WorkLength(n)), make([]float64, WorkLength(n))))
	for i := range re {
		y = append(y, complex(re[i], im[i]))
	}
	return x, y
}

func TestTransform_IsTheSum(t *testing.T) {
	lengths := []int{128, 256, 360, 400, 512, 343, 1001, 1 << 10, 2 * 17, 17 * 17, 997, 1009, 2 * 3 * 5 * 7 * 11}
	for n := 1; n <= 70; n++ {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		x, y := transformed(t, n)
		for k := range y {
			var want complex128
			for j := range x {
				want += x[j] * cmplx.Rect(1, -2*math.Pi*float64(j*k%n)/float64(n))
			}
			require.InDelta(t, 0, cmplx.Abs(y[k]-want), 1e-12*float64(n), "number %d of %d", k, n)
		}
	}
}

func TestTransform_IsAccurate(t *testing.T) {
	for _, n := range []int{1 << 16, 3 * 5 * 7 * 11 * 13, 65537} {
		x, y := transformed(t, n)
		re, im := make([]float64, n), make([]float64, n)
		for k, v := range y {
			re[k], im[k] = real(v), imag(v)
		}
		p, err := NewPlan(n, always)
		require.NoError(t, err)
		require.NoError(t, p.Transform(always, im, re, make([]float64, WorkLength(n)), make([]float64, WorkLength(n)))) // the inverse
		for j := range x {
			require.InDelta(t, 0, cmplx.Abs(complex(re[j], im[j])/complex(float64(n), 0)-x[j]), 1e-13, "number %d of %d", j, n)
		}
	}
}

// The hash of the results must be the same on every processor.
func TestTransform_HasTheSameBitsOnEveryProcessor(t *testing.T) {
	for n, want := range map[int]uint64{512: 0xd355a359c1f65039, 360: 0xa81e6a1a1724156e, 1001: 0x4db9e61fbada7a44, 997: 0x9e62b9592e03e8dc} {
		_, y := transformed(t, n)
		var sum uint64
		for _, v := range y {
			sum = sum*31 + math.Float64bits(real(v))
			sum = sum*31 + math.Float64bits(imag(v))
		}
		require.Equal(t, want, sum, "length %d", n)
	}
}

func TestTransform_StopsIfTheCheckFails(t *testing.T) {
	for _, n := range []int{1 << 12, 4099} {
		p, err := NewPlan(n, always)
		require.NoError(t, err)
		zeros := func() []float64 { return make([]float64, WorkLength(n)) }
		canceled := func(int) error { return context.Canceled }
		require.ErrorIs(t, p.Transform(canceled, zeros()[:n], zeros()[:n], zeros(), zeros()), context.Canceled)
		_, err = NewPlan(n, canceled)
		require.ErrorIs(t, err, context.Canceled)
	}
}

func BenchmarkTransform(b *testing.B) {
	for name, n := range map[string]int{"512": 512, "400": 400, "65536": 1 << 16, "prime 997": 997} {
		b.Run(name, func(b *testing.B) {
			p, err := NewPlan(n, always)
			require.NoError(b, err)
			re, im, wr, wi := make([]float64, n), make([]float64, n), make([]float64, WorkLength(n)), make([]float64, WorkLength(n))
			for b.Loop() {
				_ = p.Transform(always, re, im, wr, wi)
			}
		})
	}
}
