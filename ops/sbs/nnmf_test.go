package sbs_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// recordedNNMF calls f with every folder of recordings of the last state of PyTorch-SbS whose
// layer_type is the given one, and with its case.json.
func recordedNNMF(t *testing.T, layerType string, f func(t *testing.T, dir string, c recordedCase)) {
	t.Helper()
	for dir := range modeltest.SharedLayers(t, "layer-head", layerType) {
		b, err := os.ReadFile(filepath.Join(dir, "case.json"))
		require.NoError(t, err)
		var c recordedCase
		require.NoError(t, json.Unmarshal(b, &c), dir)
		t.Run(filepath.Base(dir), func(t *testing.T) { f(t, dir, c) })
	}
}

// recordedCase holds the entries of a case.json that describe a layer.
type recordedCase struct {
	Kernel       [2]int `json:"kernel_size"`
	Strides      [2]int
	Dilation     [2]int
	Padding      [2]int
	Epsilon0     float32 `json:"epsilon_0"`
	Iterations   int     `json:"number_of_iterations"`
	DisableScale *bool   `json:"disable_scale_grade"`
	Scale        float32 `json:"last_grad_scale"`
	Expected     []struct {
		Step, Batch int
		Scale       float32 `json:"scale_used"`
	}
}

func (c recordedCase) nnmf(gradient sbs.NNMFGradient) sbs.NNMFParams {
	return sbs.NNMFParams{
		Kernel: c.Kernel, Strides: c.Strides, Dilations: c.Dilation,
		Pads:       [4]int{c.Padding[0], c.Padding[1], c.Padding[0], c.Padding[1]},
		Iterations: c.Iterations, Epsilon0: c.Epsilon0, Gradient: gradient,
	}
}

// TestConformanceNNMF compares with all recordings of NNMF and BP SBS NNMF layers.
func TestConformanceNNMF(t *testing.T) {
	for layerType, gradient := range map[string]sbs.NNMFGradient{"NNMF": sbs.GradientLoop, "BP SBS NNMF": sbs.GradientClosedForm} {
		recordedNNMF(t, layerType, func(t *testing.T, dir string, c recordedCase) {
			if len(c.Expected) > 0 {
				for _, e := range c.Expected {
					checkRecordedNNMF(t, dir, c.nnmf(gradient), fmt.Sprintf("step%d_batch%d_", e.Step, e.Batch), e.Scale)
				}
				return
			}
			scale := float32(1)
			if c.DisableScale != nil && !*c.DisableScale {
				scale = c.Scale
			}
			checkRecordedNNMF(t, dir, c.nnmf(gradient), "", scale)
		})
	}
}

func checkRecordedNNMF(t *testing.T, dir string, p sbs.NNMFParams, prefix string, scale float32) {
	file := func(name string) *ops.Tensor { return opstest.Load(t, filepath.Join(dir, name+".npy")) }
	in := []*ops.Tensor{file(prefix + "input"), file("weights")}
	o := operator(t, sbs.OpNNMF)
	opstest.Run(t, o, []opstest.Case{{
		Name: prefix + "output", Attributes: p.Attributes(), Inputs: in, Batch: []int{0},
		Outputs: []*ops.Tensor{file(prefix + "output")}, Tolerance: 1e-6,
	}})
	g := file(prefix + "grad_output")
	for i := range g.Float32s() {
		g.Float32s()[i] /= scale
	}
	c := opstest.GradientCase{
		Case:    opstest.Case{Name: prefix + "gradient", Attributes: p.Attributes(), Inputs: in, Tolerance: 1e-4},
		GradOut: g, Trained: []int{0}, Want: []*ops.Tensor{file(prefix + "grad_input")},
	}
	if prefix == "" {
		c.Trained, c.Want = append(c.Trained, 1), append(c.Want, file("grad_weights"))
	}
	opstest.Gradient(t, o, []opstest.GradientCase{c})
}

// nnmfProblem is a random layer with inputs.
type nnmfProblem struct {
	p    sbs.NNMFParams
	x, w *ops.Tensor
}

func randomNNMF(seed uint64) nnmfProblem {
	r := rand.New(rand.NewPCG(seed, 31))
	two := func(most int) [2]int { return [2]int{1 + r.IntN(most), 1 + r.IntN(most)} }
	p := sbs.NNMFParams{Kernel: two(3), Strides: two(2), Dilations: two(2), Iterations: 1 + r.IntN(12), Epsilon0: 2*r.Float32() - 0.5}
	for i := range p.Pads {
		p.Pads[i] = r.IntN(2)
	}
	if r.IntN(2) == 0 {
		p.Gradient = sbs.GradientClosedForm
	}
	if r.IntN(4) == 0 {
		p.TinySum, p.TinyReconstruction = 1e-19, 1e-12
	}
	channels, n := 1+r.IntN(3), 2+r.IntN(7)
	k := channels * p.Kernel[0] * p.Kernel[1]
	x, w := positive(r, 1+r.IntN(4), channels, 5+r.IntN(8), 5+r.IntN(8)), positive(r, k, n)
	if r.IntN(3) == 0 { // some patches are all zero
		v := x.Float32s()
		clear(v[:len(v)*2/3])
	}
	normalizeColumns(w)
	return nnmfProblem{p, x, w}
}

func normalizeColumns(w *ops.Tensor) {
	v, n := w.Float32s(), w.Shape()[1]
	for c := range n {
		var sum float32
		for i := c; i < len(v); i += n {
			sum += v[i]
		}
		for i := c; i < len(v); i += n {
			v[i] /= sum
		}
	}
}

// referenceNNMF computes h at one output position, in float64, with the formulas of NNMFParams. It
// returns h before the first iteration and after each one.
func referenceNNMF(p sbs.NNMFParams, patch []float64, w []float32, n int) [][]float64 {
	tinySum, tiny := float64(p.TinySum), float64(p.TinyReconstruction)
	if p.TinySum == 0 {
		tinySum, tiny = 1e-20, 1e-20
	}
	var total float64
	for _, v := range patch {
		total += v
	}
	h := make([]float64, n)
	for i := range h {
		h[i] = 1 / float64(n)
	}
	history := [][]float64{h}
	for range p.Iterations {
		u := make([]float64, n)
		for k, v := range patch {
			var big float64
			for i := range h {
				big += float64(w[k*n+i]) * h[i]
			}
			for i := range u {
				u[i] += h[i] * float64(w[k*n+i]) * v / (total + tinySum) / (big + tiny)
			}
		}
		z, sum := make([]float64, n), tinySum
		for i := range z {
			z[i] = u[i]
			if p.Epsilon0 > 0 {
				z[i] = h[i] + float64(p.Epsilon0)*u[i]
			}
			sum += z[i]
		}
		h = z
		for i := range h {
			h[i] /= sum
			if total == 0 {
				h[i] = 1 / float64(n)
			}
		}
		history = append(history, h)
	}
	return history
}

// patchOf returns the patch of an output position.
func (q nnmfProblem) patchOf(b, oy, ox int) []float64 {
	s := q.x.Shape()
	var patch []float64
	for c := range s[1] {
		for i := range q.p.Kernel[0] {
			for j := range q.p.Kernel[1] {
				y, x := oy*q.p.Strides[0]-q.p.Pads[0]+i*q.p.Dilations[0], ox*q.p.Strides[1]-q.p.Pads[1]+j*q.p.Dilations[1]
				v := 0.0
				if y >= 0 && y < s[2] && x >= 0 && x < s[3] {
					v = float64(q.x.Float32s()[((b*s[1]+c)*s[2]+y)*s[3]+x])
				}
				patch = append(patch, v)
			}
		}
	}
	return patch
}

func (q nnmfProblem) output() *ops.Tensor {
	s, n := q.x.Shape(), q.w.Shape()[1]
	size := func(axis int) int {
		return (s[2+axis]+q.p.Pads[axis]+q.p.Pads[axis+2]-q.p.Dilations[axis]*(q.p.Kernel[axis]-1)-1)/q.p.Strides[axis] + 1
	}
	oh, ow := size(0), size(1)
	out := make([]float32, s[0]*n*oh*ow)
	for b := range s[0] {
		for y := range oh {
			for x := range ow {
				h := referenceNNMF(q.p, q.patchOf(b, y, x), q.w.Float32s(), n)
				for i, v := range h[len(h)-1] {
					out[((b*n+i)*oh+y)*ow+x] = float32(v)
				}
			}
		}
	}
	return opstest.F32([]int{s[0], n, oh, ow}, out...)
}

func TestNNMF_AgreesWithTheFormulas(t *testing.T) {
	var cases []opstest.Case
	for seed := range uint64(60) {
		q := randomNNMF(seed)
		cases = append(cases, opstest.Case{
			Name: fmt.Sprint(seed), Attributes: q.p.Attributes(), Inputs: []*ops.Tensor{q.x, q.w}, Batch: []int{0},
			Outputs: []*ops.Tensor{q.output()}, Tolerance: 2e-6,
		})
	}
	opstest.Run(t, operator(t, sbs.OpNNMF), cases)
}

// TestNNMF_GradientOfTheLoopIsItsDerivative compares with central differences.
func TestNNMF_GradientOfTheLoopIsItsDerivative(t *testing.T) {
	o := operator(t, sbs.OpNNMF)
	var cases []opstest.GradientCase
	for seed := range uint64(10) {
		q := randomNNMF(seed)
		q.p.Gradient = sbs.GradientLoop
		r := rand.New(rand.NewPCG(seed, 32))
		q.x = positive(r, q.x.Shape()...) // differences need patches and weights away from 0
		for i := range q.x.Float32s() {
			q.x.Float32s()[i] += 0.5
		}
		for i := range q.w.Float32s() {
			q.w.Float32s()[i] += 0.3
		}
		cases = append(cases, opstest.GradientCase{
			Case:    opstest.Case{Name: fmt.Sprint(seed), Attributes: q.p.Attributes(), Inputs: []*ops.Tensor{q.x, q.w}, Tolerance: 0.02},
			Trained: []int{0, 1},
		})
	}
	opstest.Gradient(t, o, cases)
}

// TestNNMF_HasNoGradientWhereThePatchIsAllZero also checks that the gradients stay finite.
func TestNNMF_HasNoGradientWhereThePatchIsAllZero(t *testing.T) {
	for _, gradient := range []sbs.NNMFGradient{sbs.GradientLoop, sbs.GradientClosedForm} {
		for _, epsilon := range []float32{0, 0.5} {
			p := sbs.NNMFParams{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Iterations: 4, Epsilon0: epsilon, Gradient: gradient}
			in := []*ops.Tensor{opstest.F32([]int{1, 2, 1, 2}, 0, 1, 0, 3), opstest.F32([]int{2, 3}, 0.5, 0.1, 0.9, 0.5, 0.9, 0.1)}
			op, err := operator(t, sbs.OpNNMF).New(ops.Node{Attributes: p.Attributes()})
			require.NoError(t, err)
			h := opstest.F32([]int{1, 3, 1, 2}, make([]float32, 6)...)
			require.NoError(t, op.Run(&ops.Context{}, in, []*ops.Tensor{h}))
			third := float32(1) / 3
			require.Equal(t, []float32{third, third, third}, []float32{h.Float32s()[0], h.Float32s()[2], h.Float32s()[4]})
			grads := []*ops.Tensor{opstest.F32([]int{1, 2, 1, 2}, make([]float32, 4)...), opstest.F32([]int{2, 3}, make([]float32, 6)...)}
			g := opstest.F32([]int{1, 3, 1, 2}, 1, 2, 3, 4, 5, 6)
			require.NoError(t, op.(ops.Differentiable).Backward(&ops.Context{}, in, []*ops.Tensor{h}, []*ops.Tensor{g}, grads))
			require.Zero(t, grads[0].Float32s()[0])
			require.Zero(t, grads[0].Float32s()[2])
			require.NotZero(t, grads[0].Float32s()[1])
			for _, v := range slices.Concat(grads[0].Float32s(), grads[1].Float32s()) {
				require.False(t, math.IsNaN(float64(v)) || math.IsInf(float64(v), 0))
			}
		}
	}
}

// TestNNMF_SameBits checks that every instruction set, number of workers and split of the batch
// gives the same bits.
func TestNNMF_SameBits(t *testing.T) {
	hashes := map[sbs.NNMFGradient]string{sbs.GradientLoop: "9bd68d09b6795dba", sbs.GradientClosedForm: "95f34371e42ef581"} // of the outputs and gradients, on every processor
	r := rand.New(rand.NewPCG(7, 33))
	x, w := positive(r, 5, 3, 9, 7), positive(r, 27, 19)
	normalizeColumns(w)
	p := sbs.NNMFParams{Kernel: [2]int{3, 3}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Pads: [4]int{1, 1, 1, 1}, Iterations: 6, Epsilon0: 0.5}
	var want [3]*ops.Tensor
	for _, gradient := range []sbs.NNMFGradient{sbs.GradientLoop, sbs.GradientClosedForm} {
		p.Gradient, want = gradient, [3]*ops.Tensor{}
		for _, tier := range kernel.Tiers() {
			undo := kernel.Use(tier)
			for _, workers := range []int{1, 3} {
				op, err := operator(t, sbs.OpNNMF).New(ops.Node{Attributes: p.Attributes()})
				require.NoError(t, err)
				ctx := ops.NewContext(t.Context(), workers)
				got := [3]*ops.Tensor{}
				for i, shape := range [][]int{{5, 19, 9, 7}, x.Shape(), w.Shape()} {
					got[i], err = ops.Zeros(ops.Float32, shape)
					require.NoError(t, err)
				}
				in, out := []*ops.Tensor{x, w}, got[:1]
				require.NoError(t, op.Run(ctx, in, out))
				back := ops.NewContext(t.Context(), workers)
				require.NoError(t, op.(ops.Differentiable).Backward(back, in, out, []*ops.Tensor{opstest.Random(5, 5, 19, 9, 7)}, got[1:]))
				ctx.Close()
				back.Close()
				for i := range got {
					if want[i] == nil {
						want[i] = got[i]
					}
					require.Equal(t, want[i].Float32s(), got[i].Float32s(), "%v, %v, %d workers, result %d", gradient, tier, workers, i)
				}
			}
			undo()
		}
		sum := sha256.New()
		for _, w := range want {
			require.NoError(t, binary.Write(sum, binary.LittleEndian, w.Float32s()))
		}
		require.Equal(t, hashes[gradient], fmt.Sprintf("%x", sum.Sum(nil)[:8]), gradient)
	}
}

func TestNNMF_RefusesWrongAttributesAndInputs(t *testing.T) {
	p := sbs.NNMFParams{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Iterations: 3, Epsilon0: 1}
	for name, c := range map[string]struct {
		change func(p *sbs.NNMFParams)
		want   string
	}{
		"iterations":        {func(p *sbs.NNMFParams) { p.Iterations = 0 }, "number_of_iterations is 0, want 1 to"},
		"epsilon_0":         {func(p *sbs.NNMFParams) { p.Epsilon0 = float32(math.NaN()) }, "epsilon_0 is NaN"},
		"large epsilon_0":   {func(p *sbs.NNMFParams) { p.Epsilon0 = 2e4 }, "epsilon_0 is 20000, want at most 10000"},
		"gradient":          {func(p *sbs.NNMFParams) { p.Gradient = "none" }, `gradient is "none", want "loop" or "closed_form"`},
		"tiny_sum":          {func(p *sbs.NNMFParams) { p.TinySum = -1 }, "tiny_sum is -1"},
		"reconstruction":    {func(p *sbs.NNMFParams) { p.TinyReconstruction = 2 }, "tiny_reconstruction is 2"},
		"kernel":            {func(p *sbs.NNMFParams) { p.Kernel = [2]int{} }, "kernel_shape"},
		"unknown attribute": {nil, "sampler"},
	} {
		q := p
		if c.change != nil {
			c.change(&q)
		}
		a := q.Attributes()
		if c.change == nil {
			a["sampler"] = "iid"
		}
		_, err := operator(t, sbs.OpNNMF).New(ops.Node{Attributes: a})
		require.ErrorIs(t, err, ops.ErrAttribute, name)
		require.ErrorContains(t, err, c.want, name)
	}
	round, err := sbs.NNMFParamsOf(p.Attributes())
	require.NoError(t, err)
	p.TinySum, p.TinyReconstruction, p.Gradient = 1e-20, 1e-20, sbs.GradientLoop
	require.Equal(t, p, round)

	x, w := opstest.F32([]int{1, 2, 1, 1}, 1, 1), opstest.F32([]int{2, 2}, 1, 1, 1, 1)
	opstest.Run(t, operator(t, sbs.OpNNMF), []opstest.Case{
		{Name: "negative X", Attributes: p.Attributes(), Inputs: []*ops.Tensor{opstest.F32([]int{1, 2, 1, 1}, 1, -1), w}, WantRunErr: "X holds -1 at [0 1 0 0]: an NNMF layer takes finite values of at least 0"},
		{Name: "large X", Attributes: p.Attributes(), Inputs: []*ops.Tensor{opstest.F32([]int{1, 2, 1, 1}, 3e38, 3e38), w}, WantRunErr: "too large for float32"},
		{Name: "negative W", Attributes: p.Attributes(), Inputs: []*ops.Tensor{x, opstest.F32([]int{2, 2}, 1, 1, -1, 1)}, WantRunErr: "W holds -1"},
		{Name: "rows of W", Attributes: p.Attributes(), Inputs: []*ops.Tensor{x, opstest.F32([]int{3, 1}, 1, 1, 1)}, WantErr: "needs W with 2 rows"},
	})
}

// BenchmarkNNMF reports the floating-point operations per second of the products of matrices, and
// beside it those of Gemm with the same matrices.
func BenchmarkNNMF(b *testing.B) {
	for _, c := range []struct{ channels, kernel, n, size, images int }{{1, 5, 32, 24, 50}, {32, 5, 64, 12, 50}, {64, 3, 96, 4, 100}, {32, 5, 128, 12, 50}} {
		r := rand.New(rand.NewPCG(1, 34))
		k, side := c.channels*c.kernel*c.kernel, c.size-c.kernel+1
		x, w := positive(r, c.images, c.channels, c.size, c.size), positive(r, k, c.n)
		normalizeColumns(w)
		columns := c.images * side * side
		name := fmt.Sprintf("K=%d/N=%d", k, c.n)
		b.Run(name+"/nnmf", func(b *testing.B) {
			p := sbs.NNMFParams{Kernel: [2]int{c.kernel, c.kernel}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Iterations: 20, Epsilon0: 1}
			op, err := operator(b, sbs.OpNNMF).New(ops.Node{Attributes: p.Attributes()})
			require.NoError(b, err)
			ctx := ops.NewContext(b.Context(), 0)
			defer ctx.Close()
			h, _ := ops.Zeros(ops.Float32, []int{c.images, c.n, side, side})
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, op.Run(ctx, []*ops.Tensor{x, w}, []*ops.Tensor{h}))
			}
			b.ReportMetric(20*4*float64(k)*float64(c.n)*float64(columns)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
		b.Run(name+"/gemm", func(b *testing.B) {
			a, y, out := w.Float32s(), slices.Repeat([]float32{1}, c.n*columns), make([]float32, k*columns)
			ctx := ops.NewContext(b.Context(), 0)
			defer ctx.Close()
			const chunk = 512
			for b.Loop() {
				require.NoError(b, ctx.For((columns+chunk-1)/chunk, 1, func(lo, hi int) error {
					for i := lo * chunk; i < min(hi*chunk, columns); i += chunk {
						if err := kernel.Gemm(b.Context(), false, false, k, min(chunk, columns-i), c.n, a, c.n, y[i:], columns, out[i:], columns, false); err != nil {
							return err
						}
					}
					return nil
				}))
			}
			b.ReportMetric(2*float64(k)*float64(c.n)*float64(columns)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}
