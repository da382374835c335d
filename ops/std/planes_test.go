package std

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// TestPlanes_ManyTaps has windows of so many taps that the context is looked at within a channel.
func TestPlanes_ManyTaps(t *testing.T) {
	const size, taps = 2500, 1000
	const out = size - taps + 1
	r := rand.New(rand.NewPCG(1, 8))
	x, w := randomTensor(r, 1, 1, 2, size), randomTensor(r, 1, 2, 1, taps)
	window := ops.Attributes{"kernel_shape": []int64{taps}}
	for name, f := range map[string]func(channel, i int) float64{
		"Conv": func(channel, i int) (sum float64) {
			for j, v := range w.Float32s()[channel*taps:][:taps] {
				sum += float64(v) * float64(x.Float32s()[channel*size+i+j])
			}
			return sum
		},
		"AveragePool": func(channel, i int) (sum float64) {
			for _, v := range x.Float32s()[channel*size+i:][:taps] {
				sum += float64(v)
			}
			return sum / taps
		},
		"MaxPool": func(channel, i int) (top float64) {
			for _, v := range x.Float32s()[channel*size+i:][:taps] {
				top = max(top, float64(v))
			}
			return top
		},
	} {
		in, a := []*ops.Tensor{x}, window
		if name == "Conv" {
			in, a = append(in, w), ops.Attributes{"group": int64(2)}
		}
		op, err := find(t, name).New(ops.Node{Opset: 11, Attributes: a, NumInputs: len(in), NumOutputs: 1})
		require.NoError(t, err)
		counting := &countingContext{Context: t.Context(), left: 1 << 30}
		got, err := ops.Run(op, ops.NewContext(counting, 1), in)
		require.NoError(t, err)
		require.GreaterOrEqual(t, 1<<30-counting.left, 2*out*taps/tapsPerCheck, name)
		for i, v := range got[0].Float32s() {
			require.InDelta(t, f(i/out, i%out), v, 1e-3, "%s, element %d", name, i)
		}
	}
}
