package sbs_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// eachTier calls f as a subtest for every tier of the kernel.
func eachTier(t *testing.T, f func(t *testing.T)) {
	for _, tier := range kernel.Tiers() {
		t.Run(fmt.Sprint(tier), func(t *testing.T) {
			defer kernel.Use(tier)()
			f(t)
		})
	}
}

// compute returns h of an operator.
func compute(t *testing.T, op ops.Op, ctx *ops.Context, in []*ops.Tensor) []float32 {
	t.Helper()
	out, err := ops.Run(op, ctx, in)
	require.NoError(t, err)
	return out[0].Float32s()
}

// source is a way for a layer to get its spikes: an extra input of the node, and a
// Context.
type source struct {
	name    string
	given   *ops.Tensor
	context ops.Context
}

// sources returns all ways to get the spikes, with random seeds and numbers.
func (q problem) sources(seed uint64) []source {
	uniforms := opstest.Random(seed, q.spikes.Shape()...)
	for i, v := range uniforms.Float32s() {
		uniforms.Float32s()[i] = (v + 1) / 2
	}
	return []source{
		{name: "drawn", context: ops.Context{Seed: seed, FirstImage: 10 * seed}},
		{name: "spikes of the run", context: ops.Context{Spikes: q.spikes}},
		{name: "uniforms of the run", context: ops.Context{Uniforms: uniforms}},
		{name: "spikes as input", given: q.spikes},
		{name: "uniforms as input", given: uniforms},
	}
}

// with returns the inputs with given spikes or uniforms, if not nil.
func (q problem) with(given *ops.Tensor) []*ops.Tensor {
	if given == nil {
		return q.inputs()
	}
	return []*ops.Tensor{q.x, q.w, q.epsilonXY, given}
}

// firstSpikes returns the first n of S along axis 1 of (B, S, OH, OW).
func firstSpikes(t *testing.T, x *ops.Tensor, n int) *ops.Tensor {
	if x == nil {
		return nil
	}
	shape := slices.Clone(x.Shape())
	shape[1] = n
	out, err := ops.Zeros(x.DType(), shape)
	require.NoError(t, err)
	for i := range n {
		part, err := x.Take(1, i)
		require.NoError(t, err)
		require.NoError(t, out.Put(1, i, part))
	}
	return out
}

// TestPrefix_IsALayerWithFewerSpikes compares with a layer that has the attribute
// number_of_spikes n, bit for bit. The random layers have both samplers, all forms of
// epsilon_xy, forgetting, and alpha.
func TestPrefix_IsALayerWithFewerSpikes(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for seed := range uint64(40) {
			q := randomProblem(seed)
			if seed%2 == 0 {
				q.p.Sampler = sbs.LowDiscrepancy
			}
			all := q.p.Spikes
			whole := mustLayer(t, q.p)
			for _, s := range q.sources(seed) {
				for _, n := range slices.Compact([]int{1, (all + 1) / 2, all}) {
					prefix, err := sbs.Prefix(whole, n)
					require.NoError(t, err)
					ctx := s.context
					got := compute(t, prefix, &ctx, q.with(s.given))

					fewer := q.p
					fewer.Spikes = n
					ctx = s.context
					ctx.Spikes, ctx.Uniforms = firstSpikes(t, ctx.Spikes, n), firstSpikes(t, ctx.Uniforms, n)
					want := compute(t, mustLayer(t, fewer), &ctx, q.with(firstSpikes(t, s.given, n)))
					require.Equal(t, want, got, "seed %d, %s, %d of %d spikes", seed, s.name, n, all)
				}
				ctx := s.context
				last, err := sbs.Prefix(whole, all)
				require.NoError(t, err)
				require.Equal(t, compute(t, whole, &ctx, q.with(s.given)), compute(t, last, &s.context, q.with(s.given)), "seed %d, %s", seed, s.name)
			}
		}
	})
}

// TestSpikes_GivenBackGiveTheSameH runs a layer with the spikes that it has drawn, and
// compares bit for bit.
func TestSpikes_GivenBackGiveTheSameH(t *testing.T) {
	zero := 0
	eachTier(t, func(t *testing.T) {
		for seed := range uint64(60) {
			q := randomProblem(seed)
			if seed%2 == 0 {
				q.p.Sampler = sbs.LowDiscrepancy
			}
			op := mustLayer(t, q.p)
			for _, s := range q.sources(seed) {
				ctx := s.context
				want := compute(t, op, &ctx, q.with(s.given))
				spikes, err := sbs.Spikes(&s.context, op, q.with(s.given), q.p.Spikes)
				require.NoError(t, err)
				require.Equal(t, q.spikes.Shape(), spikes.Shape())
				for i, k := range spikes.Int64s() {
					if k == -1 {
						zero++
					} else if s.context.Spikes != nil || s.given.DType() == ops.Int64 {
						require.Equal(t, q.spikes.Int64s()[i], k, "seed %d, %s: given spikes are those that are used", seed, s.name)
					}
				}
				for name, got := range map[string][]float32{
					"of the run": compute(t, op, &ops.Context{Spikes: spikes}, q.inputs()),
					"as input":   compute(t, op, &ops.Context{}, q.with(spikes)),
				} {
					require.Equal(t, want, got, "seed %d, %s, spikes %s", seed, s.name, name)
				}
				if q.p.Spikes > 1 {
					n := q.p.Spikes / 2
					first, err := sbs.Spikes(&s.context, op, q.with(s.given), n)
					require.NoError(t, err)
					require.Equal(t, firstSpikes(t, spikes, n), first, "seed %d, %s", seed, s.name)
				}
			}
		}
	})
	require.NotZero(t, zero, "some patches are all zero")
}

// TestSbS_PermutedBatchGivesPermutedResults gives every image its own seed and number.
// An image must get the same h and spikes at any place in the batch.
func TestSbS_PermutedBatchGivesPermutedResults(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for seed := range uint64(30) {
			q := randomProblem(seed)
			if seed%2 == 0 {
				q.p.Sampler = sbs.LowDiscrepancy
			}
			op := mustLayer(t, q.p)
			batch := q.x.Shape()[0]
			ctx := ops.Context{Seeds: []uint64{3, 7, 3}[:batch], Images: []uint64{5, 5, 1 << 40}[:batch]}
			reversed := ops.Context{Seeds: slices.Clone(ctx.Seeds), Images: slices.Clone(ctx.Images)}
			slices.Reverse(reversed.Seeds)
			slices.Reverse(reversed.Images)
			in := q.inputs()
			back := slices.Clone(in)
			back[0] = reverse(t, q.x)

			want, err := ops.Run(op, &ctx, in)
			require.NoError(t, err)
			got, err := ops.Run(op, &reversed, back)
			require.NoError(t, err)
			require.Equal(t, want[0].Float32s(), reverse(t, got[0]).Float32s(), "seed %d", seed)

			spikes, err := sbs.Spikes(&ctx, op, in, q.p.Spikes)
			require.NoError(t, err)
			backSpikes, err := sbs.Spikes(&reversed, op, back, q.p.Spikes)
			require.NoError(t, err)
			require.Equal(t, spikes.Int64s(), reverse(t, backSpikes).Int64s(), "seed %d", seed)
		}
	})
}

// reverse returns x with its entries along the first axis in reverse order.
func reverse(t *testing.T, x *ops.Tensor) *ops.Tensor {
	out := x.Clone()
	n := x.Shape()[0]
	for i := range n {
		part, err := x.Take(0, i)
		require.NoError(t, err)
		require.NoError(t, out.Put(0, n-1-i, part))
	}
	return out
}

// TestSbS_RefusesUniformsOutsideTheirRange gives one wrong number, both in the Context and
// as an input of the node.
func TestSbS_RefusesUniformsOutsideTheirRange(t *testing.T) {
	q := randomProblem(1)
	op := mustLayer(t, q.p)
	for _, u := range []float32{float32(math.NaN()), -3, -1e-30, 1, 7, float32(math.Inf(1)), float32(math.Inf(-1))} {
		uniforms := positive(rand.New(rand.NewPCG(1, 1)), q.spikes.Shape()...)
		uniforms.Float32s()[2] = u
		for name, run := range map[string]func() error{
			"of the run": func() error { _, err := ops.Run(op, &ops.Context{Uniforms: uniforms}, q.inputs()); return err },
			"as input":   func() error { _, err := ops.Run(op, &ops.Context{}, q.with(uniforms)); return err },
			"of Spikes": func() error {
				_, err := sbs.Spikes(&ops.Context{Uniforms: uniforms}, op, q.inputs(), 1)
				return err
			},
		} {
			require.ErrorContains(t, run(), fmt.Sprintf("given uniforms: %v at [", u), name)
		}
	}
	zero := positive(rand.New(rand.NewPCG(1, 1)), q.spikes.Shape()...)
	zero.Float32s()[0], zero.Float32s()[1] = 0, math.Nextafter32(1, 0)
	_, err := ops.Run(op, &ops.Context{Uniforms: zero}, q.inputs())
	require.NoError(t, err)
}

// otherOp is an operator that is not SbS.
type otherOp struct{ ops.Op }

func TestHelpers_RefuseMissingAndWrongArguments(t *testing.T) {
	q := randomProblem(1)
	op := mustLayer(t, q.p)
	ctx := &ops.Context{}
	for name, err := range map[string]error{
		"Prefix of nil":              errorOf(sbs.Prefix(nil, 1)),
		"Prefix of another operator": errorOf(sbs.Prefix(otherOp{}, 1)),
		"Prefix of 0":                errorOf(sbs.Prefix(op, 0)),
		"Prefix of too many":         errorOf(sbs.Prefix(op, q.p.Spikes+1)),
		"Spikes of nil":              errorOf(sbs.Spikes(ctx, nil, q.inputs(), 1)),
		"Spikes of another operator": errorOf(sbs.Spikes(ctx, otherOp{}, q.inputs(), 1)),
		"Spikes without Context":     errorOf(sbs.Spikes(nil, op, q.inputs(), 1)),
		"Spikes without inputs":      errorOf(sbs.Spikes(ctx, op, nil, 1)),
		"Spikes with nil inputs":     errorOf(sbs.Spikes(ctx, op, []*ops.Tensor{nil, nil}, 1)),
		"Spikes with zero inputs":    errorOf(sbs.Spikes(ctx, op, []*ops.Tensor{{}, {}}, 1)),
		"Spikes of 0":                errorOf(sbs.Spikes(ctx, op, q.inputs(), 0)),
		"Distribution of nil":        errorOf(sbs.Distribution(ctx, nil, q.x)),
		"Distribution of another":    errorOf(sbs.Distribution(ctx, otherOp{}, q.x)),
		"Distribution, no Context":   errorOf(sbs.Distribution(nil, op, q.x)),
		"Distribution without X":     errorOf(sbs.Distribution(ctx, op, nil)),
		"Distribution of zero X":     errorOf(sbs.Distribution(ctx, op, &ops.Tensor{})),
		"Distribution of a small X":  errorOf(sbs.Distribution(ctx, mustLayer(t, sbs.Params{Kernel: [2]int{9, 9}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 1, EpsilonT: []float32{1}}), opstest.F32([]int{1, 1, 2, 2}, 1, 1, 1, 1))),
		"Params of no attributes":    errorOf(sbs.ParamsOf(nil)),
		"a patch that is too large": errorOf(sbs.Spikes(ctx, mustLayer(t, sbs.Params{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 1, EpsilonT: []float32{1}}),
			[]*ops.Tensor{opstest.F32([]int{1, 2, 1, 1}, 3e38, 3e38), opstest.F32([]int{2, 1}, 1, 1)}, 1)),
	} {
		require.Error(t, err, name)
	}
	for _, other := range []ops.Op{nil, otherOp{}} {
		_, ok := sbs.OpParams(other)
		require.False(t, ok)
	}
	sbs.Dynamics{Spikes: 3}.Change(nil)
	require.Empty(t, sbs.Schedule{}.EpsilonT(-1))
}

func errorOf[T any](_ T, err error) error { return err }

// TestHelpers_TakeOperatorsWithARule checks that a rule, which changes the gradient alone,
// does not hide that an operator is SbS.
func TestHelpers_TakeOperatorsWithARule(t *testing.T) {
	q := randomProblem(2)
	op := mustLayer(t, q.p)
	ruled, ok := sbs.WithRule(op, sbs.Rule{Dialect: sbs.Dialect1})
	require.True(t, ok)
	want, ok := sbs.OpParams(op)
	require.True(t, ok)
	got, ok := sbs.OpParams(ruled)
	require.True(t, ok)
	require.Equal(t, want, got)
	prefix, err := sbs.Prefix(ruled, 1)
	require.NoError(t, err)
	_, ok = sbs.WithRule(prefix, sbs.Rule{})
	require.True(t, ok)
	_, ok = sbs.WithRule(ruled, sbs.Rule{})
	require.True(t, ok)
	_, err = sbs.Distribution(&ops.Context{}, ruled, q.x)
	require.NoError(t, err)
	require.Equal(t, compute(t, op, &ops.Context{}, q.inputs()), compute(t, ruled, &ops.Context{}, q.inputs()))
}

// TestOpParams_IsACopy changes the result and the attributes that the operator was made of.
func TestOpParams_IsACopy(t *testing.T) {
	q := randomProblem(1)
	attributes := q.p.Attributes()
	op, err := sbs.Operator().New(ops.Node{Attributes: attributes, Opset: 1, NumInputs: 2})
	require.NoError(t, err)
	attributes[sbs.AttrEpsilonT].([]float32)[0] = 77
	p, _ := sbs.OpParams(op)
	p.EpsilonT[0] = 78
	again, _ := sbs.OpParams(op)
	require.Equal(t, q.p.EpsilonT[0], again.EpsilonT[0])
}

func TestFitSchedule_FindsTheScheduleThatExtends(t *testing.T) {
	for _, power := range []float64{0, -0.2, -0.5, -1, -10} {
		s := sbs.Schedule{Power: power}
		got, ok := sbs.FitSchedule(s.EpsilonT(40))
		require.True(t, ok)
		require.Equal(t, s, got)
		require.Equal(t, s.EpsilonT(100), sbs.Dynamics{Spikes: 100}.EpsilonT(s.EpsilonT(40)))
	}
	own := sbs.Schedule{Power: -0.5}.EpsilonT(40)
	own[39] = 0.1
	nan := float32(math.NaN())
	long := func(second float32) []float32 { return append([]float32{1, second}, make([]float32, 8)...) }
	for _, e := range [][]float32{own, sbs.Schedule{Power: -1}.EpsilonT(7), sbs.Schedule{Power: -0.33333}.EpsilonT(40), {1}, nil, long(0), long(2), long(-1), long(nan)} {
		_, ok := sbs.FitSchedule(e)
		require.False(t, ok, "%v", e)
		require.Equal(t, len(e), len(sbs.Dynamics{Spikes: 100}.EpsilonT(e)))
	}
	require.Equal(t, own, sbs.Dynamics{Spikes: 7}.EpsilonT(own))
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(9), sbs.Dynamics{Spikes: 9}.EpsilonT(sbs.Schedule{Power: -0.5}.EpsilonT(40)))
}

func TestSchedule_StringIsWhatParseScheduleReads(t *testing.T) {
	for _, text := range []string{"inverse-sqrt", "constant", "power:-0.2", "power:-10", "auto"} {
		s, err := sbs.ParseSchedule(text)
		require.NoError(t, err)
		require.Equal(t, text, s.String())
		require.NoError(t, s.Check())
	}
	require.Error(t, sbs.Schedule{Power: 1}.Check())
	require.Error(t, sbs.Schedule{Power: math.NaN()}.Check())
}
