package sbs_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// runOperator returns the output of a new layer of an operator.
func runOperator(t *testing.T, o ops.Operator, p sbs.Params, in []*ops.Tensor, ctx *ops.Context) *ops.Tensor {
	t.Helper()
	op := newOp(t, o, p.Attributes(), len(in))
	ctx.Context = t.Context()
	ctx.Pool = parallel.New(2)
	out, err := ops.Run(op, ctx, in)
	require.NoError(t, err)
	return out[0]
}

// fullProblem is randomProblem for SbSFullLayer: spikes has shape (B, S, 1, 1). Some layers have
// larger strides and dilations.
func fullProblem(seed uint64) problem {
	q := randomProblem(seed)
	r := rand.New(rand.NewPCG(seed, 20))
	s := q.x.Shape()
	spikes := make([]int64, s[0]*q.p.Spikes)
	for i := range spikes {
		spikes[i] = int64(r.IntN(s[1] * s[2] * s[3]))
	}
	q.spikes = opstest.I64([]int{s[0], q.p.Spikes, 1, 1}, spikes...)
	if seed%2 == 1 {
		q.p.Sampler = sbs.LowDiscrepancy
	}
	if seed%3 == 0 && q.epsilonXY == nil {
		q.p.Strides = [2]int{1 + r.IntN(6), 1 + r.IntN(6)}
		q.p.Dilations = [2]int{1 + r.IntN(3), 1 + r.IntN(4)}
		q.p.Pads = [4]int{r.IntN(7), 6, r.IntN(7), 6}
		q.p.Pads[0] += max(0, q.p.Dilations[0]*(q.p.Kernel[0]-1)+1-s[2])
	}
	return q
}

func fullLayer(t testing.TB, p sbs.Params) ops.Op {
	t.Helper()
	return newOp(t, operator(t, sbs.OpFullLayer), p.Attributes(), 4)
}

func runFull(t *testing.T, q problem, ctx *ops.Context) *ops.Tensor {
	t.Helper()
	return runOperator(t, operator(t, sbs.OpFullLayer), q.p, q.inputs(), ctx)
}

func TestFullLayer_AgreesWithTheReference(t *testing.T) {
	for seed := range uint64(300) {
		q := fullProblem(seed)
		want := referenceFullOutput(q.p, q.x, q.w, q.epsilonXY, q.spikes)
		got := runFull(t, q, &ops.Context{Spikes: q.spikes}).Float32s()
		require.Len(t, got, len(want))
		for i := range want {
			require.InDelta(t, want[i], got[i], 2e-6, "seed %d, element %d, %+v", seed, i, q.p)
		}
	}
}

// drawnFromImages returns the spikes of the images, drawn with the samplers of package kernel.
func (q problem) drawnFromImages(seed, first uint64) *ops.Tensor {
	s := q.x.Shape()
	n := s[1] * s[2] * s[3]
	sums, thresholds, spikes := make([]float32, n), make([]uint32, n), make([]int32, q.p.Spikes)
	var all []int64
	for b := range s[0] {
		sum := 0.0
		for i, v := range q.x.Float32s()[b*n:][:n] {
			sum += float64(v)
			sums[i] = float32(sum)
		}
		if sum == 0 {
			all = append(all, slices.Repeat([]int64{-1}, q.p.Spikes)...)
			continue
		}
		kernel.Thresholds(thresholds, sums)
		key := kernel.Key(seed, uint64(q.p.Seed), first+uint64(b), 0)
		if q.p.Sampler == sbs.LowDiscrepancy {
			kernel.SampleLowDiscrepancy(spikes, thresholds, key)
		} else {
			kernel.Sample(spikes, thresholds, key)
		}
		for _, k := range spikes {
			all = append(all, int64(k))
		}
	}
	return opstest.I64([]int{s[0], q.p.Spikes, 1, 1}, all...)
}

// TestFullLayer_DrawsFromTheImage compares with a layer that is given the spikes that the samplers
// draw from the images, bit for bit, with every tier.
func TestFullLayer_DrawsFromTheImage(t *testing.T) {
	for seed := range uint64(150) {
		q := fullProblem(seed)
		q.p.Seed = int64(seed)
		var first []float32
		for _, tier := range kernel.Tiers() {
			undo := kernel.Use(tier)
			got := runFull(t, q, &ops.Context{Seed: 3, FirstImage: 5}).Float32s()
			want := runFull(t, q, &ops.Context{Spikes: q.drawnFromImages(3, 5)}).Float32s()
			undo()
			require.Equal(t, want, got, "%v, seed %d, %+v", tier, seed, q.p)
			if first == nil {
				first = got
			}
			require.Equal(t, first, got, "%v, seed %d, %+v", tier, seed, q.p)
		}
	}
}

// TestFullLayer_PassesTheHarness checks above all that the result depends neither on the number of
// workers nor on the batch.
func TestFullLayer_PassesTheHarness(t *testing.T) {
	var cases []opstest.Case
	for seed := range uint64(20) {
		q := fullProblem(seed)
		uniforms := positive(rand.New(rand.NewPCG(seed, 4)), q.spikes.Shape()...)
		for _, c := range []opstest.Case{
			{Name: "drawn", Seed: 7, FirstImage: 100},
			{Name: "spikes", Spikes: q.spikes},
			{Name: "uniforms", Uniforms: uniforms},
			{Name: "spikes as input", Inputs: []*ops.Tensor{q.x, q.w, q.epsilonXY, q.spikes}},
			{Name: "uniforms as input", Inputs: []*ops.Tensor{q.x, q.w, q.epsilonXY, uniforms}},
		} {
			c.Name = fmt.Sprint(c.Name, seed)
			c.Attributes = q.p.Attributes()
			c.Batch = []int{0, -1, -1, 0}[:max(len(c.Inputs), 1)]
			if c.Inputs == nil {
				c.Inputs = q.inputs()
			} else {
				c.Batch = []int{0, 3}
			}
			ctx := &ops.Context{Seed: c.Seed, FirstImage: c.FirstImage, Spikes: c.Spikes, Uniforms: c.Uniforms}
			c.Outputs = []*ops.Tensor{runOperator(t, operator(t, sbs.OpFullLayer), q.p, c.Inputs, ctx)}
			cases = append(cases, c)
		}
	}
	opstest.Run(t, operator(t, sbs.OpFullLayer), cases)
}

// TestFullLayer_HandsOutManySpikes has one entry of the image that gets all spikes, so that they
// are handed out in several parts.
func TestFullLayer_HandsOutManySpikes(t *testing.T) {
	const spikes = 66_000
	q := problem{p: sbs.Params{
		Kernel: [2]int{5, 5}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: spikes, Epsilon0: 0.1, EpsilonT: inverseSqrt(spikes),
	}}
	x := make([]float32, 2*8*11)
	x[8*11+3*11+5] = 1
	q.x, q.w = opstest.F32([]int{2, 1, 8, 11}, x...), positive(rand.New(rand.NewPCG(1, 1)), 25, 3)
	got := runFull(t, q, &ops.Context{})
	spikesOfImage := opstest.I64([]int{2, spikes, 1, 1}, slices.Repeat([]int64{3*11 + 5}, 2*spikes)...)
	want := referenceFullOutput(q.p, q.x, q.w, nil, spikesOfImage)
	for i := range want {
		require.InDelta(t, want[i], got.Float32s()[i], 1e-4)
	}
	require.Equal(t, slices.Repeat([]float32{1.0 / 3}, len(want)/2), got.Float32s()[:len(want)/2], "the black image")
}

// TestFullLayer_TakesImagesOfAllSizes runs one operator, which keeps its temporary memory, with
// images of several sizes.
func TestFullLayer_TakesImagesOfAllSizes(t *testing.T) {
	p := sbs.Params{Kernel: [2]int{3, 3}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 200, Epsilon0: 1, EpsilonT: inverseSqrt(200)}
	r := rand.New(rand.NewPCG(6, 6))
	w := positive(r, 18, 5)
	op := fullLayer(t, p)
	for _, size := range []int{5, 9, 4, 9, 20} {
		in := []*ops.Tensor{positive(r, 2, 2, size, size+1), w}
		want := runOperator(t, operator(t, sbs.OpFullLayer), p, in, &ops.Context{Seed: 1})
		require.Equal(t, want.Float32s(), compute(t, op, &ops.Context{Seed: 1}, in), "%d", size)
	}
}

// TestFullLayer_SelectsNoBlackEntryWithAUniformOfZero draws with the smallest uniform number from
// an image whose first entries are 0.
func TestFullLayer_SelectsNoBlackEntryWithAUniformOfZero(t *testing.T) {
	p := sbs.Params{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 2, Epsilon0: 1, EpsilonT: inverseSqrt(2)}
	q := problem{p: p, x: opstest.F32([]int{1, 1, 1, 4}, 0, 0, 1, 3), w: opstest.F32([]int{1, 2}, 1, 3)}
	got := runFull(t, q, &ops.Context{Uniforms: opstest.F32([]int{1, 2, 1, 1}, 0, 0.25)})
	want := runFull(t, q, &ops.Context{Spikes: opstest.I64([]int{1, 2, 1, 1}, 2, 2)})
	require.Equal(t, want.Float32s(), got.Float32s())
	require.Equal(t, []float32{0.5, 0.5}, []float32{got.Float32s()[0], got.Float32s()[4]})
}

// TestLayers_SelectNoEntryOfZeroWithARandomNumberOfZero draws with uniforms of 0, and with a seed
// that makes the first random number 0, from patches and images that start with zeros.
func TestLayers_SelectNoEntryOfZeroWithARandomNumberOfZero(t *testing.T) {
	x := opstest.F32([]int{1, 1, 1, 40}, slices.Concat(make([]float32, 30), slices.Repeat([]float32{2}, 10))...)
	w := positive(rand.New(rand.NewPCG(1, 1)), 40, 3)
	image := imageOp(t, sbs.OpSpikeImage, sbs.ImageParams{Spikes: 1})
	zero := opstest.F32([]int{1, 1, 1, 1}, 0)
	contexts := []ops.Context{{Uniforms: zero}, {Seed: seedOfZero}}
	require.Zero(t, kernel.Random(kernel.Key(seedOfZero, 0, 0, 0), 0))
	eachTier(t, func(t *testing.T) {
		for _, ctx := range contexts {
			for _, sampler := range []sbs.Sampler{sbs.IID, sbs.LowDiscrepancy} {
				p := sbs.Params{
					Kernel: [2]int{1, 40}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 1, Epsilon0: 1, EpsilonT: inverseSqrt(1), Sampler: sampler,
				}
				for _, op := range []ops.Op{mustLayer(t, p), fullLayer(t, p)} {
					spikes, err := sbs.Spikes(&ctx, op, []*ops.Tensor{x, w}, 1)
					require.NoError(t, err)
					require.Equal(t, []int64{30}, spikes.Int64s())
					want := compute(t, op, &ops.Context{Spikes: spikes}, []*ops.Tensor{x, w})
					require.Equal(t, want, compute(t, op, &ctx, []*ops.Tensor{x, w}))
				}
			}
			require.Equal(t, float32(40), compute(t, image, &ctx, []*ops.Tensor{x})[30])
		}
	})
}

// seedOfZero is a seed for which the first random number of position 0 of image 0 of a layer with
// the seed 0 is 0: the key of the position is -gamma, and all steps to it can be undone.
var seedOfZero = func() uint64 {
	const gamma = 0x9e3779b97f4a7c15
	key := ^uint64(gamma) + 1
	for range 3 {
		key = unmix(key) - gamma
	}
	return unmix(key) - gamma
}()

// unmix is the inverse of the finalizer of SplitMix64.
func unmix(z uint64) uint64 {
	inverse := func(odd uint64) uint64 { // by Newton's method
		x := odd
		for range 6 {
			x *= 2 - odd*x
		}
		return x
	}
	z ^= z>>31 ^ z>>62
	z *= inverse(0x94d049bb133111eb)
	z ^= z>>27 ^ z>>54
	z *= inverse(0xbf58476d1ce4e5b9)
	return z ^ z>>30 ^ z>>60
}

// TestFullLayer_FindsThePositionsOfLargeImagesSoon has strides and dilations without small common
// factors, and sizes that no memory holds.
func TestFullLayer_FindsThePositionsOfLargeImagesSoon(t *testing.T) {
	for _, p := range []sbs.Params{
		{Kernel: [2]int{1, 2}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 65535}},
		{Kernel: [2]int{1, 2}, Strides: [2]int{1, 2}, Dilations: [2]int{1, 65535}},
		{Kernel: [2]int{1, 65536}, Strides: [2]int{1, 65535}, Dilations: [2]int{1, 1}},
	} {
		p.Spikes, p.Epsilon0, p.EpsilonT = 10, 1, inverseSqrt(10)
		start := time.Now()
		for range 20 {
			require.Positive(t, sbs.Updates(sbs.OpFullLayer, p, 1, int(min(1<<40, int64(math.MaxInt)))))
			x := opstest.F32([]int{1, 1, 1, 1 << 17}, slices.Repeat([]float32{1}, 1<<17)...)
			w := positive(rand.New(rand.NewPCG(1, 1)), p.Kernel[1], 1)
			_, err := ops.Run(fullLayer(t, p), &ops.Context{}, []*ops.Tensor{x, w})
			require.NoError(t, err)
		}
		require.Less(t, time.Since(start), 10*time.Second, "%+v", p)
	}
}

// TestFullLayer_ReservesItsMemory runs with limits of memory that are too small, and has a batch
// of no images, whose size then does not matter.
func TestFullLayer_ReservesItsMemory(t *testing.T) {
	p := sbs.Params{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 2, Epsilon0: 1, EpsilonT: inverseSqrt(2)}
	w := opstest.F32([]int{1, 1}, 1)
	const size = 1 << 20
	in := []*ops.Tensor{opstest.F32([]int{1, 1, 1024, 1024}, slices.Repeat([]float32{1}, size)...), w}
	for limit := int64(4 << 20); limit < 16*size; limit += 4 << 20 {
		_, err := ops.Run(fullLayer(t, p), &ops.Context{Memory: &ops.Memory{Limit: limit}}, in)
		require.ErrorIs(t, err, ops.ErrMemory)
	}
	_, err := ops.Run(fullLayer(t, p), &ops.Context{Memory: &ops.Memory{Limit: 64 * size}}, in)
	require.NoError(t, err)

	none, err := ops.Zeros(ops.Float32, []int{0, 1, 1 << 15, 1 << 15})
	require.NoError(t, err)
	out, err := ops.Run(fullLayer(t, p), &ops.Context{Memory: &ops.Memory{Limit: 1 << 20}}, []*ops.Tensor{none, w})
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 1 << 15, 1 << 15}, out[0].Shape())
}

// TestFullLayer_StopsSoonForLargeImages cancels a layer while it adds the values of an image, and
// while it assigns spikes that very many positions see.
func TestFullLayer_StopsSoonForLargeImages(t *testing.T) {
	p := sbs.Params{
		Kernel: [2]int{1, 1 << 13}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 64, Epsilon0: 1, EpsilonT: inverseSqrt(64),
	}
	n := 1 << 19
	in := []*ops.Tensor{opstest.F32([]int{1, 1, 1, n}, slices.Repeat([]float32{1}, n)...), positive(rand.New(rand.NewPCG(1, 2)), 1<<13, 1)}
	op := fullLayer(t, p)
	for looks := 0; looks < 60; looks += 3 {
		_, err := ops.Run(op, &ops.Context{Context: opstest.CanceledAfter(t.Context(), looks)}, in)
		require.Error(t, err, "after %d calls", looks)
		_, err = sbs.Spikes(&ops.Context{Context: opstest.CanceledAfter(t.Context(), looks/2)}, op, in, 1)
		require.Error(t, err, "after %d calls", looks)
	}
}

// TestFullLayer_PrefixStopsAfterSpikesOfTheImage compares with layers that have fewer spikes.
func TestFullLayer_PrefixStopsAfterSpikesOfTheImage(t *testing.T) {
	for seed := range uint64(60) {
		q := fullProblem(seed)
		all := q.p.Spikes
		op := fullLayer(t, q.p)
		for _, s := range []ops.Context{{Seed: seed}, {Spikes: q.spikes}} {
			for _, n := range slices.Compact([]int{1, (all + 1) / 2, all}) {
				prefix, err := sbs.Prefix(op, n)
				require.NoError(t, err)
				ctx := s
				got := compute(t, prefix, &ctx, q.inputs())
				fewer := q
				fewer.p.Spikes = n
				ctx = s
				ctx.Spikes = firstSpikes(t, ctx.Spikes, n)
				require.Equal(t, runFull(t, fewer, &ctx).Float32s(), got, "seed %d, %d of %d spikes", seed, n, all)
			}
		}
	}
}

// TestFullLayer_SpikesAreThoseOfTheImage compares the result of Spikes with a search through the
// patch of every position.
func TestFullLayer_SpikesAreThoseOfTheImage(t *testing.T) {
	for seed := range uint64(60) {
		q := fullProblem(seed)
		op := fullLayer(t, q.p)
		n := (q.p.Spikes + 1) / 2
		drawn := q.drawnFromImages(seed, 0)
		got, err := sbs.Spikes(&ops.Context{Seed: seed}, op, q.inputs(), n)
		require.NoError(t, err)
		s, xs := got.Shape(), q.x.Shape()
		require.Equal(t, []int{xs[0], n}, s[:2])
		ref, image := reference{p: q.p, xs: xs}, xs[1]*xs[2]*xs[3]
		for i, k := range got.Int64s() {
			at := ops.Coordinates(i, s)
			spike, want := drawn.Int64s()[at[0]*q.p.Spikes+at[1]], int64(-1)
			for row := range q.w.Shape()[0] {
				if j, ok := ref.input(at[0], at[2], at[3], row); ok && int64(j-at[0]*image) == spike {
					want = int64(row)
				}
			}
			require.Equal(t, want, k, "seed %d, %v, %+v", seed, at, q.p)
		}
	}
}

func TestFullLayer_GradientsAgreeWithTheFormulas(t *testing.T) {
	for seed := range uint64(40) {
		q := fullProblem(seed)
		out := runFull(t, q, &ops.Context{Spikes: q.spikes})
		rule := sbs.Rule{Dialect: sbs.Dialect(1 + seed%2), Local: seed%4 == 1}
		g := opstest.Random(seed, out.Shape()...)
		ref := referenceGradient{p: q.p, rule: rule, q: q, h: out, g: g}
		opstest.Gradient(t, withRule(operator(t, sbs.OpFullLayer), rule), []opstest.GradientCase{{
			Case: opstest.Case{
				Name: fmt.Sprint(seed), Attributes: q.p.Attributes(), Inputs: q.inputs(), Spikes: q.spikes, Tolerance: 1e-4,
			},
			Trained: []int{0, 1, 2}[:len(q.inputs())], GradOut: g, Want: ref.gradients()[:len(q.inputs())],
		}})
	}
}

func TestFullLayer_RefusesGivenSpikesThatDoNotFit(t *testing.T) {
	p := sbs.Params{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 2, Epsilon0: 1, EpsilonT: inverseSqrt(2)}
	x, w := opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4), opstest.F32([]int{1, 2}, 1, 3)
	given := func(g *ops.Tensor) opstest.Case {
		return opstest.Case{Attributes: p.Attributes(), Inputs: []*ops.Tensor{x, w, nil, g}}
	}
	var cases []opstest.Case
	for err, g := range map[string]*ops.Tensor{
		"want int64(1, 2, 1, 1)":   opstest.I64([]int{1, 2, 2, 2}, make([]int64, 8)...),
		"want float32(1, 2, 1, 1)": opstest.F32([]int{1, 2, 2, 2}, make([]float32, 8)...),
	} {
		c := given(g)
		c.Name, c.WantErr = err, err
		cases = append(cases, c)
	}
	for err, g := range map[string]*ops.Tensor{
		"4 at [0 1 0 0], want 0 to 3":          opstest.I64([]int{1, 2, 1, 1}, 0, 4),
		"given uniforms: 1":                    opstest.F32([]int{1, 2, 1, 1}, 0, 1),
		"the image of X there is not all zero": opstest.I64([]int{1, 2, 1, 1}, 0, -1),
		"-2 at [0 0 0 0], want 0 to 3, or -1 where the image of X is all zero": opstest.I64([]int{1, 2, 1, 1}, -2, 0),
	} {
		c := given(g)
		c.Name, c.WantRunErr = err, err
		cases = append(cases, c)
	}
	opstest.Run(t, operator(t, sbs.OpFullLayer), cases)
}

// TestFullLayer_StopsSoon cancels a layer with many spikes while it draws, hands out and applies
// them.
func TestFullLayer_StopsSoon(t *testing.T) {
	const spikes = 1 << 18
	p := sbs.Params{Kernel: [2]int{2, 2}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: spikes, Epsilon0: 1, EpsilonT: inverseSqrt(spikes)}
	in := []*ops.Tensor{positive(rand.New(rand.NewPCG(1, 1)), 2, 1, 3, 3), positive(rand.New(rand.NewPCG(1, 2)), 4, 2)}
	op := fullLayer(t, p)
	for n := 0; n < 200; n += 7 {
		_, err := ops.Run(op, &ops.Context{Context: opstest.CanceledAfter(t.Context(), n), Pool: parallel.New(2)}, in)
		require.Error(t, err, "after %d calls", n)
	}
}

// TestUpdates_CountsTheMeanNumberOfPositions compares with a count of all pairs of a position and
// a place that it sees.
func TestUpdates_CountsTheMeanNumberOfPositions(t *testing.T) {
	for seed := range uint64(60) {
		q := fullProblem(seed)
		s := runFull(t, q, &ops.Context{}).Shape()
		xs := q.x.Shape()
		ref, pairs := reference{p: q.p, xs: xs}, 0
		for pos := range s[2] * s[3] {
			for place := range q.p.Kernel[0] * q.p.Kernel[1] {
				if _, ok := ref.input(0, pos/s[3], pos%s[3], place); ok {
					pairs++
				}
			}
		}
		want := float64(q.p.Spikes) * float64(pairs) / float64(xs[2]*xs[3])
		require.InDelta(t, want, sbs.Updates(sbs.OpFullLayer, q.p, xs[2], xs[3]), 0.51, "%+v", q.p)
		require.Equal(t, q.p.Spikes*s[2]*s[3], sbs.Updates(sbs.OpSbS, q.p, xs[2], xs[3]))
	}
}

// BenchmarkFullLayer compares SbSFullLayer with SbS: one image, with spikes for all its positions
// together, and as many updates per position. A full layer draws many more spikes than it needs
// for one position.
func BenchmarkFullLayer(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x, w := positive(r, 16, 1, 28, 28), positive(r, 25, 32)
	for _, full := range []bool{false, true} {
		p := sbs.Params{Kernel: [2]int{5, 5}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: 1000, Epsilon0: 0.1}
		name := sbs.OpSbS
		if full {
			p.Spikes, name = 40_000, sbs.OpFullLayer
		}
		p.EpsilonT = inverseSqrt(p.Spikes)
		b.Run(name, func(b *testing.B) {
			op := newOp(b, operator(b, name), p.Attributes(), 2)
			ctx := &ops.Context{Context: b.Context()}
			out, err := ops.Zeros(ops.Float32, []int{16, 32, 24, 24})
			require.NoError(b, err)
			for b.Loop() {
				require.NoError(b, op.Run(ctx, []*ops.Tensor{x, w}, []*ops.Tensor{out}))
			}
			updates := 16 * sbs.Updates(name, p, 28, 28)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(updates), "ns/update")
		})
	}
}
