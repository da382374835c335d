package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newAttention returns Attention (opsets 23, 24, 25): softmax(scale * Q K^T + mask) V for each
// entry of the batch and each head. Q, K and V have the shapes (batch, heads, length, size),
// or (batch, length, heads*size). Several heads of Q may share a head of K and V; K and V have
// the same length. Q and K have the same type, float32 or float64; V may have the other one.
//
// The optional inputs are
//   - attn_mask, which broadcasts to the scores (batch, heads, length of Q, length of K): bool
//     (false excludes a key) or numbers that are added to the scores. Since opset 24 it may
//     have fewer keys than K; the others are excluded.
//   - past_key and past_value (batch, heads, past length, size), which come before K and V,
//   - since opset 24, nonpad_kv_seqlen, int64 (batch): the number of keys of each entry that
//     are used.
//
// The optional outputs are the keys and the values with the past ones in front, (batch, heads,
// length, size), and the scores. A query for which all keys are excluded has the output 0.
//
// Attributes: is_causal (default 0; 1 excludes the keys after a query), q_num_heads and
// kv_num_heads (required if the inputs have 3 dimensions), scale (default 1/sqrt(size)),
// softcap (default 0; if it is positive, scores s become softcap*tanh(s/softcap) before the mask),
// qk_matmul_output_mode (default 0; selects the scores in the fourth output: 0 scale * Q K^T,
// 1 after softcap, 2 after the mask, 3 after the softmax), softmax_precision (the results are
// at least as precise), and since opset 25 left_window_size and right_window_size (default -1,
// no limit; the number of keys before and after the place of a query that are not excluded).
func newAttention(n ops.Node) (multiOperation, error) {
	a := n.Attributes
	known := []string{"is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"}
	if n.Opset >= 25 {
		known = append(known, "left_window_size", "right_window_size")
	}
	if err := a.Only(known...); err != nil {
		return nil, err
	}
	k := &attention{opset: n.Opset, scale: math.NaN(), outputs: n.NumOutputs}
	var err error
	if k.causal, err = flagAttr(a, "is_causal"); err != nil {
		return nil, err
	}
	if k.queries, err = sizeAttr(a, "q_num_heads"); err != nil {
		return nil, err
	}
	if k.heads, err = sizeAttr(a, "kv_num_heads"); err != nil {
		return nil, err
	}
	mode, err := ops.Attr(a, "qk_matmul_output_mode", int64(0))
	if err != nil {
		return nil, err
	}
	if k.mode = attentionMode(mode); mode < 0 || mode > 3 {
		return nil, fmt.Errorf("%w: qk_matmul_output_mode is %d, want 0 to 3", ops.ErrAttribute, mode)
	}
	if _, given := a["scale"]; given {
		scale, err := ops.Attr(a, "scale", float32(0))
		if err != nil {
			return nil, err
		}
		k.scale = float64(scale)
	}
	softcap, err := ops.Attr(a, "softcap", float32(0))
	if err != nil {
		return nil, err
	}
	k.softcap = float64(softcap)
	if _, err := precisionAttr(a, "softmax_precision", ops.Float32); err != nil {
		return nil, err
	}
	for _, side := range []struct {
		name string
		size *int
	}{{"left_window_size", &k.left}, {"right_window_size", &k.right}} {
		size, err := ops.Attr(a, side.name, int64(-1))
		if err != nil {
			return nil, err
		}
		if size < -1 {
			return nil, fmt.Errorf("%w: %s is %d, want -1 or a number of keys", ops.ErrAttribute, side.name, size)
		}
		*side.size = int(min(size, ops.MaxElements))
	}
	return k, nil
}

// attentionMode selects what the fourth output of Attention holds.
type attentionMode int

const (
	rawScores attentionMode = iota
	cappedScores
	maskedScores
	probabilities
)

type attention struct {
	opset          int
	outputs        int
	queries, heads int // q_num_heads and kv_num_heads, 0 if not given
	causal         bool
	scale          float64 // NaN if not given
	softcap        float64
	mode           attentionMode
	left, right    int // -1 for no limit
}

// Indexes of the inputs of Attention.
const (
	queryInput = iota
	keyInput
	valueInput
	maskInput
	pastKeyInput
	pastValueInput
	lengthsInput
)

var attentionInputs = []string{"Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen"}

// attentionSizes holds the sizes of an Attention node.
type attentionSizes struct {
	batch, queries, heads ops.Dim // heads are those of K and V
	length, now, past     ops.Dim // numbers of queries, and of keys in K and in past_key
	size, valueSize       ops.Dim
}

// total returns the number of keys.
func (s *attentionSizes) total() ops.Dim {
	switch {
	case s.past == ops.Dim{}:
		return s.now
	case s.past.Known() && s.now.Known():
		return ops.Dim{Size: s.past.Size + s.now.Size}
	}
	return unknown
}

func (k *attention) checkTypes(in []*ops.Input) error {
	if k.opset < 24 && inputAt(in, lengthsInput) != nil {
		return fmt.Errorf("%w: opset %d has no input nonpad_kv_seqlen: it exists since opset 24", ops.ErrAttribute, k.opset)
	}
	for i, x := range in {
		if x == nil {
			continue
		}
		var err error
		switch i {
		case maskInput:
			if !slices.Contains(allTypes, x.DType) && !isHalf(x.DType) {
				err = fmt.Errorf("%w: attn_mask is %v, want bool or numbers", ops.ErrDType, x.Type)
			}
		case lengthsInput:
			err = x.Type.CheckDType(attentionInputs[i], ops.Int64)
		default:
			err = x.Type.CheckDType(attentionInputs[i], floatTypes...)
		}
		if err != nil {
			return err
		}
	}
	for _, pair := range [][2]int{{queryInput, keyInput}, {keyInput, pastKeyInput}, {valueInput, pastValueInput}} {
		if x, y := in[pair[0]], inputAt(in, pair[1]); y != nil && x.DType != y.DType {
			return fmt.Errorf("%w: %s is %v but %s is %v", ops.ErrDType, attentionInputs[pair[0]], x.Type, attentionInputs[pair[1]], y.Type)
		}
	}
	key, value := inputAt(in, pastKeyInput), inputAt(in, pastValueInput)
	if (key == nil) != (value == nil) {
		return fmt.Errorf("%w: past_key and past_value must be given together", ops.ErrShape)
	}
	if key != nil && inputAt(in, lengthsInput) != nil {
		return fmt.Errorf("%w: nonpad_kv_seqlen cannot be used together with past_key and past_value", ops.ErrShape)
	}
	return nil
}

// sizes checks the shapes of the inputs.
func (k *attention) sizes(in []*ops.Input) (s attentionSizes, err error) {
	q, key, value := in[queryInput].Type, in[keyInput].Type, in[valueInput].Type
	if len(key.Shape) != len(q.Shape) || len(value.Shape) != len(q.Shape) {
		return s, fmt.Errorf("%w: Q is %v, K is %v, V is %v: they must have the same number of dimensions", ops.ErrShape, q, key, value)
	}
	if k.opset >= 25 && len(q.Shape) == 4 && k.queries+k.heads > 0 {
		return s, fmt.Errorf("%w: Q is %v: inputs with 4 dimensions do not allow q_num_heads and kv_num_heads", ops.ErrAttribute, q)
	}
	var parts [3][4]ops.Dim
	for i, heads := range []int{k.queries, k.heads, k.heads} {
		name := "kv_num_heads"
		if i == 0 {
			name = "q_num_heads"
		}
		if parts[i], err = headSizes(attentionInputs[i], name, in[i].Type, heads); err != nil {
			return s, err
		}
	}
	s = attentionSizes{
		batch: parts[0][0], queries: parts[0][1], heads: parts[1][1], length: parts[0][2], now: parts[1][2],
		size: parts[0][3], valueSize: parts[2][3],
	}
	ok := fitsDims(parts[1][:], []ops.Dim{s.batch, unknown, unknown, s.size}) && fitsDims(parts[2][:3], []ops.Dim{s.batch, s.heads, s.now})
	if !ok {
		return s, fmt.Errorf("%w: Q is %v, K is %v, V is %v: their batches, the sizes of the heads of Q and K, and the heads and lengths of K and V must be equal", ops.ErrShape, q, key, value)
	}
	for i := range parts {
		s.batch, _ = mergeDims(s.batch, parts[i][0])
	}
	s.now, _ = mergeDims(s.now, parts[2][2])
	if h := s.heads; s.queries.Known() && h.Known() && (h.Size == 0 || s.queries.Size%h.Size != 0) && s.queries.Size != h.Size {
		return s, fmt.Errorf("%w: Q is %v with %d heads, K is %v with %d heads: want a multiple of them", ops.ErrShape, q, s.queries.Size, key, h.Size)
	}
	return s, k.checkOptional(in, &s)
}

// checkOptional checks the shapes of the optional inputs.
func (k *attention) checkOptional(in []*ops.Input, s *attentionSizes) error {
	if past := inputAt(in, pastKeyInput); past != nil {
		value := in[pastValueInput]
		ok := fitsDims(past.Shape, []ops.Dim{s.batch, s.heads, unknown, s.size})
		if ok {
			s.past = past.Shape[2]
			ok = fitsDims(value.Shape, []ops.Dim{s.batch, s.heads, s.past, s.valueSize})
		}
		if !ok {
			return fmt.Errorf("%w: K is %v and V is %v, but past_key is %v and past_value is %v, want (batch, heads, past length, size)",
				ops.ErrShape, in[keyInput].Type, in[valueInput].Type, past.Type, value.Type)
		}
	}
	if lengths := inputAt(in, lengthsInput); lengths != nil && !fitsDims(lengths.Shape, []ops.Dim{s.batch}) {
		return fmt.Errorf("%w: Q is %v but nonpad_kv_seqlen is %v, want one number per entry of the batch", ops.ErrShape, in[queryInput].Type, lengths.Type)
	}
	mask := inputAt(in, maskInput)
	if mask == nil {
		return nil
	}
	want := []ops.Dim{s.batch, s.queries, s.length, s.total()}
	ok := len(mask.Shape) <= 4
	for i, d := range mask.Shape {
		if !ok {
			break
		}
		at := 4 - len(mask.Shape) + i
		ok = !d.Known() || !want[at].Known() || d.Size == 1 || d.Size == want[at].Size || at == 3 && k.opset >= 24 && d.Size < want[at].Size
	}
	if !ok {
		return fmt.Errorf("%w: attn_mask is %v, which does not broadcast to the scores %v", ops.ErrShape, mask.Type, ops.Type{DType: mask.DType, Shape: want})
	}
	return nil
}

func (k *attention) inferAll(in []*ops.Input) ([]ops.Type, error) {
	if err := k.checkTypes(in); err != nil {
		return nil, err
	}
	s, err := k.sizes(in)
	if err != nil {
		return nil, err
	}
	q, v, total := in[queryInput].DType, in[valueInput].DType, s.total()
	y := []ops.Dim{s.batch, s.queries, s.length, s.valueSize}
	if len(in[queryInput].Shape) == 3 {
		y = []ops.Dim{s.batch, s.length, unknown}
		if s.valueSize.Known() {
			y[2] = ops.Dim{Size: s.valueSize.Size * s.queries.Size}
		}
	}
	return []ops.Type{
		{DType: q, Shape: y},
		{DType: q, Shape: []ops.Dim{s.batch, s.heads, total, s.size}},
		{DType: v, Shape: []ops.Dim{s.batch, s.heads, total, s.valueSize}},
		{DType: q, Shape: []ops.Dim{s.batch, s.queries, s.length, total}},
	}, nil
}

func (k *attention) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	s, err := k.sizes(inputs(in))
	if err != nil {
		return err
	}
	if in[queryInput].DType() == ops.Float64 {
		return attend[float64](ctx, k, &s, in, out)
	}
	return attend[float32](ctx, k, &s, in, out)
}
