package sbs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// TestApproxConv_ReleasesTheMemoryOfImagesThatAreDone computes some images at a time. Their
// convolutions, which pad them, need twice the limit together.
func TestApproxConv_ReleasesTheMemoryOfImagesThatAreDone(t *testing.T) {
	attributes := sbs.Approximation{FracBits: 8, TruncBits: 8, Enabled: true}.Attributes()
	attributes["kernel_shape"], attributes["pads"] = []int64{1, 1}, []int64{1, 1, 1, 1}
	op := newOp(t, operator(t, sbs.OpApproxConv), attributes, 2)
	x, w := opstest.Random(1, 512, 3, 64, 64), opstest.Random(2, 1, 3, 1, 1)
	ctx := &ops.Context{Memory: &ops.Memory{Limit: 170 << 20}}
	got := compute(t, op, ctx, []*ops.Tensor{x, w})
	require.Equal(t, compute(t, op, &ops.Context{}, []*ops.Tensor{x, w}), got)
	require.NoError(t, ctx.Reserve(100<<20), "the limit is that of the caller again")
	_, err := ops.Run(op, &ops.Context{Memory: &ops.Memory{Limit: 60 << 20}}, []*ops.Tensor{x, w})
	require.ErrorIs(t, err, ops.ErrMemory)
}

// TestApproxConv_OfEmptyTensors has no images, channels or outputs, with all kinds of products: exact,
// in parts, one by one, and none.
func TestApproxConv_OfEmptyTensors(t *testing.T) {
	for _, a := range []sbs.Approximation{
		{FracBits: 24}, {FracBits: 8, TruncBits: 5, Enabled: true}, {FracBits: 16, TruncBits: 5, Enabled: true}, {FracBits: 4, TruncBits: 20, Enabled: true},
	} {
		attributes := a.Attributes()
		attributes["kernel_shape"] = []int64{2, 2}
		op := newOp(t, operator(t, sbs.OpApproxConv), attributes, 3)
		for name, sizes := range map[string]struct{ batch, channels, outputs int }{
			"no images": {0, 2, 3}, "no outputs": {2, 2, 0}, "no channels": {2, 0, 3}, "nothing": {0, 0, 0},
		} {
			bias := opstest.Random(3, sizes.outputs)
			x, w := opstest.Random(1, sizes.batch, sizes.channels, 5, 5), opstest.Random(2, sizes.outputs, sizes.channels, 2, 2)
			out, err := ops.Run(op, &ops.Context{}, []*ops.Tensor{x, w, bias})
			require.NoError(t, err, "%s, %+v", name, a)
			require.Equal(t, []int{sizes.batch, sizes.outputs, 4, 4}, out[0].Shape())
			for i, v := range out[0].Float32s() {
				require.Equal(t, bias.Float32s()[i/16%sizes.outputs], v, "%s, %+v", name, a)
			}
		}
	}
}

// TestOperators_RefuseMissingInputs omits the required inputs of every operator, one at a time.
func TestOperators_RefuseMissingInputs(t *testing.T) {
	p := sbs.Params{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 1, EpsilonT: inverseSqrt(1)}
	approx := sbs.Approximation{FracBits: 16, TruncBits: 5, Enabled: true}.Attributes()
	approx["kernel_shape"] = []int64{1, 1}
	for name, a := range map[string]ops.Attributes{
		sbs.OpSbS: p.Attributes(), sbs.OpFullLayer: p.Attributes(), sbs.OpApproxConv: approx,
		sbs.OpPoisson: sbs.ImageParams{Spikes: 1}.Attributes(), sbs.OpSpikeImage: sbs.ImageParams{Spikes: 1}.Attributes(),
	} {
		o := operator(t, name)
		for missing := range o.MinInputs {
			in := []*ops.Input{opstest.Const(opstest.Random(1, 1, 1, 2, 2)), opstest.Const(opstest.Random(1, 1, 1, 1, 1))}[:o.MinInputs]
			in[missing] = nil
			_, err := newOp(t, o, a, o.MinInputs).Infer(in)
			require.ErrorIs(t, err, ops.ErrShape, "%s without input %d", name, missing)
		}
	}
}
