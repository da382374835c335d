package sbs_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/ops/std"
)

// referenceProduct computes a product as the text defines it, one partial product at a time.
func referenceProduct(a sbs.Approximation, x, w float32) float32 {
	bx, bw := math.Float32bits(x), math.Float32bits(w)
	if x == 0 || w == 0 {
		return math.Float32frombits((bx ^ bw) & (1 << 31))
	}
	mx := uint64((bx<<8 | 1<<31) >> (32 - a.FracBits))
	mw := uint64((bw<<8 | 1<<31) >> (32 - a.FracBits))
	var e uint32
	for i := 0; a.Enabled && i < a.TruncBits; i++ {
		for j := 0; i+j < a.TruncBits; j++ {
			e += uint32(mw>>i&1&(mx>>j&1)) << (i + j)
		}
	}
	r := mx * mw
	if uint64(e) >= r {
		return math.Float32frombits((bx ^ bw) & (1 << 31))
	}
	f := math.Float32bits(float32(float64(r - uint64(e))))
	exponent := int(bx>>23&255) + int(bw>>23&255) + int(f>>23&255) - 2*a.FracBits - 252
	sign := (bx ^ bw) & (1 << 31)
	switch {
	case exponent >= 255:
		return math.Float32frombits(sign | 255<<23)
	case exponent <= 0:
		return math.Float32frombits(sign)
	}
	return math.Float32frombits(sign | uint32(exponent)<<23 | f&(1<<23-1))
}

// randomFactor returns a random float32: of all exponents, of usual ones, with many zeros or ones
// at the end, or 0.
func randomFactor(r *rand.Rand) float32 {
	bits := r.Uint32()
	switch r.IntN(6) {
	case 0:
		bits = bits&(1<<31|1<<23-1) | uint32(1+r.IntN(254))<<23
	case 1, 2:
		bits = bits&(1<<31|1<<23-1) | uint32(120+r.IntN(14))<<23
	case 3:
		bits = (bits&(1<<31|1<<23-1) | uint32(120+r.IntN(14))<<23) >> 12 << 12
	case 4:
		bits = bits&(1<<31|1<<23-1) | uint32(120+r.IntN(14))<<23 | 1<<r.IntN(23) - 1
	case 5:
		if r.IntN(2) == 0 {
			return float32(math.Copysign(0, r.Float64()-0.5))
		}
		bits &= 1<<31 | 1<<23 - 1 // below the normal range
	}
	return math.Float32frombits(bits)
}

func allApproximations() (list []sbs.Approximation) {
	for frac := 1; frac <= 32; frac++ {
		list = append(list, sbs.Approximation{FracBits: frac, TruncBits: 7})
		for cut := 0; cut <= 32; cut++ {
			list = append(list, sbs.Approximation{FracBits: frac, TruncBits: cut, Enabled: true})
		}
	}
	return list
}

func TestApproximation_ProductIsThatOfTheText(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, a := range allApproximations() {
		for range 400 {
			x, w := randomFactor(r), randomFactor(r)
			if math.IsNaN(float64(x)+float64(w)) || math.IsInf(float64(x)+float64(w), 0) {
				continue
			}
			want, got := referenceProduct(a, x, w), a.Product(x, w)
			require.Equal(t, math.Float32bits(want), math.Float32bits(got), "%+v: %b * %b", a, x, w)
			require.Equal(t, math.Float32bits(got), math.Float32bits(a.Product(w, x)), "%+v: %b * %b", a, w, x)
		}
	}
}

func TestApproximation_ProductsAtTheBorders(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, a := range []sbs.Approximation{{FracBits: 8, TruncBits: 7, Enabled: true}, {FracBits: 8}, {FracBits: 24}, {FracBits: 32, TruncBits: 31, Enabled: true}} {
		for _, c := range []struct{ x, w, want float32 }{
			{0, 0, 0}, {0, 3e-38, 0}, {1, 0, 0}, {1e30, 1e30, inf}, {-1e30, 1e30, -inf}, {1e-30, 1e-30, 0},
			{inf, 0.5, inf}, {0.5, -inf, -inf}, {1, 1, 1}, {-2, 0.25, -0.5},
			{0x1p-126, 1, 0x1p-126}, {0x1p-126, 0.5, 0}, {0x1p127, 1, 0x1p127}, {0x1p127, 2, inf},
		} {
			if a.Enabled && a.FracBits == 8 && c.want != 0 && !math.IsInf(float64(c.want), 0) {
				require.Equal(t, referenceProduct(a, c.x, c.w), a.Product(c.x, c.w))
			}
			require.Equal(t, c.want, a.Product(c.x, c.w), "%+v: %v * %v", a, c.x, c.w)
		}
		for _, v := range [][2]float32{{float32(math.NaN()), 1}, {0, inf}, {inf, 0}} {
			require.True(t, math.IsNaN(float64(a.Product(v[0], v[1]))))
		}
	}
	nothing := sbs.Approximation{FracBits: 8, TruncBits: 15, Enabled: true}
	require.Zero(t, nothing.Product(1.25, -3))
	nothing.TruncBits--
	require.Equal(t, float32(-2), nothing.Product(1.25, -3), "only the product of the leading bits remains")
}

// TestApproximation_IsExact compares the products of all settings that are said to be exact with
// those of float32, and finds different products for all other settings.
func TestApproximation_IsExact(t *testing.T) {
	exact := 0
	for _, a := range allApproximations() {
		r := rand.New(rand.NewPCG(3, 4))
		same := true
		for range 40000 {
			x := math.Float32frombits(r.Uint32()&(1<<31|1<<23-1) | uint32(100+r.IntN(50))<<23)
			w := math.Float32frombits(r.Uint32()&(1<<31|1<<23-1) | uint32(100+r.IntN(50))<<23)
			if a.FracBits >= 24 && r.IntN(2) == 0 {
				x, w = nextToTie(r)
			}
			same = same && a.Product(x, w) == x*w
			if !same {
				break
			}
		}
		require.Equal(t, same, a.IsExact(), "%+v", a)
		if same {
			exact++
		}
	}
	require.Greater(t, exact, 80)
}

// nextToTie returns two odd significands whose product is just above the middle between two
// float32 numbers if the number of its bits is odd.
func nextToTie(r *rand.Rand) (x, w float32) {
	a := r.Uint32()>>8 | 1<<23 | 1
	// The inverse modulo 2^24, by Newton's method.
	inverse := a
	for range 5 {
		inverse *= 2 - a*inverse
	}
	b := (inverse * (1<<22 + 1)) & (1<<24 - 1)
	return float32(a), float32(b | 1<<23)
}

// convolutionCase is a node with its inputs.
type convolutionCase struct {
	a          sbs.Approximation
	attributes ops.Attributes
	x, w, b    *ops.Tensor
}

func (c convolutionCase) inputs() []*ops.Tensor { return []*ops.Tensor{c.x, c.w, c.b} }

// randomConvolution returns a layer with a random window. Some numbers are 0.
func randomConvolution(seed uint64) convolutionCase {
	r := rand.New(rand.NewPCG(seed, 5))
	one := func(n int) int64 { return int64(1 + r.IntN(n)) }
	c := convolutionCase{a: sbs.Approximation{FracBits: 1 + r.IntN(32), TruncBits: r.IntN(33), Enabled: r.IntN(4) > 0}}
	if r.IntN(2) == 0 {
		c.a.TruncBits = r.IntN(10)
	}
	kernel := []int64{one(3), one(3)}
	c.attributes = c.a.Attributes()
	c.attributes["kernel_shape"] = kernel
	c.attributes["strides"] = []int64{one(3), one(3)}
	c.attributes["dilations"] = []int64{one(2), one(2)}
	c.attributes["pads"] = []int64{one(3) - 1, one(3) - 1, one(3) - 1, one(3) - 1}
	channels, filters := int(one(3)), int(one(5))
	numbers := func(shape ...int) *ops.Tensor {
		t := opstest.Random(r.Uint64(), shape...)
		for i := range t.Float32s() {
			switch r.IntN(40) {
			case 0, 1, 2, 3, 4, 5, 6, 7:
				t.Float32s()[i] = 0
			case 8:
				t.Float32s()[i] *= 0x1p-70
			case 9:
				t.Float32s()[i] *= 0x1p-110
			case 10:
				t.Float32s()[i] *= 0x1p61
			}
		}
		return t
	}
	c.x = numbers(int(one(4)), channels, 5+r.IntN(5), 5+r.IntN(5))
	c.w = numbers(filters, channels, int(kernel[0]), int(kernel[1]))
	if r.IntN(4) > 0 {
		c.b = numbers(filters)
	}
	return c
}

// reference computes the output by its definition, and the sum over the absolute products.
func (c convolutionCase) reference() (out, size []float32) {
	get := func(name string) []int64 { return c.attributes[name].([]int64) }
	kernel, strides, dilations, pads := get("kernel_shape"), get("strides"), get("dilations"), get("pads")
	xs, ws := c.x.Shape(), c.w.Shape()
	size2 := func(axis int) int {
		return (xs[2+axis]+int(pads[axis]+pads[2+axis])-int(dilations[axis])*(int(kernel[axis])-1)-1)/int(strides[axis]) + 1
	}
	for b := range xs[0] {
		for o := range ws[0] {
			for oy := range size2(0) {
				for ox := range size2(1) {
					var sum, absolute float32
					if c.b != nil {
						sum = c.b.Float32s()[o]
					}
					for k := range ws[1] * ws[2] * ws[3] {
						ch, i, j := k/(ws[2]*ws[3]), k/ws[3]%ws[2], k%ws[3]
						y := oy*int(strides[0]) - int(pads[0]) + i*int(dilations[0])
						x := ox*int(strides[1]) - int(pads[1]) + j*int(dilations[1])
						if y < 0 || y >= xs[2] || x < 0 || x >= xs[3] {
							continue
						}
						p := referenceProduct(c.a, c.x.Float32s()[((b*xs[1]+ch)*xs[2]+y)*xs[3]+x], c.w.Float32s()[o*ws[1]*ws[2]*ws[3]+k])
						sum += p
						absolute += float32(math.Abs(float64(p)))
					}
					out, size = append(out, sum), append(size, absolute)
				}
			}
		}
	}
	return out, size
}

func TestApproxConv_IsTheSumOfItsProducts(t *testing.T) {
	approx := operator(t, sbs.OpApproxConv)
	exact := 0
	for seed := range uint64(150) {
		c := randomConvolution(seed)
		op, err := approx.New(ops.Node{Attributes: c.attributes, Opset: 1, NumInputs: 3})
		require.NoError(t, err)
		got := compute(t, op, &ops.Context{}, c.inputs())
		want, size := c.reference()
		if c.isConvolution() { // the products are not rounded before they are added
			exact++
			for i := range want {
				require.InDelta(t, want[i], got[i], 1e-6*float64(size[i])+1e-7, "seed %d", seed)
			}
			continue
		}
		require.Equal(t, want, got, "seed %d: %+v", seed, c.a)
		require.Equal(t, want, compute(t, op, &ops.Context{}, c.inputs()), "with the kept weights")
		changed := c
		changed.w = opstest.Random(seed, c.w.Shape()...)
		want, _ = changed.reference()
		require.Equal(t, want, compute(t, op, &ops.Context{}, changed.inputs()), "with other weights")
	}
	require.Greater(t, exact, 10)
}

// isConvolution reports whether the layer is computed as a convolution of other numbers.
func (c convolutionCase) isConvolution() bool {
	empty := c.a.Enabled && c.a.TruncBits >= 2*c.a.FracBits-1
	return c.a.IsExact() || !c.a.Enabled || c.a.TruncBits == 0 || c.a.FracBits <= 12 && !empty
}

// TestApproxConv_SingleProducts compares the products of a layer with one channel, bit for bit, in
// all settings.
func TestApproxConv_SingleProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7))
	numbers := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			for v[i] == 0 || isTiny(v[i]) {
				v[i] = randomFactor(r)
			}
			if e := math.Ilogb(float64(v[i])); e > 50 || e < -50 {
				v[i] = math.Float32frombits(math.Float32bits(v[i])&(1<<31|1<<23-1) | 127<<23)
			}
		}
		v[0] = 0
		return v
	}
	x, w := numbers(11), numbers(13)
	for _, a := range allApproximations() {
		attributes := a.Attributes()
		attributes["kernel_shape"] = []int64{1, 1}
		op, err := operator(t, sbs.OpApproxConv).New(ops.Node{Attributes: attributes, Opset: 1, NumInputs: 2})
		require.NoError(t, err)
		got := compute(t, op, &ops.Context{}, []*ops.Tensor{opstest.F32([]int{1, 1, 1, len(x)}, x...), opstest.F32([]int{len(w), 1, 1, 1}, w...)})
		for i := range w {
			for j := range x {
				require.Equal(t, a.Product(x[j], w[i]), got[i*len(x)+j], "%+v: %b * %b", a, x[j], w[i])
			}
		}
	}
}

// TestApproxConv_TakesSomeImagesAtATime has more images than are computed at once.
func TestApproxConv_TakesSomeImagesAtATime(t *testing.T) {
	attributes := sbs.Approximation{FracBits: 8, TruncBits: 7, Enabled: true}.Attributes()
	attributes["kernel_shape"] = []int64{1, 1}
	op, err := operator(t, sbs.OpApproxConv).New(ops.Node{Attributes: attributes, Opset: 1, NumInputs: 2})
	require.NoError(t, err)
	x, w := opstest.Random(1, 75, 3, 100, 100), opstest.Random(2, 1, 3, 1, 1)
	ctx := &ops.Context{Memory: &ops.Memory{Limit: 80 << 20}}
	got := compute(t, op, ctx, []*ops.Tensor{x, w})
	for _, i := range []int{0, 68, 69, 74} {
		image, err := x.Take(0, i)
		require.NoError(t, err)
		image, err = image.Reshaped([]int{1, 3, 100, 100})
		require.NoError(t, err)
		require.Equal(t, compute(t, op, &ops.Context{}, []*ops.Tensor{image, w}), got[i*10000:][:10000])
	}
}

func isTiny(v float32) bool { return v > -0x1p-126 && v < 0x1p-126 }

// TestApproxConv_KeepsTheContract covers several parts of the parallel loop.
func TestApproxConv_KeepsTheContract(t *testing.T) {
	var cases []opstest.Case
	for seed := range uint64(12) {
		c := randomConvolution(seed)
		out, _ := c.reference()
		op, err := operator(t, sbs.OpApproxConv).New(ops.Node{Attributes: c.attributes, Opset: 1, NumInputs: 3})
		require.NoError(t, err)
		types, err := op.Infer([]*ops.Input{opstest.Const(c.x), opstest.Const(c.w), nil})
		require.NoError(t, err)
		shape, ok := types[0].Sizes()
		require.True(t, ok)
		cases = append(cases, opstest.Case{
			Name: fmt.Sprint(seed), Attributes: c.attributes, Inputs: c.inputs(), Batch: []int{0},
			Outputs: []*ops.Tensor{opstest.F32(shape, out...)}, Tolerance: 1e-6,
		})
	}
	opstest.Run(t, operator(t, sbs.OpApproxConv), cases)
}

func TestApproxConv_KeepsNumbersThatAreNotFinite(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	attributes := sbs.Approximation{FracBits: 8, TruncBits: 7, Enabled: true}.Attributes()
	attributes["kernel_shape"] = []int64{1, 1}
	op, err := operator(t, sbs.OpApproxConv).New(ops.Node{Attributes: attributes, Opset: 1, NumInputs: 2})
	require.NoError(t, err)
	x := opstest.F32([]int{1, 1, 1, 4}, 1, 0, inf, nan)
	got := compute(t, op, &ops.Context{}, []*ops.Tensor{x, opstest.F32([]int{2, 1, 1, 1}, 1, -0.5)})
	require.Equal(t, []float32{1, 0, inf}, got[:3])
	require.Equal(t, []float32{-0.5, 0, -inf}, got[4:7])
	require.True(t, math.IsNaN(float64(got[3])) && math.IsNaN(float64(got[7])))
	got = compute(t, op, &ops.Context{}, []*ops.Tensor{x, opstest.F32([]int{2, 1, 1, 1}, 1, inf)})
	require.Equal(t, inf, got[4])
	require.True(t, math.IsNaN(float64(got[5])))
}

func TestApproxConv_RefusesWrongNodes(t *testing.T) {
	with := func(name string, v any) ops.Attributes {
		a := sbs.Approximation{FracBits: 8, TruncBits: 7, Enabled: true}.Attributes()
		a["kernel_shape"] = []int64{2, 2}
		if v == nil {
			delete(a, name)
		} else {
			a[name] = v
		}
		return a
	}
	x, w := opstest.Random(1, 1, 2, 4, 4), opstest.Random(2, 3, 2, 2, 2)
	var cases []opstest.Case
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"number_of_frac_bits", nil, "number_of_frac_bits is -1, want 1 to 32"},
		{"number_of_trunc_bits", nil, "number_of_trunc_bits is -1, want 0 to 32"},
		{"number_of_frac_bits", int64(0), "number_of_frac_bits is 0, want 1 to 32"},
		{"number_of_frac_bits", int64(33), "number_of_frac_bits is 33, want 1 to 32"},
		{"number_of_frac_bits", int64(1<<32 + 8), "want 1 to 32"},
		{"number_of_trunc_bits", int64(33), "number_of_trunc_bits is 33, want 0 to 32"},
		{"approximation_enable", int64(2), "approximation_enable is 2, want 0 or 1"},
		{"kernel_shape", nil, "kernel_shape has 0 entries"},
		{"kernel_shape", []int64{3, 3}, "kernel_shape"},
		{"strides", []int64{0, 1}, "strides"},
		{"dilations", []int64{4, 4}, "fit"},
		{"group", int64(2), "group"},
	} {
		cases = append(cases, opstest.Case{Name: c.name, Attributes: with(c.name, c.v), Inputs: []*ops.Tensor{x, w}, WantErr: c.want})
	}
	for name, in := range map[string][]*ops.Tensor{
		"rank":     {opstest.Random(1, 1, 2, 4), w},
		"type":     {opstest.F64([]int{1, 2, 4, 4}, make([]float64, 32)...), w},
		"channels": {opstest.Random(1, 1, 3, 4, 4), w},
		"bias":     {x, w, opstest.Random(3, 4)},
	} {
		cases = append(cases, opstest.Case{Name: name, Attributes: with("", nil), Inputs: in, WantErr: ""})
		cases[len(cases)-1].WantErr = map[string]string{"rank": "X is", "type": "X is", "channels": "channels", "bias": "B is"}[name]
	}
	opstest.Run(t, operator(t, sbs.OpApproxConv), cases)
}

// TestApproxConv_StopsSoon cancels a run that takes much longer than the test waits.
func TestApproxConv_StopsSoon(t *testing.T) {
	attributes := sbs.Approximation{FracBits: 12, TruncBits: 14, Enabled: true}.Attributes()
	attributes["kernel_shape"] = []int64{3, 3}
	op, err := operator(t, sbs.OpApproxConv).New(ops.Node{Attributes: attributes, Opset: 1, NumInputs: 2})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := ops.NewContext(ctx, 2)
	defer c.Close()
	_, err = ops.Run(op, c, []*ops.Tensor{opstest.Random(1, 8, 256, 34, 34), opstest.Random(2, 512, 256, 3, 3)})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// TestApproxConv_HasTheGradientOfConv compares with the convolution of exact products, bit for bit.
func TestApproxConv_HasTheGradientOfConv(t *testing.T) {
	for seed := range uint64(20) {
		c := randomConvolution(seed)
		if c.b == nil {
			continue
		}
		gradients := func(operator ops.Operator, a ops.Attributes, opset int) []*ops.Tensor {
			op, err := operator.New(ops.Node{Attributes: a, Opset: opset, NumInputs: 3})
			require.NoError(t, err)
			ctx := &ops.Context{}
			out, err := ops.Run(op, ctx, c.inputs())
			require.NoError(t, err)
			g := opstest.Random(seed, out[0].Shape()...)
			var grads []*ops.Tensor
			for _, x := range c.inputs() {
				z, err := ops.Zeros(ops.Float32, x.Shape())
				require.NoError(t, err)
				grads = append(grads, z)
			}
			require.NoError(t, op.(ops.Differentiable).Backward(ctx, c.inputs(), out, []*ops.Tensor{g}, grads))
			return grads
		}
		plain := ops.Attributes{}
		for _, name := range []string{"kernel_shape", "strides", "dilations", "pads"} {
			plain[name] = c.attributes[name]
		}
		want := gradients(operatorIn(t, std.Operators(), "Conv"), plain, 17)
		require.Equal(t, want, gradients(operator(t, sbs.OpApproxConv), c.attributes, 1), "seed %d", seed)
	}
}

// BenchmarkApproxConv measures the time of one product of the second layer of the published CNN.
func BenchmarkApproxConv(b *testing.B) {
	for _, a := range []sbs.Approximation{{FracBits: 8}, {FracBits: 8, TruncBits: 7, Enabled: true}, {FracBits: 12, TruncBits: 14, Enabled: true}, {FracBits: 16, TruncBits: 20, Enabled: true}} {
		b.Run(fmt.Sprintf("F=%d,T=%d,%v", a.FracBits, a.TruncBits, a.Enabled), func(b *testing.B) {
			attributes := a.Attributes()
			attributes["kernel_shape"] = []int64{5, 5}
			op, err := operator(b, sbs.OpApproxConv).New(ops.Node{Attributes: attributes, Opset: 1, NumInputs: 2})
			require.NoError(b, err)
			x, w := opstest.Random(1, 4, 32, 12, 12), opstest.Random(2, 64, 32, 5, 5)
			for b.Loop() {
				_, err := ops.Run(op, &ops.Context{}, []*ops.Tensor{x, w})
				require.NoError(b, err)
			}
			products := float64(4 * 64 * 64 * 32 * 25)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/products, "ns/product")
		})
	}
}
