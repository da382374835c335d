package runtime_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// approximations are settings of all kinds. Those with sums of rounded products have the same bits
// in the operator and in its definition by standard operators.
func approximations() map[sbs.Approximation]bool {
	return map[sbs.Approximation]bool{
		{FracBits: 8, TruncBits: 7, Enabled: true}:   false,
		{FracBits: 12, TruncBits: 14, Enabled: true}: false,
		{FracBits: 13, TruncBits: 8, Enabled: true}:  true,
		{FracBits: 16, TruncBits: 20, Enabled: true}: true,
		{FracBits: 24, TruncBits: 3, Enabled: true}:  true,
		{FracBits: 32, TruncBits: 31, Enabled: true}: true,
		{FracBits: 17, TruncBits: 32, Enabled: true}: true,
		{FracBits: 8, TruncBits: 15, Enabled: true}:  true, // all products are 0
		{FracBits: 1, TruncBits: 0, Enabled: true}:   true,
		{FracBits: 12, TruncBits: 14}:                true,
		{FracBits: 20, TruncBits: 5}:                 false,
		{FracBits: 30, TruncBits: 1, Enabled: true}:  false,
	}
}

// extremeImages returns images with pixels of 0, and some that are far below and above 1.
func extremeImages(n *convert.Network) *runtime.Tensor {
	x := imagesWithDarkCorners(n, 3)
	for i, v := range x.Float32s() {
		if i%17 == 0 {
			x.Float32s()[i] = v * 1e-20
		}
		if i%29 == 0 {
			x.Float32s()[i] = -v * 0x1p-140 // below the range of normal numbers
		}
		if i%31 == 0 {
			x.Float32s()[i] = -300 * v
		}
	}
	return x
}

func TestFallback_ApproximateProductsAreThoseOfTheOperator(t *testing.T) {
	for a, sameBits := range approximations() {
		n := converttest.Approximate(a)
		in := map[string]*runtime.Tensor{"image": extremeImages(n)}
		run := func(body convert.Body, opts ...runtime.Option) []float32 {
			m, err := runtime.New(withLayerOutputs(t, modeltest.Write(t, n, convert.Options{Body: body})), opts...)
			require.NoError(t, err)
			out, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			return out["L0"].Float32s()
		}
		want := run(convert.BodyNone)
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
			got := run(body, runtime.PreferFunctions())
			if sameBits {
				require.Equal(t, want, got, "%+v, %s", a, body)
			} else {
				require.LessOrEqual(t, largestDifference(want, got), 1e-3, "%+v, %s", a, body)
			}
		}
	}
}

func TestInteropApproxConv_LayersMatch(t *testing.T) {
	requireOnnxruntime(t)
	for a, sameBits := range approximations() {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
			t.Run(fmt.Sprintf("%+v/%s", a, body), func(t *testing.T) {
				n := converttest.Approximate(a)
				in := map[string]*runtime.Tensor{"image": extremeImages(n)}
				o := onnxruntime{t}
				tolerance := 1e-3 // of sums up to 1e3, in another order
				ours := modeltest.Write(t, n, convert.Options{Body: convert.BodyNone})
				theirs := modeltest.Write(t, n, convert.Options{Body: body})
				if sameBits {
					o.compare(ours, theirs, in, 0, "L0")
				}
				o.compare(ours, theirs, in, tolerance)
				require.Empty(t, o.run(theirs, in, 1).stderr)
			})
		}
	}
}

// TestApproxConv_SameBitsForAnyBatchesAndWorkers runs images one by one and together.
func TestApproxConv_SameBitsForAnyBatchesAndWorkers(t *testing.T) {
	for a := range approximations() {
		n := converttest.Approximate(a)
		x := extremeImages(n)
		model := modeltest.Write(t, n, convert.Options{})
		var want []float32
		for _, workers := range []int{1, 3} {
			m, err := runtime.New(model, runtime.Workers(workers))
			require.NoError(t, err)
			all, err := m.Run(t.Context(), map[string]*runtime.Tensor{"image": x})
			require.NoError(t, err)
			got := all["logits"].Float32s()
			if want == nil {
				want = got
			}
			require.Equal(t, want, got)
			size := x.Len() / 3
			for i := range 3 {
				one := opstest.F32(append([]int{1}, x.Shape()[1:]...), x.Float32s()[i*size:][:size]...)
				out, err := m.Run(t.Context(), map[string]*runtime.Tensor{"image": one})
				require.NoError(t, err)
				require.Equal(t, want[i*len(want)/3:][:len(want)/3], out["logits"].Float32s())
			}
		}
	}
}

func TestApproxConv_StopsWhenCanceled(t *testing.T) {
	n := converttest.Approximate(sbs.Approximation{FracBits: 8, TruncBits: 7, Enabled: true})
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Run(ctx, map[string]*runtime.Tensor{"image": extremeImages(n)})
	require.ErrorIs(t, err, context.Canceled)
}
