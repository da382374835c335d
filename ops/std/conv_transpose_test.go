package std

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// TestConv_OfVolumesInFloat32IsThatInFloat64 compares random nodes with three or four spatial axes in
// both types, also with constant weights.
func TestConv_OfVolumesInFloat32IsThatInFloat64(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 74))
		rank, group := 3+r.IntN(2), 1+r.IntN(3)
		channels, filters := 1+r.IntN(4), 1+r.IntN(20)
		x, w := []int{1 + r.IntN(3), group * channels}, []int{group * filters, channels}
		a := ops.Attributes{"group": int64(group)}
		var strides, dilations, pads []int64
		for i := range rank {
			x, w = append(x, 5+r.IntN(4+8*(i/2))), append(w, 1+r.IntN(3))
			strides, dilations = append(strides, 1+r.Int64N(2)), append(dilations, 1+r.Int64N(2))
		}
		for range 2 * rank {
			pads = append(pads, r.Int64N(3)*r.Int64N(2))
		}
		if seed%10 == 0 {
			pads[0] = 40 // far more than the images
		}
		a["strides"], a["dilations"], a["pads"] = strides, dilations, pads
		random := func(shape ...int) *ops.Tensor {
			v := make([]float64, numElements(shape))
			for i := range v {
				v[i] = float64(float32(r.Float64() - 0.5))
			}
			return tensor(shape, v)
		}
		in := []*ops.Tensor{random(x...), random(w...), random(w[0])}[:2+r.IntN(2)]
		text := fmt.Sprintf("seed %d: X %v, W %v, %v", seed, x, w, a)
		op, err := find(t, "Conv").New(ops.Node{Opset: 11, Attributes: a, NumInputs: len(in), NumOutputs: 1})
		require.NoError(t, err, text)
		want, err := ops.Run(op, ops.NewContext(t.Context(), 1), in)
		require.NoError(t, err, text)
		ctx := ops.NewContext(t.Context(), 2)
		ctx.Constants = []bool{false, true}
		single := toFloat32(in)
		expected, _ := ops.Data[float64](want[0])
		for range 2 {
			got, err := ops.Run(op, ctx, single)
			require.NoError(t, err, text)
			for i, v := range got[0].Float32s() {
				require.InDelta(t, expected[i], v, 2e-5, "%s: element %d", text, i)
			}
		}
		ctx.Close()
	}
}

// TestConvTranspose_InFloat32IsThatInFloat64 compares random nodes in both types. Some have so many
// products that they are divided into slabs and blocks of filters.
func TestConvTranspose_InFloat32IsThatInFloat64(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 72))
		rank, group := 1+r.IntN(3), 1+r.IntN(3)
		most := []int{0, 60, 9, 5}[rank]
		x, w := []int{1 + r.IntN(3), group * (1 + r.IntN(4))}, []int{0, 1 + r.IntN(5)}
		if seed%60 == 0 {
			rank, group = 2, 1
			x, w, most = []int{2, 3}, []int{0, 70}, 60
		}
		w[0] = x[1]
		a := ops.Attributes{"group": int64(group)}
		var strides, dilations, pads, more []int64
		for range rank {
			x, w = append(x, 1+r.IntN(most)), append(w, 1+r.IntN(4))
			strides, dilations = append(strides, 1+r.Int64N(3)), append(dilations, 1+r.Int64N(3))
			more = append(more, r.Int64N(min(strides[len(strides)-1], dilations[len(dilations)-1])))
		}
		for range 2 * rank {
			pads = append(pads, r.Int64N(2))
		}
		a["strides"], a["dilations"], a["pads"], a["output_padding"] = strides, dilations, pads, more
		random := func(shape ...int) *ops.Tensor {
			v := make([]float64, numElements(shape))
			for i := range v {
				v[i] = float64(float32(r.Float64() - 0.5))
			}
			return tensor(shape, v)
		}
		in := []*ops.Tensor{random(x...), random(w...), random(w[1] * group)}[:2+r.IntN(2)]
		text := fmt.Sprintf("seed %d: X %v, W %v, %v", seed, x, w, a)
		op, err := find(t, "ConvTranspose").New(ops.Node{Opset: 11, Attributes: a, NumInputs: len(in), NumOutputs: 1})
		require.NoError(t, err, text)
		want, err := ops.Run(op, ops.NewContext(t.Context(), 1), in)
		if err != nil {
			require.ErrorIs(t, err, ops.ErrShape, text) // the pads remove everything
			continue
		}
		ctx := ops.NewContext(t.Context(), 2)
		got, err := ops.Run(op, ctx, toFloat32(in))
		require.NoError(t, err, text)
		ctx.Close()
		expected, _ := ops.Data[float64](want[0])
		require.Equal(t, want[0].Shape(), got[0].Shape(), text)
		for i, v := range got[0].Float32s() {
			require.InDelta(t, expected[i], v, 1e-5, "%s: element %d", text, i)
		}
	}
}
