package sbs_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// inverseSqrt returns the epsilon_t of dialect 2.
func inverseSqrt(n int) []float32 {
	e := make([]float32, n)
	for t := range e {
		e[t] = float32(1 / math.Sqrt(float64(t+1)))
	}
	return e
}

// runOnce returns the output of a new layer.
func runOnce(t *testing.T, p sbs.Params, in []*ops.Tensor, ctx *ops.Context) *ops.Tensor {
	t.Helper()
	return runOperator(t, sbs.Operator(), p, in, ctx)
}

// problem is a layer with its inputs and spikes.
type problem struct {
	p               sbs.Params
	x, w, epsilonXY *ops.Tensor
	spikes          *ops.Tensor
}

func (q problem) inputs() []*ops.Tensor {
	in := []*ops.Tensor{q.x, q.w}
	if q.epsilonXY != nil {
		in = append(in, q.epsilonXY)
	}
	return in
}

// randomProblem returns a random layer that depends on the seed alone.
func randomProblem(seed uint64) problem {
	r := rand.New(rand.NewPCG(seed, 1))
	one := func(lo, hi int) int { return lo + r.IntN(hi-lo+1) }
	pair := func(lo, hi int) [2]int { return [2]int{one(lo, hi), one(lo, hi)} }
	q := problem{p: sbs.Params{
		Kernel: pair(1, 3), Strides: pair(1, 2), Dilations: pair(1, 2),
		Pads:   [4]int{one(0, 2), one(0, 2), one(0, 2), one(0, 2)},
		Spikes: one(1, 60), Epsilon0: 0.2 + r.Float32(),
	}}
	q.p.EpsilonT = inverseSqrt(q.p.Spikes + one(0, 3))
	if r.IntN(3) == 0 {
		q.p.Forgetting = r.Float32() / 2
	}
	if r.IntN(3) == 0 {
		q.p.AlphaIterations = one(1, 4)
	}
	batch, c, h, w, n := one(1, 3), one(1, 3), one(5, 9), one(5, 9), one(1, []int{19, 100}[r.IntN(2)])
	x := make([]float32, batch*c*h*w)
	for i := range x {
		if r.IntN(4) > 0 {
			x[i] = r.Float32()
		}
	}
	if r.IntN(3) == 0 {
		clear(x[:len(x)/2]) // makes patches that are all zero
	}
	q.x = opstest.F32([]int{batch, c, h, w}, x...)
	k := c * q.p.Kernel[0] * q.p.Kernel[1]
	zeros := r.IntN(3) == 0
	weights := make([]float32, k*n)
	for i := range weights {
		weights[i] = r.Float32()
		if zeros && r.IntN(10) == 0 {
			weights[i] = 0 // makes spikes that do not change h
		}
	}
	q.w = opstest.F32([]int{k, n}, weights...)
	size := func(in, axis int) int {
		return (in+q.p.Pads[axis]+q.p.Pads[axis+2]-q.p.Dilations[axis]*(q.p.Kernel[axis]-1)-1)/q.p.Strides[axis] + 1
	}
	oh, ow := size(h, 0), size(w, 1)
	switch r.IntN(3) {
	case 0:
		q.epsilonXY = positive(r, oh, ow)
	case 1:
		q.epsilonXY = positive(r, oh, ow, q.p.Kernel[0], q.p.Kernel[1])
	}
	spikes := make([]int64, batch*q.p.Spikes*oh*ow)
	for i := range spikes {
		spikes[i] = int64(r.IntN(k))
	}
	q.spikes = opstest.I64([]int{batch, q.p.Spikes, oh, ow}, spikes...)
	return q
}

func positive(r *rand.Rand, shape ...int) *ops.Tensor {
	n, _ := ops.Len(shape)
	v := make([]float32, n)
	for i := range v {
		v[i] = r.Float32()
	}
	return opstest.F32(shape, v...)
}

// TestSbS_AgreesWithTheReference compares random layers with the computation in float64.
func TestSbS_AgreesWithTheReference(t *testing.T) {
	for seed := range uint64(200) {
		q := randomProblem(seed)
		want := referenceOutput(q.p, q.x, q.w, q.epsilonXY, q.spikes)
		got := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes}).Float32s()
		require.Len(t, got, len(want))
		for i := range want {
			require.InDelta(t, want[i], got[i], 2e-6, "seed %d, element %d, %+v", seed, i, q.p)
		}
	}
}

// TestSbS_AllTiersAgree compares the tiers of the kernel, which gather the patches in
// different ways, on random layers that draw their spikes.
func TestSbS_AllTiersAgree(t *testing.T) {
	for seed := range uint64(150) {
		q := randomProblem(seed)
		if seed%2 == 0 {
			q.p.Sampler = sbs.LowDiscrepancy
		}
		var want []float32
		for _, tier := range kernel.Tiers() {
			undo := kernel.Use(tier)
			got := runOnce(t, q.p, q.inputs(), &ops.Context{Seed: seed, FirstImage: 5}).Float32s()
			undo()
			if want == nil {
				want = got
			}
			for i := range want {
				require.InDelta(t, want[i], got[i], 2e-6, "%v, seed %d, element %d, %+v", tier, seed, i, q.p)
			}
		}
	}
}

// TestSbS_PassesTheHarness runs random layers through the checks that every operator must
// pass. The most important one is that results depend neither on the number of workers
// nor on the batch.
func TestSbS_PassesTheHarness(t *testing.T) {
	var cases []opstest.Case
	for seed := range uint64(20) {
		q := randomProblem(seed)
		const runSeed, first = 7, 100
		want := runOnce(t, q.p, q.inputs(), &ops.Context{Seed: runSeed, FirstImage: first})
		cases = append(cases, opstest.Case{
			Name: "random", Attributes: q.p.Attributes(), Inputs: q.inputs(), Batch: []int{0},
			Seed: runSeed, FirstImage: first, Outputs: []*ops.Tensor{want},
		})
	}
	opstest.Run(t, sbs.Operator(), cases)
}

func TestSbS_DrawsOtherSpikesForOtherSeedsAndImages(t *testing.T) {
	q := randomProblem(3)
	q.p.AlphaIterations = 0
	base := runOnce(t, q.p, q.inputs(), &ops.Context{})
	require.NotEqual(t, base.Float32s(), runOnce(t, q.p, q.inputs(), &ops.Context{Seed: 1}).Float32s(), "the run's seed")
	require.NotEqual(t, base.Float32s(), runOnce(t, q.p, q.inputs(), &ops.Context{FirstImage: 1}).Float32s(), "the image")
	q.p.Seed = 1
	require.NotEqual(t, base.Float32s(), runOnce(t, q.p, q.inputs(), &ops.Context{}).Float32s(), "the node's seed")
}

// TestSbS_ExplainsAColumnOfTheWeightsByItsNeuron checks that h converges with many spikes
// and a decreasing epsilon. The input is the column of one neuron, which alone explains
// it.
func TestSbS_ExplainsAColumnOfTheWeightsByItsNeuron(t *testing.T) {
	const k, n, neuron = 8, 4, 2
	r := rand.New(rand.NewPCG(5, 5))
	w := make([]float32, k*n)
	for i := range w {
		w[i] = r.Float32() * r.Float32()
	}
	for c := range n {
		var sum float32
		for i := range k {
			sum += w[i*n+c]
		}
		for i := range k {
			w[i*n+c] /= sum
		}
	}
	x := make([]float32, k)
	for i := range x {
		x[i] = w[i*n+neuron]
	}
	p := sbs.Params{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 100_000, Epsilon0: 1, EpsilonT: inverseSqrt(100_000)}
	h := runOnce(t, p, []*ops.Tensor{opstest.F32([]int{1, k, 1, 1}, x...), opstest.F32([]int{k, n}, w...)}, &ops.Context{}).Float32s()
	var sum float32
	for i, v := range h {
		sum += v
		if i != neuron {
			require.Less(t, v, h[neuron])
		}
	}
	require.InDelta(t, 1, sum, 1e-5)
	require.Greater(t, h[neuron], float32(0.7))
}

// TestSbS_UsesTheWeightsOfEachRun checks that a layer does not use the data that it keeps
// for the weights of an earlier run for other weights.
func TestSbS_UsesTheWeightsOfEachRun(t *testing.T) {
	for seed := range uint64(10) {
		q := randomProblem(seed)
		op, err := sbs.Operator().New(ops.Node{Attributes: q.p.Attributes(), Opset: 1, NumInputs: 3})
		require.NoError(t, err)
		compute := func() []float32 {
			out, err := ops.Run(op, &ops.Context{Context: t.Context(), Pool: parallel.New(1), Spikes: q.spikes}, q.inputs())
			require.NoError(t, err)
			return out[0].Float32s()
		}
		compute()
		w := q.w.Float32s()
		slices.Reverse(w)
		want := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes}).Float32s()
		require.Equal(t, want, compute())
	}
}

// TestSbS_RunsWithDrawnAndGivenSpikesAlternate checks runs of one Context, which share
// temporary memory.
func TestSbS_RunsWithDrawnAndGivenSpikesAlternate(t *testing.T) {
	for seed := range uint64(40) {
		q := randomProblem(seed)
		op, err := sbs.Operator().New(ops.Node{Attributes: q.p.Attributes(), Opset: 1, NumInputs: 3})
		require.NoError(t, err)
		ctx := &ops.Context{Context: t.Context(), Pool: parallel.New(2)}
		for i := range 4 {
			var given *ops.Tensor
			if i%2 == 1 {
				given = q.spikes
			}
			want := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: given})
			ctx.Spikes = given
			out, err := ops.Run(op, ctx, q.inputs())
			require.NoError(t, err)
			require.Equal(t, want.Float32s(), out[0].Float32s(), "seed %d, run %d", seed, i)
		}
	}
}

func TestSbS_ZeroPatchStaysUniform(t *testing.T) {
	p := sbs.Params{Kernel: [2]int{2, 2}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 5, Epsilon0: 1, EpsilonT: inverseSqrt(5)}
	opstest.Run(t, sbs.Operator(), []opstest.Case{{
		Name: "zeros", Attributes: p.Attributes(), Batch: []int{0},
		Inputs:  []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, 0, 0, 0, 0), opstest.F32([]int{4, 2}, .1, .4, .2, .3, .3, .2, .4, .1)},
		Outputs: []*ops.Tensor{opstest.F32([]int{1, 2, 1, 1}, .5, .5)},
	}})
}

func TestSbS_RefusesWrongAttributesAndInputs(t *testing.T) {
	good := func() ops.Attributes {
		return sbs.Params{
			Kernel: [2]int{2, 2}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 3, Epsilon0: 1, EpsilonT: inverseSqrt(3),
		}.Attributes()
	}
	with := func(name string, v any) ops.Attributes {
		a := good()
		a[name] = v
		return a
	}
	without := func(name string) ops.Attributes {
		a := good()
		delete(a, name)
		return a
	}
	nan := float32(math.NaN())
	x, w := opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4), opstest.F32([]int{4, 2}, 1, 2, 3, 4, 5, 6, 7, 8)
	in := func(t ...*ops.Tensor) []*ops.Tensor { return t }
	opstest.Run(t, sbs.Operator(), []opstest.Case{
		{Name: "unknown attribute", Attributes: with("kernel", int64(1)), Inputs: in(x, w), WantErr: "unknown kernel"},
		{Name: "wrong type", Attributes: with("epsilon_0", int64(1)), Inputs: in(x, w), WantErr: "epsilon_0"},
		{Name: "no kernel", Attributes: without("kernel_shape"), Inputs: in(x, w), WantErr: "kernel_shape has 0 entries, want 2"},
		{Name: "kernel 0", Attributes: with("kernel_shape", []int64{0, 1}), Inputs: in(x, w), WantErr: "kernel_shape"},
		{Name: "huge pad", Attributes: with("pads", []int64{0, 0, 0, 1 << 40}), Inputs: in(x, w), WantErr: "pads"},
		{Name: "no spikes", Attributes: without("number_of_spikes"), Inputs: in(x, w), WantErr: "number_of_spikes is 0"},
		{Name: "too many spikes", Attributes: with("number_of_spikes", int64(4)), Inputs: in(x, w), WantErr: "only 3 entries: convert the network again"},
		{Name: "no schedule", Attributes: without("epsilon_t"), Inputs: in(x, w), WantErr: "only 0 entries"},
		{Name: "negative epsilon", Attributes: with("epsilon_t", []float32{1, -1, 1}), Inputs: in(x, w), WantErr: "epsilon_t[1] is -1"},
		{Name: "epsilon_0 not a number", Attributes: with("epsilon_0", nan), Inputs: in(x, w), WantErr: "epsilon_0 is NaN, want 0 to 10000"},
		{Name: "forgetting not a number", Attributes: with("forgetting_offset", nan), Inputs: in(x, w), WantErr: "forgetting_offset is NaN"},
		{Name: "epsilon_0 too large", Attributes: with("epsilon_0", float32(1e5)), Inputs: in(x, w), WantErr: "epsilon_0 is 100000"},
		{
			Name: "epsilon_xy not a number", Attributes: good(), Inputs: in(x, w, opstest.F32([]int{1, 1}, nan)),
			Constants: []int{2}, WantErr: "epsilon_xy holds NaN at [0 0]: want 0 to 10000",
		},
		{
			Name: "too large", Attributes: with("pads", []int64{60000, 60000, 60000, 60000}), Inputs: in(x, w),
			WantErr: "more than 2147483647 elements",
		},
		{Name: "alpha", Attributes: with("alpha_iterations", int64(-1)), Inputs: in(x, w), WantErr: "alpha_iterations is -1"},
		{Name: "sampler", Attributes: with("sampler", "sobol"), Inputs: in(x, w), WantErr: `sampler "sobol": want iid or low_discrepancy`},
		{Name: "rank", Attributes: good(), Inputs: in(w, w), WantErr: "X is float32(4, 2), want float32(batch, channels, height, width)"},
		{Name: "dtype", Attributes: good(), Inputs: in(x, opstest.F64([]int{1, 1}, 1)), WantErr: "W is float64(1, 1)"},
		{
			Name: "rows", Attributes: good(), Inputs: in(x, opstest.F32([]int{2, 1}, 1, 2)),
			WantErr: "needs W with 4 rows, but W is float32(2, 1)",
		},
		{Name: "no neurons", Attributes: good(), Inputs: in(x, opstest.F32([]int{4, 0})), WantErr: "no weights"},
		{
			Name: "no channels", Attributes: good(), Inputs: in(opstest.F32([]int{1, 0, 2, 2}), opstest.F32([]int{0, 2})),
			WantErr: "no weights",
		},
		{
			Name: "too small", Attributes: good(), Inputs: in(opstest.F32([]int{1, 1, 1, 2}, 1, 2), w),
			WantErr: "does not fit into X, which is float32(1, 1, 1, 2)",
		},
		{
			Name: "epsilon_xy", Attributes: good(), Inputs: in(x, w, opstest.F32([]int{2, 1}, 1, 1)),
			WantErr: "epsilon_xy is float32(2, 1), want float32(1, 1) or float32(1, 1, 2, 2)",
		},
		{Name: "negative input", Attributes: good(), Inputs: in(opstest.F32([]int{1, 1, 2, 2}, 1, 1, -1, 1), w), WantRunErr: "X holds -1 at [0 0 1 0]"},
		{Name: "input not a number", Attributes: good(), Inputs: in(opstest.F32([]int{1, 1, 2, 2}, nan, 1, 1, 1), w), WantRunErr: "X holds NaN"},
		{
			Name: "weight not a number", Attributes: good(), Inputs: in(x, opstest.F32([]int{4, 2}, 1, 1, 1, nan, 1, 1, 1, 1)),
			Constants: []int{1}, WantErr: "W holds NaN at [1 1]",
		},
		{
			Name: "negative weight", Attributes: good(), Inputs: in(x, opstest.F32([]int{4, 2}, 1, 1, 1, -0.5, 1, 1, 1, 1)),
			Constants: []int{1}, WantErr: "W holds -0.5 at [1 1]: weights must be finite and at least 0",
		},
		{
			Name: "infinite weight", Attributes: good(), Inputs: in(x, opstest.F32([]int{4, 2}, float32(math.Inf(1)), 1, 1, 1, 1, 1, 1, 1)),
			Constants: []int{1}, WantErr: "W holds +Inf at [0 0]",
		},
		{Name: "no X", Attributes: good(), Inputs: in(nil, w), WantErr: "needs the inputs X and W"},
		{Name: "no W", Attributes: good(), Inputs: in(x), WantErr: "needs the inputs X and W"},
		{Name: "no inputs", Attributes: good(), WantErr: "needs the inputs X and W"},
		{
			Name: "sum too large", Attributes: good(), Inputs: in(opstest.F32([]int{1, 1, 2, 2}, 3e38, 3e38, 1, 1), w),
			WantRunErr: "too large for float32",
		},
		{
			Name: "given spikes out of range", Attributes: good(), Inputs: in(x, w),
			Spikes: opstest.I64([]int{1, 3, 1, 1}, 0, 4, 0), WantRunErr: "given spikes: 4 at [0 1 0 0], want 0 to 3",
		},
		{
			Name: "given spikes below -1", Attributes: good(), Inputs: in(x, w),
			Spikes: opstest.I64([]int{1, 3, 1, 1}, 0, 0, -2), WantRunErr: "given spikes: -2 at [0 2 0 0], want 0 to 3, or -1 where the patch of X is all zero",
		},
		{
			Name: "no given spike for a patch that is not zero", Attributes: good(), Inputs: in(x, w),
			Spikes:     opstest.I64([]int{1, 3, 1, 1}, 0, -1, 0),
			WantRunErr: "given spikes: -1 at [0 1 0 0], but the patch of X there is not all zero: want 0 to 3",
		},
		{
			Name: "given spikes of another type", Attributes: good(), Inputs: in(x, w),
			Spikes: opstest.I32([]int{1, 3, 1, 1}, 0, 0, 0), WantRunErr: "given spikes: shape does not fit",
		},
		{
			Name: "constant given spikes out of range", Attributes: good(), Inputs: in(x, w, nil, opstest.I64([]int{1, 3, 1, 1}, 0, 4, 0)),
			Constants: []int{3}, WantErr: "given spikes: 4 at [0 1 0 0], want 0 to 3",
		},
		{
			Name: "constant given uniforms out of range", Attributes: good(), Inputs: in(x, w, nil, opstest.F32([]int{1, 3, 1, 1}, 0, 1, 0)),
			Constants: []int{3}, WantErr: "given uniforms: 1 at [0 1 0 0], want numbers in [0, 1)",
		},
		{
			Name: "given uniforms of another shape", Attributes: good(), Inputs: in(x, w),
			Uniforms: opstest.F32([]int{1, 2, 1, 1}, 0, 0), WantRunErr: "given uniforms: shape does not fit",
		},
	})
}

func TestSbS_InfersFromUnknownSizes(t *testing.T) {
	p := sbs.Params{Kernel: [2]int{2, 2}, Strides: [2]int{2, 2}, Dilations: [2]int{1, 1}, Spikes: 3, Epsilon0: 1, EpsilonT: inverseSqrt(3)}
	opstest.Infer(t, sbs.Operator(), []opstest.InferCase{
		{
			Name: "symbolic batch", Attributes: p.Attributes(),
			Inputs: []*ops.Input{
				opstest.Typed(ops.Float32, opstest.Unknown("batch"), opstest.Known(1), opstest.Known(6), opstest.Known(7)),
				opstest.Typed(ops.Float32, opstest.Known(4), opstest.Known(5)),
			},
			Want: []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{opstest.Unknown("batch"), opstest.Known(5), opstest.Known(3), opstest.Known(3)}}},
		},
		{
			Name: "unknown image size", Attributes: p.Attributes(),
			Inputs: []*ops.Input{
				opstest.Typed(ops.Float32, opstest.Unknown(""), opstest.Unknown(""), opstest.Unknown(""), opstest.Known(7)),
				opstest.Typed(ops.Float32, opstest.Known(4), opstest.Known(5)),
			},
			Want: []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{opstest.Unknown(""), opstest.Known(5), opstest.Unknown(""), opstest.Known(3)}}},
		},
	})
}

func TestSbS_CanceledRunFails(t *testing.T) {
	q := randomProblem(1)
	op, err := sbs.Operator().New(ops.Node{Attributes: q.p.Attributes(), Opset: 1, NumInputs: 2})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ops.Run(op, &ops.Context{Context: ctx, Pool: parallel.New(2)}, q.inputs()[:2])
	require.ErrorIs(t, err, context.Canceled)
}

// TestSbS_CanceledAlphaFails has a single image, so that one worker computes alpha in a
// single part of the loop.
func TestSbS_CanceledAlphaFails(t *testing.T) {
	p := sbs.Params{
		Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 3, Epsilon0: 1, EpsilonT: inverseSqrt(3),
		AlphaIterations: 1000,
	}
	op := mustLayer(t, p)
	r := rand.New(rand.NewPCG(1, 2))
	ctx := &ops.Context{Context: opstest.CanceledAfter(t.Context(), 100), Pool: parallel.New(1)}
	_, err := ops.Run(op, ctx, []*ops.Tensor{positive(r, 1, 4, 2, 2), positive(r, 4, 3)})
	require.ErrorIs(t, err, context.Canceled)
}

// TestSbS_TakesGivenSpikesAndUniformsAsInput checks that spikes and uniforms have the same
// effect as an input of the node and in the Context, and that the Context takes
// precedence.
func TestSbS_TakesGivenSpikesAndUniformsAsInput(t *testing.T) {
	for seed := range uint64(10) {
		q := randomProblem(seed)
		r := rand.New(rand.NewPCG(seed, 2))
		uniforms := positive(r, q.spikes.Shape()...)
		others := opstest.I64(q.spikes.Shape(), make([]int64, q.spikes.Len())...)
		bySpikes := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes}).Float32s()
		byUniforms := runOnce(t, q.p, q.inputs(), &ops.Context{Uniforms: uniforms}).Float32s()
		in := []*ops.Tensor{q.x, q.w, q.epsilonXY}
		require.Equal(t, bySpikes, runOnce(t, q.p, append(in, q.spikes), &ops.Context{}).Float32s())
		require.Equal(t, byUniforms, runOnce(t, q.p, append(in, uniforms), &ops.Context{}).Float32s())
		require.Equal(t, bySpikes, runOnce(t, q.p, append(in, others), &ops.Context{Spikes: q.spikes}).Float32s())
		require.Equal(t, byUniforms, runOnce(t, q.p, append(in, others), &ops.Context{Uniforms: uniforms}).Float32s())

		op, err := sbs.Operator().New(ops.Node{Attributes: q.p.Attributes(), Opset: 1, NumInputs: 4})
		require.NoError(t, err)
		for _, wrong := range []*ops.Tensor{q.x, opstest.I32(nil, 1), opstest.I64([]int{1, 1, 1, 1, 1}, 1)} {
			_, err = op.Infer([]*ops.Input{{Type: ops.TypeOf(q.x)}, {Type: ops.TypeOf(q.w)}, nil, {Type: ops.TypeOf(wrong)}})
			require.ErrorIs(t, err, ops.ErrShape)
			require.ErrorContains(t, err, "(batch, number_of_spikes, output height, output width), int64 for spikes or float32 for uniforms")
		}
	}
}

// TestRun_StopsWithinAPosition cancels a layer of a single position, with more spikes than it
// could draw in a second, after a number of looks at the context that only the loop over the
// spikes reaches.
func TestRun_StopsWithinAPosition(t *testing.T) {
	const spikes = sbs.MaxSpikes
	p := sbs.Params{Kernel: [2]int{2, 2}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: spikes, Epsilon0: 0.1, EpsilonT: slices.Repeat([]float32{1}, spikes)}
	op, err := sbs.Operator().New(ops.Node{Attributes: p.Attributes(), Opset: 1, NumInputs: 2})
	require.NoError(t, err)
	in := []*ops.Tensor{allOnes(1, 1, 2, 2), allOnes(4, 3)}
	_, err = ops.Run(op, &ops.Context{Context: opstest.CanceledAfter(t.Context(), 1000)}, in)
	require.ErrorIs(t, err, context.Canceled)
}

// TestRun_CountsTheMemoryOfGivenSpikes gives a layer so many spikes that the copies of a group of
// positions need more memory than the limit allows.
func TestRun_CountsTheMemoryOfGivenSpikes(t *testing.T) {
	const spikes = 1 << 18
	p := sbs.Params{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: spikes, Epsilon0: 0.1, EpsilonT: slices.Repeat([]float32{1}, spikes)}
	op, err := sbs.Operator().New(ops.Node{Attributes: p.Attributes(), Opset: 1, NumInputs: 2})
	require.NoError(t, err)
	given, err := ops.Zeros(ops.Int64, []int{1, spikes, 1, 1})
	require.NoError(t, err)
	ctx := &ops.Context{Context: t.Context(), Spikes: given, Memory: &ops.Memory{Values: 5, Limit: 2 << 20}}
	_, err = ops.Run(op, ctx, []*ops.Tensor{allOnes(1, 1, 1, 1), allOnes(1, 3)})
	require.ErrorIs(t, err, ops.ErrMemory)
	require.ErrorContains(t, err, "but the limit is 2097152")
	ctx.Memory.Limit = 1 << 30
	_, err = ops.Run(op, ctx, []*ops.Tensor{allOnes(1, 1, 1, 1), allOnes(1, 3)})
	require.NoError(t, err)
}

// allOnes returns a tensor of ones.
func allOnes(shape ...int) *ops.Tensor {
	n, err := ops.Len(shape)
	if err != nil {
		panic(err)
	}
	return opstest.F32(shape, slices.Repeat([]float32{1}, n)...)
}
