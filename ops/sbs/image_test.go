package sbs_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// imageOp returns a Poisson or SpikeImage operator.
func imageOp(t testing.TB, name string, p sbs.ImageParams) ops.Op {
	t.Helper()
	return newOp(t, operator(t, name), p.Attributes(), 1)
}

// images returns images of random brightness with some black values, and a black image.
func images(seed uint64, shape ...int) *ops.Tensor {
	r := rand.New(rand.NewPCG(seed, 3))
	x := positive(r, shape...)
	size := x.Len() / shape[0]
	for i := range x.Float32s() {
		x.Float32s()[i] *= float32(i/size + 1)
		if r.IntN(4) == 0 || i/size == 1 {
			x.Float32s()[i] = 0
		}
	}
	return x
}

// uniforms returns random numbers in [0, 1).
func uniforms(seed uint64, shape ...int) *ops.Tensor {
	r := rand.New(rand.NewPCG(seed, 4))
	u, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		panic(err)
	}
	for i := range u.Float32s() {
		u.Float32s()[i] = r.Float32()
	}
	return u
}

// sumOf returns the sum of the entries of each image.
func sumOf(x *ops.Tensor) []float64 {
	sums := make([]float64, x.Shape()[0])
	for i, v := range x.Float32s() {
		sums[i/(x.Len()/len(sums))] += float64(v)
	}
	return sums
}

// TestImageOperators_KeepTheContract checks what opstest checks: workers, batches, the scratch,
// cancellation.
func TestImageOperators_KeepTheContract(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, name := range []string{sbs.OpPoisson, sbs.OpSpikeImage} {
			p := sbs.ImageParams{Spikes: 40, Seed: 3}
			x := images(1, 4, 2, 50, 60) // images of more than one block
			numbers := []int{4, 2, 50, 60}
			if name == sbs.OpSpikeImage {
				numbers = []int{4, 40, 1, 1}
			}
			given := uniforms(2, numbers...)
			counts, err := ops.Zeros(ops.Int64, numbers)
			require.NoError(t, err)
			for i := range counts.Int64s() {
				counts.Int64s()[i] = int64(i) % 7
			}
			op := imageOp(t, name, p)
			of := func(ctx *ops.Context, in ...*ops.Tensor) []*ops.Tensor {
				out, err := ops.Run(op, ctx, in)
				require.NoError(t, err)
				return out
			}
			opstest.Run(t, operator(t, name), []opstest.Case{
				{
					Name: name + " drawn", Attributes: p.Attributes(), Inputs: []*ops.Tensor{x}, Batch: []int{0},
					Seeds: []uint64{7, 7, 8}, Images: []uint64{5, 1 << 40, 5}, Seed: 9, FirstImage: 20,
					Outputs: of(&ops.Context{Seeds: []uint64{7, 7, 8}, Images: []uint64{5, 1 << 40, 5}, Seed: 9, FirstImage: 20}, x),
				},
				{Name: name + " uniforms", Attributes: p.Attributes(), Inputs: []*ops.Tensor{x}, Batch: []int{0}, Uniforms: given, Outputs: of(&ops.Context{Uniforms: given}, x)},
				{Name: name + " counts", Attributes: p.Attributes(), Inputs: []*ops.Tensor{x}, Batch: []int{0}, Spikes: counts, Outputs: of(&ops.Context{Spikes: counts}, x)},
				{Name: name + " uniforms as input", Attributes: p.Attributes(), Inputs: []*ops.Tensor{x, given}, Batch: []int{0, 1}, Outputs: of(&ops.Context{Uniforms: given}, x)},
				{Name: name + " counts as input", Attributes: p.Attributes(), Inputs: []*ops.Tensor{x, counts}, Batch: []int{0, 1}, Outputs: of(&ops.Context{Spikes: counts}, x)},
			})
			require.Equal(t, of(&ops.Context{Spikes: counts, Uniforms: given}, x), of(&ops.Context{Spikes: counts}, x), "given counts and spikes take precedence over uniforms")
			require.NotEqual(t, of(&ops.Context{Seed: 1}, x), of(&ops.Context{Seed: 2}, x))
			other := imageOp(t, name, sbs.ImageParams{Spikes: 40, Seed: 4})
			out, err := ops.Run(other, &ops.Context{Seed: 1}, []*ops.Tensor{x})
			require.NoError(t, err)
			require.NotEqual(t, of(&ops.Context{Seed: 1}, x), out, "another seed of the node")
		}
	})
}

// TestImageOperators_HaveTheSumOfTheirDefinition checks sums and black images.
func TestImageOperators_HaveTheSumOfTheirDefinition(t *testing.T) {
	x := images(1, 3, 2, 5, 7)
	for _, spikes := range []int{1, 3, 64, 5000} {
		p := sbs.ImageParams{Spikes: spikes}
		out, err := ops.Run(imageOp(t, sbs.OpPoisson, p), &ops.Context{Seed: 4}, []*ops.Tensor{x})
		require.NoError(t, err)
		require.InDeltaSlice(t, []float64{1, 0, 1}, sumOf(out[0]), 1e-5)
		out, err = ops.Run(imageOp(t, sbs.OpSpikeImage, p), &ops.Context{Seed: 4}, []*ops.Tensor{x})
		require.NoError(t, err)
		require.InDeltaSlice(t, []float64{70, 0, 70}, sumOf(out[0]), 1e-3, "the mean is 1")
		for i, v := range out[0].Float32s() {
			if x.Float32s()[i] == 0 {
				require.Zero(t, v)
			}
		}
	}
}

// TestImageOperators_OfOnePixel has a single value per image.
func TestImageOperators_OfOnePixel(t *testing.T) {
	x := opstest.F32([]int{3, 1, 1, 1}, 0.25, 0, math.MaxFloat32)
	for _, name := range []string{sbs.OpPoisson, sbs.OpSpikeImage} {
		out, err := ops.Run(imageOp(t, name, sbs.ImageParams{Spikes: 50}), &ops.Context{}, []*ops.Tensor{x})
		require.NoError(t, err)
		require.Equal(t, []float32{1, 0, 1}, out[0].Float32s(), name)
	}
	// With a rate of 1, some images have no count.
	op := imageOp(t, sbs.OpPoisson, sbs.ImageParams{Spikes: 1})
	none := 0
	for seed := range uint64(1000) {
		out, err := ops.Run(op, &ops.Context{Seed: seed}, []*ops.Tensor{opstest.F32([]int{1, 1, 1, 1}, 7)})
		require.NoError(t, err)
		if out[0].Float32s()[0] == 0 {
			none++
		}
	}
	require.InDelta(t, 1000/math.E, none, 4*math.Sqrt(1000/math.E*(1-1/math.E)))
}

// TestPoisson_RatesAreProportionalToTheInput compares mean counts with S*x/(m+1e-20).
func TestPoisson_RatesAreProportionalToTheInput(t *testing.T) {
	const batch, spikes = 4000, 20
	pixels := []float32{0.5, 0.25, 0.125, 0, 1e-20, 0.4}
	var all []float32
	for range batch {
		all = append(all, pixels...)
	}
	x := opstest.F32([]int{batch, 1, 2, 3}, all...)
	out, err := ops.Run(imageOp(t, sbs.OpPoisson, sbs.ImageParams{Spikes: spikes}), &ops.Context{}, []*ops.Tensor{x})
	require.NoError(t, err)
	// The counts given their sum have a multinomial distribution.
	var total float32
	for _, v := range pixels {
		total += v
	}
	for k, v := range pixels {
		var mean float64
		for b := range batch {
			mean += float64(out[0].Float32s()[b*len(pixels)+k]) / batch
		}
		p := float64(v / total)
		require.InDelta(t, p, mean, 5*math.Sqrt(p*(1-p)/batch/spikes)+1e-12, "value %d", k)
	}

	// An image of 1e-20, as the preprocessing of PyTorch-SbS makes of a black image, has half the
	// rate: its largest value is as small as the number that is added to it.
	dark := opstest.F32([]int{1, 1, 100, 100}, slices.Repeat([]float32{1e-20}, 10000)...)
	ones := opstest.F32([]int{1, 1, 100, 100}, slices.Repeat([]float32{1}, 10000)...)
	u := uniforms(1, 1, 1, 100, 100)
	positiveCounts := func(x *ops.Tensor) (n float64) {
		out, err := ops.Run(imageOp(t, sbs.OpPoisson, sbs.ImageParams{Spikes: 1}), &ops.Context{Uniforms: u}, []*ops.Tensor{x})
		require.NoError(t, err)
		for _, v := range out[0].Float32s() {
			if v > 0 {
				n++
			}
		}
		return n
	}
	require.InDelta(t, 10000*(1-math.Exp(-1)), positiveCounts(ones), 200)
	require.InDelta(t, 10000*(1-math.Exp(-0.5)), positiveCounts(dark), 200)
}

// TestSpikeImage_DrawsTheSpikesOfAFullLayer compares with a full layer whose kernel covers the
// image.
func TestSpikeImage_DrawsTheSpikesOfAFullLayer(t *testing.T) {
	const spikes = 5000 // more than are drawn at a time
	x := images(5, 3, 2, 6, 4)
	layer := fullLayer(t, sbs.Params{Kernel: [2]int{6, 4}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Spikes: spikes, EpsilonT: inverseSqrt(spikes), Seed: 8})
	w := positive(rand.New(rand.NewPCG(1, 1)), 48, 3)
	op := imageOp(t, sbs.OpSpikeImage, sbs.ImageParams{Spikes: spikes, Seed: 8})
	for name, ctx := range map[string]ops.Context{
		"drawn": {Seed: 6, FirstImage: 3},
		"given": {Uniforms: uniforms(6, 3, spikes, 1, 1)},
	} {
		drawn, err := sbs.Spikes(&ctx, layer, []*ops.Tensor{x, w}, spikes)
		require.NoError(t, err)
		want := make([]float32, x.Len())
		for i, k := range drawn.Int64s() {
			if k >= 0 {
				want[i/spikes*48+int(k)]++
			}
		}
		for i := range want {
			want[i] = want[i] * 48 / spikes
		}
		got := compute(t, op, &ctx, []*ops.Tensor{x})
		require.Equal(t, want, got, name)
		require.Equal(t, want, compute(t, op, &ops.Context{Spikes: drawn}, []*ops.Tensor{x}), name)
	}
}

func TestImageOperators_RefuseWrongInputs(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, name := range []string{sbs.OpPoisson, sbs.OpSpikeImage} {
		shape := []int{1, 1, 1, 2}
		attrs := sbs.ImageParams{Spikes: 2}.Attributes()
		x := opstest.F32(shape, 1, 2)
		shapeError := "given"
		cases := []opstest.Case{
			{Name: "no spikes", Attributes: ops.Attributes{}, Inputs: []*ops.Tensor{x}, WantErr: "number_of_spikes is 0, want 1 to 16777216"},
			{Name: "too many spikes", Attributes: sbs.ImageParams{Spikes: sbs.MaxSpikes + 1}.Attributes(), Inputs: []*ops.Tensor{x}, WantErr: "number_of_spikes is 16777217"},
			{Name: "unknown attribute", Attributes: ops.Attributes{sbs.AttrSpikes: int64(1), "speed": int64(1)}, Inputs: []*ops.Tensor{x}, WantErr: "speed"},
			{Name: "rank", Attributes: attrs, Inputs: []*ops.Tensor{opstest.F32([]int{2}, 1, 2)}, WantErr: "X is float32(2), want float32(batch, channels, height, width)"},
			{Name: "type", Attributes: attrs, Inputs: []*ops.Tensor{opstest.I64(shape, 1, 2)}, WantErr: "X is int64"},
			{Name: "shape of given numbers", Attributes: attrs, Inputs: []*ops.Tensor{x, opstest.F32([]int{1, 1, 2, 2}, 0, 0, 0, 0)}, WantErr: "the input given is float32(1, 1, 2, 2)"},
			{Name: "shape of given uniforms", Attributes: attrs, Inputs: []*ops.Tensor{x}, Uniforms: opstest.F32([]int{1, 1, 2, 2}, 0, 0, 0, 0), WantRunErr: shapeError + " uniforms"},
			{Name: "shape of given spikes", Attributes: attrs, Inputs: []*ops.Tensor{x}, Spikes: opstest.I64([]int{1, 3, 1, 1}, 0, 0, 0), WantRunErr: shapeError},
			{Name: "another batch of given spikes", Attributes: attrs, Inputs: []*ops.Tensor{x}, Spikes: opstest.I64([]int{2, 2, 1, 1}, 0, 0, 0, 0), WantRunErr: shapeError},
			{Name: "type of given spikes", Attributes: attrs, Inputs: []*ops.Tensor{x}, Spikes: opstest.F32([]int{1, 2, 1, 1}, 0, 0), WantRunErr: shapeError},
		}
		for i, v := range []float32{nan, inf, -inf, -1, -1e-30} {
			cases = append(cases, opstest.Case{
				Name: fmt.Sprint("value ", i), Attributes: attrs, Inputs: []*ops.Tensor{opstest.F32(shape, 1, v)},
				WantRunErr: fmt.Sprintf("X holds %v at [0 0 0 1]: a %s layer takes finite values of at least 0", v, name),
			})
		}
		for i, u := range []float32{nan, 1, -1e-30, 2, inf} {
			given := opstest.F32(map[string][]int{sbs.OpPoisson: shape, sbs.OpSpikeImage: {1, 2, 1, 1}}[name], 0.5, u)
			cases = append(cases,
				opstest.Case{Name: fmt.Sprint("uniform ", i), Attributes: attrs, Inputs: []*ops.Tensor{x}, Uniforms: given, WantRunErr: fmt.Sprintf("given uniforms: %v at", u)},
				opstest.Case{Name: fmt.Sprint("uniform as input ", i), Attributes: attrs, Inputs: []*ops.Tensor{x, given}, Constants: []int{1}, WantErr: fmt.Sprintf("given uniforms: %v at", u)})
		}
		for i, k := range []int64{-2, 1 << 40, math.MinInt64} {
			given := opstest.I64(map[string][]int{sbs.OpPoisson: shape, sbs.OpSpikeImage: {1, 2, 1, 1}}[name], 1, k)
			cases = append(cases,
				opstest.Case{Name: fmt.Sprint("number ", i), Attributes: attrs, Inputs: []*ops.Tensor{x}, Spikes: given, WantRunErr: fmt.Sprintf(": %d at", k)},
				opstest.Case{Name: fmt.Sprint("number as input ", i), Attributes: attrs, Inputs: []*ops.Tensor{x, given}, Constants: []int{1}, WantErr: fmt.Sprintf(": %d at", k)})
		}
		t.Run(name, func(t *testing.T) { opstest.Run(t, operator(t, name), cases) })
	}
	opstest.Run(t, operator(t, sbs.OpSpikeImage), []opstest.Case{
		{
			Name: "no spike in an image that is not black", Attributes: sbs.ImageParams{Spikes: 1}.Attributes(),
			Inputs: []*ops.Tensor{opstest.F32([]int{1, 1, 1, 2}, 1, 2)}, Spikes: opstest.I64([]int{1, 1, 1, 1}, -1), WantRunErr: "given spikes: -1 at [0 0 0 0], but the image of X there is not all zero",
		},
		{
			Name: "no such value", Attributes: sbs.ImageParams{Spikes: 1}.Attributes(),
			Inputs: []*ops.Tensor{opstest.F32([]int{1, 1, 1, 2}, 1, 2)}, Spikes: opstest.I64([]int{1, 1, 1, 1}, 2), WantRunErr: "given spikes: 2 at [0 0 0 0], want 0 to 1",
		},
		{
			Name: "too bright", Attributes: sbs.ImageParams{Spikes: 1}.Attributes(),
			Inputs: []*ops.Tensor{opstest.F32([]int{1, 1, 1, 2}, math.MaxFloat32, math.MaxFloat32)}, WantRunErr: "the sum over image 0 is too large for float32",
		},
	})
}

// TestImageOperators_StopWhenCanceled has the most spikes. For Poisson it has given uniforms, for which a
// count takes the most time.
func TestImageOperators_StopWhenCanceled(t *testing.T) {
	x := opstest.F32([]int{1, 1, 4, 4}, slices.Repeat([]float32{1}, 16)...)
	for name, c := range map[string]ops.Context{
		sbs.OpPoisson:    {Uniforms: uniforms(1, 1, 1, 4, 4)},
		sbs.OpSpikeImage: {},
	} {
		op := imageOp(t, name, sbs.ImageParams{Spikes: sbs.MaxSpikes})
		for looks := range 12 {
			c.Context = opstest.CanceledAfter(t.Context(), looks)
			_, err := ops.Run(op, &c, []*ops.Tensor{x})
			require.ErrorContains(t, err, "canceled", "%s, %d", name, looks)
		}
	}
}

func TestImageOperators_Gradients(t *testing.T) {
	x := images(1, 3, 2, 5, 7)
	g := opstest.Random(3, 3, 2, 5, 7)
	zero, err := ops.Zeros(ops.Float32, x.Shape())
	require.NoError(t, err)
	for name, want := range map[string]*ops.Tensor{sbs.OpPoisson: g, sbs.OpSpikeImage: zero} {
		opstest.Gradient(t, operator(t, name), []opstest.GradientCase{{
			Case:    opstest.Case{Name: name, Attributes: sbs.ImageParams{Spikes: 9}.Attributes(), Inputs: []*ops.Tensor{x}, Seed: 2},
			Trained: []int{0}, GradOut: g, Want: []*ops.Tensor{want},
		}})
	}
}

// TestImageOperators_BitsAreTheSameOnAllProcessors compares with hashes of what an amd64
// processor has computed.
func TestImageOperators_BitsAreTheSameOnAllProcessors(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for name, want := range map[string]string{sbs.OpPoisson: "3e4a9cf89b65e606", sbs.OpSpikeImage: "819429bcbc9c8a84"} {
			sum := fnv.New64a()
			for i, spikes := range []int{1, 5, 12, 100, 20_000, sbs.MaxSpikes / 2} {
				x := images(uint64(i), 3, 2, 12, 8)
				p := sbs.ImageParams{Spikes: spikes, Seed: int64(i)}
				if name == sbs.OpSpikeImage {
					p.Spikes = min(spikes, 20_000)
				}
				for _, ctx := range []*ops.Context{{Seed: uint64(i)}, {Uniforms: uniforms(1, 3, 2, 12, 8)}} {
					if name == sbs.OpSpikeImage && ctx.Uniforms != nil {
						ctx.Uniforms = uniforms(1, 3, p.Spikes, 1, 1)
					}
					ctx.Pool = parallel.New(2)
					require.NoError(t, binary.Write(sum, binary.LittleEndian, compute(t, imageOp(t, name, p), ctx, []*ops.Tensor{x})))
				}
			}
			require.Equal(t, want, fmt.Sprintf("%016x", sum.Sum64()), name)
		}
	})
}

// TestConformancePoisson compares with all recordings of POISSON layers.
func TestConformancePoisson(t *testing.T) {
	for dir, c := range modeltest.SharedLayers(t, "layer-head", "POISSON") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			file := func(name string) *ops.Tensor { return opstest.Load(t, filepath.Join(dir, name+".npy")) }
			x, rates := file("input"), file("rates")
			spikes := c["number_of_spikes"].(float64)
			counts := file("counts")
			if counts.DType() == ops.Float32 {
				whole := make([]int64, counts.Len())
				for i, v := range counts.Float32s() {
					whole[i] = int64(v)
				}
				counts = opstest.I64(x.Shape(), whole...)
			}
			attrs := sbs.ImageParams{Spikes: int(spikes)}.Attributes()
			opstest.Run(t, operator(t, sbs.OpPoisson), []opstest.Case{{
				Name: "given counts", Attributes: attrs, Inputs: []*ops.Tensor{x}, Batch: []int{0},
				Spikes: counts, Outputs: []*ops.Tensor{file("output")}, Tolerance: 1e-6,
			}})
			opstest.Gradient(t, operator(t, sbs.OpPoisson), []opstest.GradientCase{{
				Case:    opstest.Case{Name: "gradient", Attributes: attrs, Inputs: []*ops.Tensor{x}, Spikes: counts, Tolerance: 1e-4},
				GradOut: file("grad_output"), Trained: []int{0}, Want: []*ops.Tensor{file("grad_input")},
			}})
			t.Run("rates", func(t *testing.T) {
				// The mean of the shares of all values, over many runs, shows the rates of an image.
				op := imageOp(t, sbs.OpPoisson, sbs.ImageParams{Spikes: int(spikes)})
				const runs = 2000
				mean := make([]float64, x.Len())
				for seed := range uint64(runs) {
					for i, v := range compute(t, op, &ops.Context{Seed: seed}, []*ops.Tensor{x}) {
						mean[i] += float64(v) / runs
					}
				}
				sums := sumOf(rates)
				size := x.Len() / len(sums)
				for i, r := range rates.Float32s() {
					p := float64(r) / sums[i/size]
					require.InDelta(t, p, mean[i], 6*math.Sqrt(p*(1-p)/runs/max(1, sums[i/size]/2))+1e-6, "value %d", i)
				}
			})
		})
	}
}

// TestConformanceSpikeImage compares with all recordings of INPUT SPIKE IMAGE layers with spikes.
func TestConformanceSpikeImage(t *testing.T) {
	for dir, c := range modeltest.SharedLayers(t, "layer-head", "INPUT SPIKE IMAGE") {
		n := int(c["number_of_spikes"].(float64))
		if n < 1 {
			continue // standard operators: see package runtime
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			file := func(name string) *ops.Tensor { return opstest.Load(t, filepath.Join(dir, name+".npy")) }
			x, spikes, u, output := file("input"), file("spikes"), file("uniforms"), file("output")
			attrs := sbs.ImageParams{Spikes: n}.Attributes()
			opstest.Run(t, operator(t, sbs.OpSpikeImage), []opstest.Case{{
				Name: "given spikes", Attributes: attrs, Inputs: []*ops.Tensor{x}, Batch: []int{0},
				Spikes: spikes, Outputs: []*ops.Tensor{output}, Tolerance: 1e-6,
			}})
			drawn := compute(t, imageOp(t, sbs.OpSpikeImage, sbs.ImageParams{Spikes: n}), &ops.Context{Uniforms: u}, []*ops.Tensor{x})
			require.InDeltaSlice(t, output.Float32s(), drawn, 1e-6, "the spikes of the uniforms")
		})
	}
}

func BenchmarkImageOperators(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x := positive(r, 64, 1, 28, 28)
	for i := range x.Float32s() {
		if r.IntN(5) > 0 {
			x.Float32s()[i] = 1e-20 // most pixels of a digit are black
		}
	}
	for _, name := range []string{sbs.OpPoisson, sbs.OpSpikeImage} {
		for _, spikes := range []int{20, 200, 2000} {
			b.Run(fmt.Sprintf("%s/%d", name, spikes), func(b *testing.B) {
				op := imageOp(b, name, sbs.ImageParams{Spikes: spikes})
				ctx := ops.NewContext(b.Context(), 1)
				defer ctx.Close()
				out, err := ops.Run(op, ctx, []*ops.Tensor{x})
				require.NoError(b, err)
				for b.Loop() {
					require.NoError(b, op.Run(ctx, []*ops.Tensor{x}, out))
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/image")
			})
		}
	}
}
