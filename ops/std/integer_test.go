package std

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// randomQuantized returns a tensor of random int8 or uint8 elements.
func randomQuantized(r *rand.Rand, signed bool, shape ...int) *ops.Tensor {
	if signed {
		v := make([]int8, numElements(shape))
		for i := range v {
			v[i] = int8(r.Uint32())
		}
		return opstest.Tensor(shape, v...)
	}
	v := make([]uint8, numElements(shape))
	for i := range v {
		v[i] = uint8(r.Uint32())
	}
	return opstest.Tensor(shape, v...)
}

func randomScale(r *rand.Rand, shape ...int) *ops.Tensor {
	v := make([]float32, numElements(shape))
	for i := range v {
		v[i] = float32(math.Ldexp(1+r.Float64(), -r.IntN(9)))
	}
	return opstest.F32(shape, v...)
}

// integersOf returns elements minus their zero points, which place finds for an element.
func integersOf(x, zero *ops.Tensor, place func(i int) int) []int32 {
	v := make([]int32, x.Len())
	for i := range v {
		v[i] = bytesOf(x).At(i)
		if zero != nil && zero.Len() == 1 {
			v[i] -= bytesOf(zero).At(0)
		} else if zero != nil {
			v[i] -= bytesOf(zero).At(place(i))
		}
	}
	return v
}

// requantized returns sums as quantized numbers, computed without package kernel.
func requantized(sums []int32, scale func(i int) float32, zero *ops.Tensor) *ops.Tensor {
	out, err := ops.Zeros(zero.DType(), []int{len(sums)})
	if err != nil {
		panic(err)
	}
	for i, s := range sums {
		f := math.RoundToEven(float64(float32(float32(s)*scale(i)))) + float64(bytesOf(zero).At(0))
		store(out, i, 1, []float64{f})
	}
	return out
}

// inAllWays runs an operator with all tiers and several numbers of workers, twice, and compares its
// output.
func inAllWays(t *testing.T, name string, a ops.Attributes, in tensors, constants []bool, want any, task string) {
	op, err := find(t, name).New(ops.Node{Opset: 21, NumInputs: len(in), Attributes: a})
	require.NoError(t, err, task)
	for _, tier := range kernel.Tiers() {
		for _, workers := range []int{1, 3} {
			undo := kernel.Use(tier)
			pool := parallel.New(workers)
			ctx := &ops.Context{Context: t.Context(), Pool: pool, Constants: constants}
			for range 2 {
				out, err := ops.Run(op, ctx, in)
				require.NoError(t, err, task)
				if w, ok := want.(*ops.Tensor); ok {
					require.Equal(t, w.Elements(), out[0].Elements(), "%s, %v", task, tier)
				} else {
					require.Equal(t, want, out[0].Elements(), "%s, %v", task, tier)
				}
			}
			pool.Close()
			undo()
		}
	}
}

// TestIntegerMatrices_EqualTheDefinition compares products of random arrays with the definition.
func TestIntegerMatrices_EqualTheDefinition(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 41))
		m, k, n := 1+r.IntN(40), r.IntN(30), 1+r.IntN(80)
		batchA, batchB := [][]int{{}, {2}, {3, 2}, {1, 2}}[r.IntN(4)], [][]int{{}, {}, {2}, {1}}[r.IntN(4)]
		signed := [2]bool{r.IntN(2) == 0, r.IntN(2) == 0}
		a := randomQuantized(r, signed[0], append(append([]int{}, batchA...), m, k)...)
		b := randomQuantized(r, signed[1], append(append([]int{}, batchB...), k, n)...)
		shape := func(batch []int, row, column int) []int {
			switch r.IntN(4) {
			case 0:
				return []int{}
			case 1:
				return []int{1}
			case 2:
				return []int{row * column}
			}
			return append(append([]int{}, batch...), row, column)
		}
		shapeA, shapeB := shape(batchA, m, 1), shape(batchB, 1, n)
		zeroA, zeroB := randomQuantized(r, signed[0], shapeA...), randomQuantized(r, signed[1], shapeB...)
		row := func(i int) int { return i / k % zeroA.Len() }
		column := func(i int) int { return (i/(k*n)*n + i%n) % zeroB.Len() }
		x, y := integersOf(a, zeroA, row), integersOf(b, zeroB, column)
		all, _, _, _ := matrices(a.Shape(), b.Shape())
		var sums []int32
		var rows, columns []int // of each sum, through all matrices
		require.NoError(t, all.walk(0, all.total, func(at [maxOperands]int, count int) error {
			for c := range count {
				first, second := at[0]+c*all.inner()[0], at[1]+c*all.inner()[1]
				for i := range m {
					for j := range n {
						var sum int32
						for p := range k {
							sum += x[(first*m+i)*k+p] * y[(second*k+p)*n+j]
						}
						sums, rows, columns = append(sums, sum), append(rows, first*m+i), append(columns, second*n+j)
					}
				}
			}
			return nil
		}))
		task := fmt.Sprintf("seed %d: %v x %v, zero points %v and %v", seed, a.Shape(), b.Shape(), shapeA, shapeB)
		inAllWays(t, "MatMulInteger", nil, tensors{a, b, zeroA, zeroB}, []bool{false, seed%2 == 0}, sums, task)
		scaleA, scaleB, scaleY, zeroY := randomScale(r, shapeA...), randomScale(r, shapeB...), opstest.F32(nil, 300), randomQuantized(r, r.IntN(2) == 0)
		want := requantized(sums, func(i int) float32 {
			s, u := scaleA.Float32s(), scaleB.Float32s()
			return float32(s[rows[i]%len(s)]*u[columns[i]%len(u)]) / 300
		}, zeroY)
		inAllWays(t, "QLinearMatMul", nil, tensors{a, scaleA, zeroA, b, scaleB, zeroB, scaleY, zeroY}, []bool{3: seed%2 == 0, 7: false}, want, task)
	}
}

// TestIntegerConvolutions_EqualTheDefinition compares random convolutions with the definition.
func TestIntegerConvolutions_EqualTheDefinition(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 42))
		rank := 1 + r.IntN(3)
		group := 1 + r.IntN(2)*r.IntN(4)
		channels, filters, images := 1+r.IntN(6)*r.IntN(2), 1+r.IntN(20), 1+r.IntN(3)
		var spatial, window, strides, dilations, pads []int64
		for range rank {
			w, d := 1+r.IntN(3), 1+r.IntN(2)
			if rank == 1 {
				w = 1 + r.IntN(6)
			}
			before, after := r.IntN(3)*r.IntN(2), r.IntN(3)*r.IntN(2)
			least := max(1, (w-1)*d+1-before-after)
			spatial = append(spatial, int64(least+r.IntN([]int{0, 400, 20, 6}[rank])))
			window, strides, dilations = append(window, int64(w)), append(strides, int64(1+r.IntN(3)*r.IntN(2))), append(dilations, int64(d))
			pads = append(pads[:len(pads)/2], append([]int64{int64(before)}, append(append([]int64{}, pads[len(pads)/2:]...), int64(after))...)...)
		}
		attributes := attrs{"group": int64(group), "strides": strides, "dilations": dilations, "pads": pads}
		shape := func(first, second int, sizes []int64) []int {
			s := []int{first, second}
			for _, v := range sizes {
				s = append(s, int(v))
			}
			return s
		}
		signed := [2]bool{r.IntN(2) == 0, r.IntN(2) == 0}
		x := randomQuantized(r, signed[0], shape(images, group*channels, spatial)...)
		w := randomQuantized(r, signed[1], shape(group*filters, channels, window)...)
		zeroX := randomQuantized(r, signed[0])
		perFilter := [][]int{{}, {1}, {group * filters}}[r.IntN(3)]
		zeroW := randomQuantized(r, signed[1], perFilter...)
		if !signed[1] && r.IntN(2) == 0 {
			perFilter, zeroW = nil, opstest.Tensor(nil, uint8(128))
		}
		bias := make([]int32, group*filters)
		for i := range bias {
			bias[i] = int32(r.Uint32()) >> 16
		}
		task := fmt.Sprintf("seed %d: %v, W %v, %v", seed, x.Shape(), w.Shape(), attributes)
		// The general code computes the definition.
		k, err := newConvInteger(ops.Node{Opset: 10, Attributes: attributes})
		require.NoError(t, err, task)
		in := integerInputs{x: x, w: w, zeroX: bytesOf(zeroX).At(0), zerosW: int32sOf(&temporary{ctx: &ops.Context{}}, zeroW)}
		wide := func(biased bool) (sums []int32) {
			if in.bias = nil; biased {
				in.bias = bias
			}
			require.NoError(t, k.(convInteger).runWide(&ops.Context{}, &in, func(_ int, plane []int64) error {
				for _, v := range plane {
					sums = append(sums, int32(v))
				}
				return nil
			}), task)
			return sums
		}
		constant := seed%2 == 0
		inAllWays(t, "ConvInteger", attributes, tensors{x, w, zeroX, zeroW}, []bool{false, constant}, wide(false), task)
		scaleX, scaleW, scaleY, zeroY := randomScale(r), randomScale(r, perFilter...), opstest.F32(nil, 20), randomQuantized(r, r.IntN(2) == 0)
		biased := r.IntN(2) == 0
		sums := wide(biased)
		want := requantized(sums, func(i int) float32 {
			s := scaleW.Float32s()
			plane := len(sums) / (images * group * filters)
			return float32(scaleX.Float32s()[0]*s[i/plane%(group*filters)%len(s)]) / 20
		}, zeroY)
		all := tensors{x, scaleX, zeroX, w, scaleW, zeroW, scaleY, zeroY}
		if biased {
			all = append(all, opstest.Tensor([]int{len(bias)}, bias...))
		}
		inAllWays(t, "QLinearConv", attributes, all, []bool{3: constant}, want, task)
	}
}

// TestIntegerConvolutions_WithLargePadding needs the code that has no padded images.
func TestIntegerConvolutions_WithLargePadding(t *testing.T) {
	x, w := opstest.Tensor([]int{1, 1, 1, 1}, uint8(5)), opstest.Tensor([]int{1, 1, 1, 1}, int8(-2))
	attributes := attrs{"pads": []int64{400, 400, 400, 400}}
	want := make([]int32, 801*801)
	want[400*801+400] = -8
	inAllWays(t, "ConvInteger", attributes, tensors{x, w, opstest.Tensor(nil, uint8(1))}, nil, want, "ConvInteger")
	bytes := make([]int8, len(want))
	bytes[400*801+400] = -4
	one := opstest.F32(nil, 1)
	inAllWays(t, "QLinearConv", attributes, tensors{x, one, opstest.Tensor(nil, uint8(1)), w, one, opstest.Tensor(nil, int8(0)), opstest.F32(nil, 2), opstest.Tensor(nil, int8(0))}, nil, bytes, "QLinearConv")
}

// BenchmarkQuantized runs layers of quantized networks on one core.
func BenchmarkQuantized(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 43))
	scale, zero := opstest.F32(nil, 0.01), opstest.Tensor(nil, uint8(3))
	weights := func(shape ...int) *ops.Tensor { return randomQuantized(r, true, shape...) }
	none := opstest.Tensor(nil, int8(0))
	linear := func(x, w *ops.Tensor) tensors { return tensors{x, scale, zero, w, scale, none, scale, zero} }
	for _, l := range []struct {
		name, operator string
		attributes     ops.Attributes
		in             tensors
	}{
		{"matrices", "MatMulInteger", nil, tensors{randomQuantized(r, false, 128, 768), weights(768, 768), zero, none}},
		{"row", "MatMulInteger", nil, tensors{randomQuantized(r, false, 1, 1024), weights(1024, 1024), zero, none}},
		{"matrices", "QLinearMatMul", nil, linear(randomQuantized(r, false, 128, 768), weights(768, 768))},
		{"first", "QLinearConv", attrs{"strides": []int64{2, 2}, "pads": []int64{3, 3, 3, 3}}, linear(randomQuantized(r, false, 1, 3, 224, 224), weights(64, 3, 7, 7))},
		{"3x3", "QLinearConv", attrs{"pads": []int64{1, 1, 1, 1}}, linear(randomQuantized(r, false, 1, 64, 56, 56), weights(64, 64, 3, 3))},
		{"1x1", "QLinearConv", nil, linear(randomQuantized(r, false, 1, 64, 56, 56), weights(256, 64, 1, 1))},
		{"depthwise", "QLinearConv", attrs{"group": int64(144), "pads": []int64{1, 1, 1, 1}}, linear(randomQuantized(r, false, 1, 144, 56, 56), weights(144, 1, 3, 3))},
		{"million", "QuantizeLinear", nil, tensors{opstest.Random(1, 1<<20), scale, zero}},
		{"million", "DequantizeLinear", nil, tensors{randomQuantized(r, false, 1<<20), scale, zero}},
		{"million", "DynamicQuantizeLinear", nil, tensors{opstest.Random(1, 1<<20)}},
	} {
		b.Run(l.operator+"/"+l.name, func(b *testing.B) {
			op, err := find(b, l.operator).New(ops.Node{Opset: 17, NumInputs: len(l.in), NumOutputs: 1, Attributes: l.attributes})
			require.NoError(b, err)
			ctx := &ops.Context{Context: b.Context(), Pool: parallel.New(1), Constants: []bool{1: true, 3: true, 7: false}}
			for b.Loop() {
				if _, err := ops.Run(op, ctx, l.in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
