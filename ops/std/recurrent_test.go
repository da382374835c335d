package std

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// randomRecurrent returns the attributes and the float64 inputs of a random node.
func randomRecurrent(r *rand.Rand, name string, steps, batch, size, hidden int) (ops.Attributes, []*ops.Tensor) {
	gates := map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}[name]
	a := ops.Attributes{}
	directions := 1
	switch r.IntN(3) {
	case 0:
		a["direction"] = "reverse"
	case 1:
		a["direction"], directions = "bidirectional", 2
	}
	if r.IntN(3) == 0 {
		a["clip"] = float32(0.3)
	}
	if r.IntN(3) == 0 {
		activations := [][]string{{"Relu"}, {"HardSigmoid", "Softsign"}, {"Sigmoid", "ScaledTanh", "Elu"}}[max(0, gates-2)]
		if gates == 1 {
			activations = []string{"Affine"}
		}
		for range directions {
			a["activations"] = append(asStrings(a["activations"]), activations...)
		}
	}
	x, state := []int{steps, batch, size}, []int{directions, batch, hidden}
	if r.IntN(2) == 0 {
		a["layout"] = int64(1)
		x, state = []int{batch, steps, size}, []int{batch, directions, hidden}
	}
	random := func(shape ...int) *ops.Tensor {
		v := make([]float64, numElements(shape))
		for i := range v {
			v[i] = float64(float32((r.Float64() - 0.5) / math.Sqrt(float64(hidden)))) // small differences do not grow
		}
		return tensor(shape, v)
	}
	in := []*ops.Tensor{random(x...), random(directions, gates*hidden, size), random(directions, gates*hidden, hidden), nil, nil, random(state...)}
	if r.IntN(3) > 0 {
		in[3] = random(directions, 2*gates*hidden)
	}
	if r.IntN(2) == 0 {
		lengths := make([]int32, batch)
		for i := range lengths {
			lengths[i] = int32(r.IntN(steps + 1))
		}
		in[4] = tensor([]int{batch}, lengths)
	}
	switch name {
	case "GRU":
		a["linear_before_reset"] = int64(r.IntN(2))
	case "LSTM":
		a["input_forget"] = int64(r.IntN(2))
		in = append(in, random(state...))
		if r.IntN(2) == 0 {
			in = append(in, random(directions, 3*hidden))
		}
	}
	return a, in
}

// toFloat32 returns tensors whose float64 elements are converted to float32.
func toFloat32(in []*ops.Tensor) []*ops.Tensor {
	out := make([]*ops.Tensor, len(in))
	for i, x := range in {
		out[i] = x
		if v, ok := ops.Data[float64](x); ok {
			f := make([]float32, len(v))
			for j := range v {
				f[j] = float32(v[j])
			}
			out[i] = tensor(x.Shape(), f)
		}
	}
	return out
}

func asStrings(v any) []string {
	s, _ := v.([]string)
	return s
}

// tensor returns a tensor of valid elements.
func tensor[T ops.Element](shape []int, v []T) *ops.Tensor {
	t, err := ops.NewTensor(shape, v)
	if err != nil {
		panic(err)
	}
	return t
}

// TestRecurrent_InFloat32IsThatInFloat64 compares random nodes in both types, also with constant
// weights, after a run with other weights, and with several workers.
func TestRecurrent_InFloat32IsThatInFloat64(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 71))
		name := []string{"RNN", "GRU", "LSTM"}[seed%3]
		steps, batch, size, hidden := 1+r.IntN(9), 1+r.IntN(9), 1+r.IntN(20), 1+r.IntN(40)
		if seed == 2 { // the gates of all steps are not in memory at once
			steps, batch, hidden = 350, 1, 200
		}
		attributes, in := randomRecurrent(r, name, steps, batch, size, hidden)
		text := fmt.Sprintf("seed %d: %s, %d steps, batch %d, size %d, hidden %d, %v", seed, name, steps, batch, size, hidden, attributes)
		op, err := find(t, name).New(ops.Node{Opset: 14, Attributes: attributes, NumInputs: len(in), NumOutputs: 2})
		require.NoError(t, err, text)
		single := toFloat32(in)
		want, err := ops.Run(op, ops.NewContext(t.Context(), 1), in)
		require.NoError(t, err, text)
		ctx := ops.NewContext(t.Context(), 2)
		constant := ops.NewContext(t.Context(), 1)
		constant.Constants = []bool{false, true, true}
		other := slices.Clone(single) // the memory of its weights is used again
		other[1], other[2] = randomTensor(r, 1, in[1].Shape()...), randomTensor(r, 1, in[2].Shape()...)
		_, err = ops.Run(op, ctx, other)
		require.NoError(t, err, text)
		got, err := ops.Run(op, ctx, single)
		require.NoError(t, err, text)
		for range 2 {
			again, err := ops.Run(op, constant, single)
			require.NoError(t, err, text)
			for i := range got {
				require.Equal(t, got[i].Float32s(), again[i].Float32s(), text)
			}
		}
		ctx.Close()
		for i, x := range got {
			expected, _ := ops.Data[float64](want[i])
			for j, v := range x.Float32s() {
				require.InDelta(t, expected[j], v, 3e-5, "%s: output %d, element %d", text, i, j)
			}
		}
	}
}

// TestRecurrent_RunsAgainAfterACancellation cancels runs while the weights are prepared, and runs the
// node again with what these runs have kept.
func TestRecurrent_RunsAgainAfterACancellation(t *testing.T) {
	a := ops.Attributes{"direction": "bidirectional"}
	op, err := find(t, "LSTM").New(ops.Node{Opset: 14, Attributes: a, NumInputs: 3, NumOutputs: 1})
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	in := []*ops.Tensor{randomTensor(r, 1, 2, 1, 3), randomTensor(r, 1, 2, 80, 3), randomTensor(r, 1, 2, 80, 20)}
	want, err := ops.Run(op, ops.NewContext(t.Context(), 1), in)
	require.NoError(t, err)
	for looks := range 40 {
		ctx := ops.NewContext(&countingContext{Context: t.Context(), left: looks}, 1)
		ctx.Constants = []bool{false, true, true}
		if _, err := ops.Run(op, ctx, in); err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		ctx.Context = t.Context()
		got, err := ops.Run(op, ctx, in)
		require.NoError(t, err)
		require.Equal(t, want[0].Float32s(), got[0].Float32s())
	}
}

// countingContext is canceled when its error has been looked at some times.
type countingContext struct {
	context.Context
	left int
}

func (c *countingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}
