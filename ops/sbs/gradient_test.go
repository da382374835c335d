package sbs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// TestGradients_AgreeWithRecordings compares with recordings of PyTorch-SbS.
func TestGradients_AgreeWithRecordings(t *testing.T) {
	for _, name := range []string{"forgetting", "alpha3"} {
		checkRecordedGradient(t, filepath.Join("testdata", name))
	}
}

// TestConformanceGradients compares with all recordings of layers.
func TestConformanceGradients(t *testing.T) {
	for _, dir := range recordedLayers(t) {
		checkRecordedGradient(t, dir)
	}
}

func checkRecordedGradient(t *testing.T, dir string) {
	r := load(t, dir)
	c := opstest.GradientCase{
		Case: opstest.Case{
			Name: filepath.Base(dir), Attributes: r.params.Attributes(), Inputs: r.inputs(), Spikes: r.spikes, Tolerance: 1e-4,
		},
		GradOut: opstest.Load(t, filepath.Join(dir, "grad_output.npy")),
	}
	for i, name := range []string{"input", "weights", "epsilon_xy"} {
		file := filepath.Join(dir, "grad_"+name+".npy")
		if _, err := os.Stat(file); err == nil {
			c.Trained = append(c.Trained, i)
			c.Want = append(c.Want, opstest.Load(t, file))
		}
	}
	require.Len(t, c.Trained, len(c.Inputs))
	opstest.Gradient(t, r.operator(t), []opstest.GradientCase{c})
}

// withRule returns an SbS operator with a rule for its gradient.
func withRule(o ops.Operator, r sbs.Rule) ops.Operator {
	plain := o.New
	o.New = func(n ops.Node) (ops.Op, error) {
		op, err := plain(n)
		if err != nil {
			return nil, err
		}
		d, _ := sbs.WithRule(op, r)
		return d, nil
	}
	return o
}

// TestGradients_AgreeWithTheFormulas compares random layers with the formulas of the
// package documentation, computed in float64.
func TestGradients_AgreeWithTheFormulas(t *testing.T) {
	for seed := range uint64(60) {
		q := randomProblem(seed)
		r := rand.New(rand.NewPCG(seed, 2))
		if seed%10 == 0 { // more images and channels than one unit of work has
			q = wideProblem(seed)
		}
		out := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes})
		rule := sbs.Rule{Dialect: sbs.Dialect(1 + r.IntN(2))}
		if rule.Dialect == sbs.Dialect2 && r.IntN(2) == 0 {
			rule.Local = true
			if r.IntN(2) == 0 {
				rule.Target = positive(r, out.Shape()...)
			}
		}
		g := opstest.Random(seed, out.Shape()...)
		ref := referenceGradient{p: q.p, rule: rule, q: q, h: out, g: g}
		want := ref.gradients()
		c := opstest.GradientCase{
			Case: opstest.Case{
				Name: fmt.Sprint(seed, rule.Dialect, rule.Local), Attributes: q.p.Attributes(), Inputs: q.inputs(), Spikes: q.spikes, Tolerance: 1e-4,
			},
			Trained: []int{0, 1, 2}[:len(q.inputs())], GradOut: g, Want: want[:len(q.inputs())],
		}
		opstest.Gradient(t, withRule(sbs.Operator(), rule), []opstest.GradientCase{c})
	}
}

// TestGradients_OfANodeWithGivenSpikes has the spikes as the fourth input of the node.
func TestGradients_OfANodeWithGivenSpikes(t *testing.T) {
	for seed := range uint64(20) {
		q := randomProblem(seed)
		out := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes})
		rule := sbs.Rule{Dialect: sbs.Dialect1}
		g := opstest.Random(seed, out.Shape()...)
		ref := referenceGradient{p: q.p, rule: rule, q: q, h: out, g: g}
		want := ref.gradients()
		opstest.Gradient(t, withRule(sbs.Operator(), rule), []opstest.GradientCase{{
			Case: opstest.Case{
				Name: fmt.Sprint(seed), Attributes: q.p.Attributes(), Inputs: []*ops.Tensor{q.x, q.w, q.epsilonXY, q.spikes}, Tolerance: 1e-4,
			},
			Trained: []int{0, 1, 2}[:len(want)], GradOut: g, Want: want,
		}})
	}
}

// wideProblem returns a layer whose gradient is computed in several groups of images and
// slabs of channels.
func wideProblem(seed uint64) problem {
	r := rand.New(rand.NewPCG(seed, 3))
	q := problem{p: sbs.Params{
		Kernel: [2]int{3, 3}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}, Pads: [4]int{1, 1, 1, 1},
		Spikes: 10, Epsilon0: 0.5, EpsilonT: inverseSqrt(10),
	}}
	size := 3 + r.IntN(15)
	q.x, q.w = positive(r, 5, 20, size, size), positive(r, 180, 7)
	q.epsilonXY = positive(r, size, size, 3, 3)
	spikes := make([]int64, 5*10*size*size)
	for i := range spikes {
		spikes[i] = r.Int64N(180)
	}
	q.spikes = opstest.I64([]int{5, 10, size, size}, spikes...)
	return q
}

// referenceGradient computes the gradients in float64, straight from the formulas of the
// package documentation.
type referenceGradient struct {
	p    sbs.Params
	rule sbs.Rule
	q    problem
	h, g *ops.Tensor
}

func (r referenceGradient) gradients() []*ops.Tensor {
	xs, ws, hs := r.q.x.Shape(), r.q.w.Shape(), r.h.Shape()
	places := r.p.Kernel[0] * r.p.Kernel[1]
	gradX, gradW := make([]float64, r.q.x.Len()), make([]float64, r.q.w.Len())
	var gradEps []float64
	epsPlaces := 0
	if r.q.epsilonXY != nil {
		gradEps = make([]float64, r.q.epsilonXY.Len())
		epsPlaces = len(gradEps) / (hs[2] * hs[3])
	}
	for b := range hs[0] {
		for pos := range hs[2] * hs[3] {
			source := make([]int, ws[0])
			p := make([]float64, ws[0])
			var total float64
			for k := range p {
				y := pos/hs[3]*r.p.Strides[0] - r.p.Pads[0] + k%places/r.p.Kernel[1]*r.p.Dilations[0]
				x := pos%hs[3]*r.p.Strides[1] - r.p.Pads[1] + k%places%r.p.Kernel[1]*r.p.Dilations[1]
				source[k] = -1
				if y >= 0 && y < xs[2] && x >= 0 && x < xs[3] {
					source[k] = ((b*xs[1]+k/places)*xs[2]+y)*xs[3] + x
					p[k] = float64(r.q.x.Float32s()[source[k]])
				}
				total += p[k]
			}
			for k := range p {
				if total > 0 {
					p[k] /= total
				}
				var sumR, sumG, overlap float64
				at := func(n int) int { return (b*hs[1]+n)*hs[2]*hs[3] + pos }
				w := func(n int) float64 { return float64(r.q.w.Float32s()[k*ws[1]+n]) }
				for n := range ws[1] {
					h, g := float64(r.h.Float32s()[at(n)]), float64(r.g.Float32s()[at(n)])
					sumR += w(n) * h
					sumG += w(n) * h * g
					overlap += h * g
				}
				for n := range ws[1] {
					h, g := float64(r.h.Float32s()[at(n)]), float64(r.g.Float32s()[at(n)])
					// With one neuron, the difference is 0 unless the compiler fuses it.
					d := h * p[k] / (sumR*sumR + 1e-20) * (float64(sumR*g) - sumG)
					if r.rule.Local {
						if r.rule.Target != nil {
							h = float64(r.rule.Target.Float32s()[at(n)])
						}
						d = -2 * (p[k] - sumR) * h
					}
					gradW[k*ws[1]+n] += d
				}
				a := float64(r.p.Epsilon0)
				if gradEps != nil {
					e := pos*epsPlaces + k%places%epsPlaces
					a *= float64(r.q.epsilonXY.Float32s()[e])
					if r.rule.Dialect == sbs.Dialect1 {
						gradEps[e] += (sumG/(sumR+1e-20)*p[k] - overlap) * float64(r.p.Epsilon0) / (1 + a) / (1 + a)
					}
				}
				factor := 1.0
				if r.rule.Dialect == sbs.Dialect1 {
					factor = a / (1 + a)
				}
				if source[k] >= 0 {
					gradX[source[k]] += sumG / (sumR + 1e-20) * factor
				}
			}
		}
	}
	single := func(shape []int, v []float64) *ops.Tensor {
		f := make([]float32, len(v))
		for i, x := range v {
			f[i] = float32(x)
		}
		return opstest.F32(shape, f...)
	}
	out := []*ops.Tensor{single(xs, gradX), single(ws, gradW)}
	if gradEps != nil {
		out = append(out, single(r.q.epsilonXY.Shape(), gradEps))
	}
	return out
}

// TestDistribution_IsThePatchDividedByItsSum compares with patches that are cut out one
// by one.
func TestDistribution_IsThePatchDividedByItsSum(t *testing.T) {
	for seed := range uint64(10) {
		q := randomProblem(seed)
		ctx := &ops.Context{Context: t.Context(), Pool: parallel.New(2)}
		got, err := sbs.Distribution(ctx, mustLayer(t, q.p), q.x)
		require.NoError(t, err)
		s := got.Shape()
		require.Equal(t, []int{q.x.Shape()[0], q.w.Shape()[0], q.spikes.Shape()[2], q.spikes.Shape()[3]}, s)
		xs, places := q.x.Shape(), q.p.Kernel[0]*q.p.Kernel[1]
		for b := range s[0] {
			for pos := range s[2] * s[3] {
				patch, total := make([]float64, s[1]), 0.0
				for k := range patch {
					y := pos/s[3]*q.p.Strides[0] - q.p.Pads[0] + k%places/q.p.Kernel[1]*q.p.Dilations[0]
					x := pos%s[3]*q.p.Strides[1] - q.p.Pads[1] + k%places%q.p.Kernel[1]*q.p.Dilations[1]
					if y >= 0 && y < xs[2] && x >= 0 && x < xs[3] {
						patch[k] = float64(q.x.Float32s()[((b*xs[1]+k/places)*xs[2]+y)*xs[3]+x])
						total += patch[k]
					}
				}
				for k, p := range patch {
					if total > 0 {
						p /= total
					}
					require.InDelta(t, p, got.Float32s()[(b*s[1]+k)*s[2]*s[3]+pos], 1e-6)
				}
			}
		}
		_, err = sbs.Distribution(ctx, mustLayer(t, q.p), q.w)
		require.ErrorIs(t, err, ops.ErrShape)
	}
}

// TestGradients_RefuseWrongRules checks the errors that only SbS layers have.
func TestGradients_RefuseWrongRules(t *testing.T) {
	q := randomProblem(1)
	out := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes})
	g := opstest.Random(3, out.Shape()...)
	for _, c := range []struct {
		rule sbs.Rule
		out  *ops.Tensor
		want string
	}{
		{sbs.Rule{Dialect: 3}, out, "no gradient of dialect 3"},
		{sbs.Rule{Local: true, Target: opstest.F32([]int{1}, 1)}, out, "target: shape does not fit"},
		{sbs.Rule{}, opstest.F32([]int{1}, 1), "shape does not fit"},
	} {
		d, ok := sbs.WithRule(mustLayer(t, q.p), c.rule)
		require.True(t, ok)
		ctx := &ops.Context{Context: t.Context(), Pool: parallel.New(1)}
		err := d.Backward(ctx, q.inputs(), []*ops.Tensor{c.out}, []*ops.Tensor{g}, make([]*ops.Tensor, len(q.inputs())))
		require.ErrorContains(t, err, c.want)
	}
	d, ok := sbs.WithRule(nil, sbs.Rule{})
	require.False(t, ok)
	require.Nil(t, d)
}

// TestGradients_OfDialect1AreBounded overflows the gradients.
func TestGradients_OfDialect1AreBounded(t *testing.T) {
	q := randomProblem(1)
	out := runOnce(t, q.p, q.inputs(), &ops.Context{Spikes: q.spikes})
	g := opstest.Random(3, out.Shape()...)
	for i := range g.Float32s() {
		g.Float32s()[i] *= 3e38
	}
	d, ok := sbs.WithRule(mustLayer(t, q.p), sbs.Rule{Dialect: sbs.Dialect1})
	require.True(t, ok)
	for i, x := range q.inputs()[:2] {
		grads := make([]*ops.Tensor, len(q.inputs()))
		grads[i], _ = ops.Zeros(ops.Float32, x.Shape())
		require.NoError(t, d.Backward(&ops.Context{Context: t.Context(), Pool: parallel.New(2)}, q.inputs(), []*ops.Tensor{out}, []*ops.Tensor{g}, grads))
		largest := float32(0)
		for _, v := range grads[i].Float32s() {
			require.True(t, v >= -1e30 && v <= 1e30, "%v", v)
			largest = max(largest, v, -v)
		}
		require.Equal(t, float32(1e30), largest)
	}
}

// mustLayer returns the operator with the given attributes.
func mustLayer(t *testing.T, p sbs.Params) ops.Op {
	return newOp(t, sbs.Operator(), p.Attributes(), 2)
}
