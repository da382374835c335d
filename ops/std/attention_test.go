package std

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// attentionCase is a random Attention node.
type attentionCase struct {
	batch, queries, heads, length, now, past, size, valueSize int
	flat                                                      bool // inputs with 3 dimensions
	attrs                                                     attrs
	in                                                        tensors
	opset                                                     int
}

func newAttentionCase(r *rand.Rand) *attentionCase {
	c := &attentionCase{
		batch: 1 + r.IntN(2), heads: 1 + r.IntN(2), length: 1 + r.IntN(90), now: 1 + r.IntN(20), size: 1 + r.IntN(9), valueSize: 1 + r.IntN(9),
		flat: r.IntN(2) == 0, attrs: attrs{}, opset: 25,
	}
	c.queries = c.heads * (1 + r.IntN(3))
	flag := func(name string, v any) {
		if r.IntN(2) == 0 {
			c.attrs[name] = v
		}
	}
	flag("is_causal", int64(1))
	flag("scale", float32(0.3))
	flag("softcap", float32(1.5))
	flag("left_window_size", r.Int64N(10))
	flag("right_window_size", r.Int64N(10))
	flag("qk_matmul_output_mode", r.Int64N(4))
	tensor := func(heads, length, size int) *ops.Tensor {
		if c.flat {
			return opstest.Random(r.Uint64(), c.batch, length, heads*size)
		}
		return opstest.Random(r.Uint64(), c.batch, heads, length, size)
	}
	if c.flat {
		c.attrs["q_num_heads"], c.attrs["kv_num_heads"] = int64(c.queries), int64(c.heads)
	}
	c.in = tensors{tensor(c.queries, c.length, c.size), tensor(c.heads, c.now, c.size), tensor(c.heads, c.now, c.valueSize), nil, nil, nil, nil}
	switch r.IntN(3) {
	case 0:
		c.past = 1 + r.IntN(5)
		c.in[pastKeyInput] = opstest.Random(r.Uint64(), c.batch, c.heads, c.past, c.size)
		c.in[pastValueInput] = opstest.Random(r.Uint64(), c.batch, c.heads, c.past, c.valueSize)
	case 1:
		lengths := make([]int64, c.batch)
		for i := range lengths {
			lengths[i] = r.Int64N(int64(c.now) + 1)
		}
		c.in[lengthsInput] = opstest.Ints(lengths...)
	}
	mask := []int{c.batch, c.queries, c.length, c.now + c.past - r.IntN(2)}
	for i := range 3 {
		if r.IntN(3) == 0 {
			mask[i] = 1
		}
	}
	mask = mask[r.IntN(4):]
	switch r.IntN(3) {
	case 0:
		c.in[maskInput] = opstest.Random(r.Uint64(), mask...)
	case 1:
		c.in[maskInput] = typed(ops.Bool, 1, ones(ops.Float32, mask...))
		v, _ := ops.Data[bool](c.in[maskInput])
		for i := range v {
			v[i] = r.IntN(3) > 0
		}
	}
	return c
}

// want computes the four outputs of a case by the definition, in float64.
func (c *attentionCase) want() (out [4][]float64) {
	total := c.now + c.past
	at := func(x *ops.Tensor, b, heads, h, length, i, size, j int) float64 {
		if c.flat && len(x.Shape()) == 3 {
			return float64(x.Float32s()[((b*length+i)*heads+h)*size+j])
		}
		return float64(x.Float32s()[((b*heads+h)*length+i)*size+j])
	}
	joined := func(x, past *ops.Tensor, b, h, i, size, j int) float64 {
		if i < c.past {
			return at(past, b, c.heads, h, c.past, i, size, j)
		}
		return at(x, b, c.heads, h, c.now, i-c.past, size, j)
	}
	number := func(name string, standard float64) float64 {
		switch v := c.attrs[name].(type) {
		case int64:
			return float64(v)
		case float32:
			return float64(v)
		}
		return standard
	}
	mode := int(number("qk_matmul_output_mode", 0))
	y := make([]float64, c.batch*c.queries*c.length*c.valueSize)
	for b := range c.batch {
		for h := range c.heads {
			for i := range total {
				for j := range c.size {
					out[1] = append(out[1], joined(c.in[keyInput], c.in[pastKeyInput], b, h, i, c.size, j))
				}
				for j := range c.valueSize {
					out[2] = append(out[2], joined(c.in[valueInput], c.in[pastValueInput], b, h, i, c.valueSize, j))
				}
			}
		}
		for q := range c.queries {
			h := q / (c.queries / c.heads)
			for i := range c.length {
				stages := [4][]float64{}
				place := i + c.past
				if lengths := c.in[lengthsInput]; lengths != nil {
					place = i + int(lengths.Int64s()[b]) - c.length
				}
				sum := 0.0
				for k := range total {
					s := 0.0
					for j := range c.size {
						s += at(c.in[queryInput], b, c.queries, q, c.length, i, c.size, j) * joined(c.in[keyInput], c.in[pastKeyInput], b, h, k, c.size, j)
					}
					s *= number("scale", 1/math.Sqrt(float64(c.size)))
					stages[0] = append(stages[0], s)
					if bound := number("softcap", 0); bound > 0 {
						s = bound * math.Tanh(s/bound)
					}
					stages[1] = append(stages[1], s)
					if left := number("left_window_size", -1); left >= 0 && float64(k) < float64(place)-left {
						s = math.Inf(-1)
					}
					if right := number("right_window_size", -1); right >= 0 && float64(k) > float64(place)+right {
						s = math.Inf(-1)
					}
					if number("is_causal", 0) == 1 && k > place || c.in[lengthsInput] != nil && int64(k) >= c.in[lengthsInput].Int64s()[b] {
						s = math.Inf(-1)
					}
					s += c.maskAt(b, q, i, k)
					stages[2] = append(stages[2], s)
					sum += math.Exp(s)
				}
				stages[3] = make([]float64, total)
				for k, s := range stages[2] {
					if sum > 0 {
						stages[3][k] = math.Exp(s) / sum
					}
					for j := range c.valueSize {
						to := ((b*c.queries+q)*c.length+i)*c.valueSize + j
						if c.flat {
							to = ((b*c.length+i)*c.queries+q)*c.valueSize + j
						}
						y[to] += stages[3][k] * joined(c.in[valueInput], c.in[pastValueInput], b, h, k, c.valueSize, j)
					}
				}
				out[3] = append(out[3], stages[mode]...)
			}
		}
	}
	out[0] = y
	return out
}

func (c *attentionCase) maskAt(place ...int) float64 {
	mask := c.in[maskInput]
	if mask == nil {
		return 0
	}
	shape := mask.Shape()
	at := 0
	for i, n := range shape {
		p := place[4-len(shape)+i]
		if n == 1 && i < len(shape)-1 {
			p = 0
		}
		if p >= n {
			return math.Inf(-1)
		}
		at = at*n + p
	}
	if v, ok := ops.Data[bool](mask); ok {
		if v[at] {
			return 0
		}
		return math.Inf(-1)
	}
	return float64(mask.Float32s()[at])
}

func TestAttention_ComputesTheDefinition(t *testing.T) {
	pool := parallel.New(2)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newAttentionCase(r)
		in := c.in
		single := r.IntN(4) > 0
		if !single { // float64
			in = append(tensors{}, in...)
			for i, x := range in {
				if x != nil && x.DType() == ops.Float32 {
					in[i] = typed(ops.Float64, 1, x)
				}
			}
		}
		op, err := find(t, "Attention").New(ops.Node{Attributes: c.attrs, Opset: c.opset, NumInputs: len(in), NumOutputs: 4})
		require.NoError(t, err)
		got, err := ops.Run(op, &ops.Context{Pool: pool}, in)
		require.NoError(t, err, "seed %d", seed)
		want := c.want()
		for i, w := range want {
			g := make([]float64, got[i].Len())
			load(g, got[i], 0, 1)
			require.Len(t, g, len(w))
			for j := range w {
				require.True(t, g[j] == w[j] || math.Abs(g[j]-w[j]) < 1e-4, "seed %d: output %d at %d is %v, want %v", seed, i, j, g[j], w[j])
			}
		}
		first, err := find(t, "Attention").New(ops.Node{Attributes: c.attrs, Opset: c.opset, NumInputs: len(in), NumOutputs: 1})
		require.NoError(t, err)
		alone, err := ops.Run(first, &ops.Context{}, in)
		require.NoError(t, err)
		require.Equal(t, got[0], alone[0], "the output must not depend on the number of outputs and workers")
	}
}

func TestAttention_ChecksItsInputs(t *testing.T) {
	q, k, v := ones(ops.Float32, 1, 2, 3, 2), ones(ops.Float32, 1, 1, 4, 2), ones(ops.Float32, 1, 1, 4, 5)
	flat := ones(ops.Float32, 1, 3, 4)
	cases := []struct {
		err   string
		attrs attrs
		opset int
		in    tensors
	}{
		{"qk_matmul_output_mode is 4", attrs{"qk_matmul_output_mode": int64(4)}, 25, tensors{q, k, v}},
		{"left_window_size is -2", attrs{"left_window_size": int64(-2)}, 25, tensors{q, k, v}},
		{"unknown left_window_size", attrs{"left_window_size": int64(2)}, 24, tensors{q, k, v}},
		{"softmax_precision 7", attrs{"softmax_precision": int64(7)}, 25, tensors{q, k, v}},
		{"needs q_num_heads", nil, 25, tensors{flat, flat, flat}},
		{"do not allow q_num_heads", attrs{"q_num_heads": int64(2), "kv_num_heads": int64(1)}, 25, tensors{q, k, v}},
		{"q_num_heads is 3", attrs{"q_num_heads": int64(3), "kv_num_heads": int64(1)}, 24, tensors{q, k, v}},
		{"must divide", attrs{"q_num_heads": int64(3), "kv_num_heads": int64(1)}, 25, tensors{flat, flat, flat}},
		{"the same number of dimensions", nil, 25, tensors{q, k, flat}},
		{"must be equal", nil, 25, tensors{q, k, ones(ops.Float32, 1, 1, 3, 5)}},
		{"want a multiple", nil, 25, tensors{ones(ops.Float32, 1, 3, 3, 2), ones(ops.Float32, 1, 2, 4, 2), ones(ops.Float32, 1, 2, 4, 2)}},
		{"attn_mask is float32(3, 5)", nil, 25, tensors{q, k, v, ones(ops.Float32, 3, 5)}},
		{"attn_mask is float32(3, 3)", nil, 23, tensors{q, k, v, ones(ops.Float32, 3, 3)}},
		{"given together", nil, 25, tensors{q, k, v, nil, k}},
		{"past_key is float32(2, 1, 4, 2)", nil, 25, tensors{q, k, v, nil, ones(ops.Float32, 2, 1, 4, 2), v}},
		{"cannot be used together", nil, 25, tensors{q, k, v, nil, k, v, opstest.Ints(1)}},
		{"since opset 24", nil, 23, tensors{q, k, v, nil, nil, nil, opstest.Ints(1)}},
		{"Q is float32(1, 2, 3, 2) but K is float64", nil, 25, tensors{q, typed(ops.Float64, 1, k), v}},
	}
	for _, c := range cases {
		t.Run(c.err, func(t *testing.T) {
			opstest.Run(t, find(t, "Attention"), []opstest.Case{{Attributes: c.attrs, Opset: c.opset, Inputs: c.in, WantErr: c.err}})
		})
	}
	runCases(t, []operatorCase{
		{"Attention", opstest.Case{Name: "too many keys", Opset: 24, Inputs: tensors{q, k, v, nil, nil, nil, opstest.Ints(5)}, WantRunErr: "nonpad_kv_seqlen[0] is 5, but there are 4 keys"}},
		{"Attention", opstest.Case{Name: "batch", Opset: 24, Batch: []int{0, 1, 2, 6}, Inputs: tensors{
			opstest.Random(1, 3, 2, 3, 2), opstest.Random(2, 3, 1, 4, 2), ones(ops.Float32, 3, 1, 4, 1), nil, nil, nil, opstest.Ints(4, 1, 0),
		}, Outputs: tensors{opstest.F32([]int{3, 2, 3, 1}, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0)}, Tolerance: 1e-6}},
		{"Attention", opstest.Case{Name: "excluded keys may hold anything", Opset: 23, Attributes: attrs{"is_causal": int64(1)}, Inputs: tensors{
			ones(ops.Float32, 1, 1, 2, 1), opstest.F32([]int{1, 1, 2, 1}, 1, float32(inf)), ones(ops.Float32, 1, 1, 2, 1),
			typed(ops.Bool, 1, opstest.F32([]int{2}, 1, 0)),
		}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 1}, 1, 1)}}},
	})
}

// TestLinearAttention_RunsInSteps checks that a sequence in two parts, with the state in
// between, has the same outputs as the sequence at once.
func TestLinearAttention_RunsInSteps(t *testing.T) {
	const batch, length, queries, heads, size, valueSize = 2, 5, 4, 2, 3, 40
	for _, rule := range []string{"linear", "gated", "delta", "gated_delta"} {
		for variant := range 2 {
			t.Run(fmt.Sprint(rule, variant), func(t *testing.T) {
				last := []int{queries * size, heads * size, heads * valueSize, 0, heads * []int{1, size}[variant], []int{heads, 1}[variant]}
				inputsOf := func(first, n int, state *ops.Tensor) tensors {
					in := make(tensors, 6)
					in[3] = state
					for i := range in {
						if i == 3 || i == 4 && (rule == "linear" || rule == "delta") || i == 5 && (rule == "linear" || rule == "gated") {
							continue
						}
						all := opstest.Random(uint64(i), batch, length, last[i])
						part, err := ops.Zeros(ops.Float32, []int{batch, n, last[i]})
						require.NoError(t, err)
						for j := range n {
							x, err := all.Take(1, first+j)
							require.NoError(t, err)
							require.NoError(t, part.Put(1, j, x))
						}
						in[i] = part
					}
					return in
				}
				run := func(in tensors) tensors {
					op, err := find(t, "LinearAttention").New(ops.Node{
						Opset: 27, NumInputs: 6, NumOutputs: 2,
						Attributes: attrs{"q_num_heads": int64(queries), "kv_num_heads": int64(heads), "update_rule": rule},
					})
					require.NoError(t, err)
					out, err := ops.Run(op, &ops.Context{}, in)
					require.NoError(t, err)
					return out
				}
				whole := run(inputsOf(0, length, nil))
				first := run(inputsOf(0, 2, nil))
				second := run(inputsOf(2, length-2, first[1]))
				require.Equal(t, whole[1], second[1])
				for i := range length {
					part, at := first[0], i
					if i >= 2 {
						part, at = second[0], i-2
					}
					want, err := whole[0].Take(1, i)
					require.NoError(t, err)
					got, err := part.Take(1, at)
					require.NoError(t, err)
					require.Equal(t, want, got)
				}
			})
		}
	}
}

func TestTransformerOperators_ComputeExamples(t *testing.T) {
	state := func(v ...float32) *ops.Tensor { return opstest.F32([]int{1, 1, len(v)}, v...) }
	x := opstest.F32([]int{1, 2, 2}, 1, 3, 2, 6)
	half := func(x *ops.Tensor) *ops.Tensor { return typed(ops.Float16, 1, x) }
	runCases(t, []operatorCase{
		{"CausalConvWithState", opstest.Case{Opset: 27, Inputs: tensors{state(1, 2, 3), state(1, 10), f32(100), state(5)}, Outputs: tensors{state(115, 121, 132)}}},
		{"CausalConvWithState", opstest.Case{Name: "no state, short", Opset: 27, Inputs: tensors{state(1), state(1, 10, 100)}, Batch: []int{0}, Outputs: tensors{state(100)}}},
		{"CausalConvWithState", opstest.Case{Name: "weight", Opset: 27, Inputs: tensors{state(1), opstest.F32([]int{1, 2, 1}, 1, 1)}, WantErr: "weight is float32(1, 2, 1)"}},
		{"GroupNormalization", opstest.Case{Opset: 18, Attributes: attrs{"num_groups": int64(1), "epsilon": float32(0)}, Batch: []int{0}, Inputs: tensors{
			opstest.F32([]int{1, 2, 1}, 1, 3), f32(2), f32(1),
		}, Outputs: tensors{opstest.F32([]int{1, 2, 1}, -1, 3)}}},
		{"GroupNormalization", opstest.Case{Name: "per channel", Opset: 21, Attributes: attrs{"num_groups": int64(1), "epsilon": float32(0)}, Inputs: tensors{
			opstest.F32([]int{1, 2, 1}, 1, 3), f32(2, 3), f32(1, 0),
		}, Outputs: tensors{opstest.F32([]int{1, 2, 1}, -1, 3)}}},
		{"GroupNormalization", opstest.Case{Name: "groups", Opset: 21, Attributes: attrs{"num_groups": int64(3)}, Inputs: tensors{x, f32(2, 3), f32(1, 0)}, WantErr: "num_groups is 3"}},
		{"LayerNormalization", opstest.Case{Name: "stash_type", Attributes: attrs{"epsilon": float32(0)}, Inputs: tensors{opstest.F64([]int{2}, 1, 3), opstest.F64([]int{2}, 1, 2)}, Outputs: tensors{opstest.F64([]int{2}, -1, 2)}}},
		{"LayerNormalization", opstest.Case{Name: "unknown stash_type", Attributes: attrs{"stash_type": int64(7)}, Inputs: tensors{x, f32(1, 1)}, WantErr: "stash_type 7"}},
		{"RMSNormalization", opstest.Case{Opset: 23, Attributes: attrs{"epsilon": float32(0)}, Inputs: tensors{opstest.F32([]int{1, 2}, 1, 7), f32(5, 10)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 2}, 1, 14)}}},
		{"RMSNormalization", opstest.Case{Name: "scale per row", Opset: 23, Attributes: attrs{"epsilon": float32(0), "axis": int64(0)}, Inputs: tensors{opstest.F32([]int{2, 1}, 1, 7), opstest.F32([]int{1, 1}, 5)}, Outputs: tensors{opstest.F32([]int{2, 1}, 1, 7)}}},
		{"RMSNormalization", opstest.Case{Name: "scale of another type", Opset: 23, Attributes: attrs{"epsilon": float32(0)}, Inputs: tensors{half(f32(1, 7)), f32(5, 10)}, Outputs: tensors{f32(1, 14)}}},
		{"RotaryEmbedding", opstest.Case{Opset: 23, Inputs: tensors{opstest.F32([]int{1, 1, 1, 4}, 1, 2, 3, 4), opstest.F32([]int{1, 1, 2}, 0, 1), opstest.F32([]int{1, 1, 2}, 1, 0)}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 4}, -3, 2, 1, 4)}}},
		{"RotaryEmbedding", opstest.Case{Name: "interleaved, partial", Opset: 23, Attributes: attrs{"interleaved": int64(1), "num_heads": int64(1), "rotary_embedding_dim": int64(2)}, Inputs: tensors{
			opstest.F32([]int{1, 1, 3}, 1, 2, 3), opstest.F32([]int{2, 1}, 1, 0), opstest.F32([]int{2, 1}, 0, 1), opstest.I64([]int{1, 1}, 1),
		}, Outputs: tensors{opstest.F32([]int{1, 1, 3}, -2, 1, 3)}}},
		{"RotaryEmbedding", opstest.Case{Name: "position", Opset: 23, Inputs: tensors{opstest.F32([]int{1, 1, 1, 2}, 1, 2), opstest.F32([]int{1, 1}, 1), opstest.F32([]int{1, 1}, 1), opstest.I64([]int{1, 1}, 1)}, WantRunErr: "position_ids has the position 1"}},
		{"RotaryEmbedding", opstest.Case{Name: "odd size", Opset: 23, Inputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 1), opstest.F32([]int{1, 1, 0}), opstest.F32([]int{1, 1, 0})}, WantErr: "want an even number"}},
		{"Gelu", opstest.Case{Opset: 20, Inputs: tensors{f32(-1, 0, 1)}, Outputs: tensors{f32(-0.15865525, 0, 0.8413447)}, Tolerance: 1e-6}},
		{"Gelu", opstest.Case{Name: "tanh", Opset: 20, Attributes: attrs{"approximate": "tanh"}, Inputs: tensors{half(f32(-1, 0, 1))}, Outputs: tensors{half(f32(-0.158808, 0, 0.841192))}, Tolerance: 1e-3}},
		{"Mish", opstest.Case{Opset: 18, Inputs: tensors{f32(-1, 0, 1, 100)}, Outputs: tensors{f32(-0.30340146, 0, 0.865098, 100)}, Tolerance: 1e-6}},
		{"Swish", opstest.Case{Opset: 24, Attributes: attrs{"alpha": float32(2)}, Inputs: tensors{f32(-1, 0, 1)}, Outputs: tensors{f32(-0.11920292, 0, 0.880797)}, Tolerance: 1e-6}},
	})
}
