package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// newLinearAttention returns LinearAttention (opset 27), a recurrent form of attention. For
// each entry of the batch and each head of keys and values, a state S (size of a key, size of
// a value) goes through the positions t of the sequence:
//
//	S = exp(decay[t]) * S                     (gated, gated_delta)
//	v = beta[t] * (value[t] - S^T key[t])     (delta, gated_delta; else v = value[t])
//	S = S + key[t] v^T
//	output[t] = scale * S^T query[t]
//
// The inputs are query (batch, length, q_num_heads*size), key (batch, length,
// kv_num_heads*size), value (batch, length, kv_num_heads*value size), the optional past_state
// (batch, kv_num_heads, size, value size), by default 0, decay (batch, length, kv_num_heads or
// kv_num_heads*size) and beta (batch, length, kv_num_heads or 1). Several heads of the query
// share a head of keys and values. The second output is the last state. past_state is
// float32, float16 or bfloat16; so are the other inputs, which have the same type. The state
// is computed in float32.
//
// Attributes: q_num_heads, kv_num_heads (required), update_rule (default gated_delta; linear,
// gated, delta), scale (default 0: 1/sqrt(size)), chunk_size (a hint, which is ignored).
func newLinearAttention(n ops.Node) (multiOperation, error) {
	a := n.Attributes
	if err := a.Only("chunk_size", "kv_num_heads", "q_num_heads", "scale", "update_rule"); err != nil {
		return nil, err
	}
	var k linearAttention
	var err error
	if _, err = ops.Attr(a, "chunk_size", int64(64)); err != nil {
		return nil, err
	}
	if k.queries, err = sizeAttr(a, "q_num_heads"); err != nil {
		return nil, err
	}
	if k.heads, err = sizeAttr(a, "kv_num_heads"); err != nil {
		return nil, err
	}
	if k.heads == 0 || k.queries == 0 || k.queries%k.heads != 0 {
		return nil, fmt.Errorf("%w: q_num_heads is %d and kv_num_heads is %d, want a multiple and its divisor", ops.ErrAttribute, k.queries, k.heads)
	}
	scale, err := ops.Attr(a, "scale", float32(0))
	if err != nil {
		return nil, err
	}
	k.scale = float64(scale)
	k.rule, err = choiceAttr(a, "update_rule", "gated_delta", "linear", "gated", "delta")
	k.gated, k.delta = k.rule == "gated" || k.rule == "gated_delta", k.rule == "delta" || k.rule == "gated_delta"
	return &k, err
}

type linearAttention struct {
	queries, heads int // numbers of heads of the query, and of the key and value
	scale          float64
	rule           string
	gated, delta   bool
}

// linearAttentionInputs holds the names of the inputs, in order.
var linearAttentionInputs = []string{"query", "key", "value", "past_state", "decay", "beta"}

// inputAt returns an optional input or output, or nil.
func inputAt[T any](in []*T, i int) *T {
	if i < len(in) {
		return in[i]
	}
	return nil
}

func (k *linearAttention) inferAll(in []*ops.Input) ([]ops.Type, error) {
	q := in[0].Type
	for i, x := range in {
		if x == nil {
			continue
		}
		if err := x.Type.CheckDType(linearAttentionInputs[i], ops.Float32, ops.Float16, ops.BFloat16); err != nil {
			return nil, err
		}
		if i != 3 && x.DType != q.DType {
			return nil, fmt.Errorf("%w: query is %v but %s is %v", ops.ErrDType, q, linearAttentionInputs[i], x.Type)
		}
	}
	for _, p := range []struct {
		input int
		used  bool
	}{{4, k.gated}, {5, k.delta}} {
		if name := linearAttentionInputs[p.input]; (inputAt(in, p.input) != nil) != p.used {
			return nil, fmt.Errorf("%w: update_rule %s with the input %s %s", ops.ErrAttribute, k.rule, name, map[bool]string{true: "missing", false: "given"}[p.used])
		}
	}
	var sizes [3][4]ops.Dim
	for i, heads := range []int{k.queries, k.heads, k.heads} {
		name := linearAttentionInputs[i]
		if len(in[i].Shape) != 3 {
			return nil, fmt.Errorf("%w: %s is %v, want 3 dimensions", ops.ErrShape, name, in[i].Type)
		}
		var err error
		if sizes[i], err = headSizes(name, map[bool]string{true: "q_num_heads", false: "kv_num_heads"}[i == 0], in[i].Type, heads); err != nil {
			return nil, err
		}
	}
	batch, length, size := sizes[0][0], sizes[0][2], sizes[0][3]
	ok := fitsDims(sizes[1][:], []ops.Dim{batch, {Size: k.heads}, length, size}) && fitsDims(sizes[2][:3], []ops.Dim{batch, {Size: k.heads}, length})
	if !ok {
		return nil, fmt.Errorf("%w: query is %v, key is %v, value is %v: they have %d, %d and %d heads", ops.ErrShape, q, in[1].Type, in[2].Type, k.queries, k.heads, k.heads)
	}
	valueSize := sizes[2][3]
	state := ops.Type{DType: q.DType, Shape: []ops.Dim{batch, {Size: k.heads}, size, valueSize}}
	if past := inputAt(in, 3); past != nil {
		if !fitsDims(past.Shape, state.Shape) {
			return nil, fmt.Errorf("%w: past_state is %v, want %v", ops.ErrShape, past.Type, state)
		}
		state.DType = past.DType
	}
	if err := k.checkRates(in, batch, length, size); err != nil {
		return nil, err
	}
	out := ops.Type{DType: q.DType, Shape: []ops.Dim{batch, length, unknown}}
	if valueSize.Known() {
		out.Shape[2] = ops.Dim{Size: valueSize.Size * k.queries}
	}
	return []ops.Type{out, state}, nil
}

// checkRates checks the shapes of decay and beta.
func (k *linearAttention) checkRates(in []*ops.Input, batch, length, size ops.Dim) error {
	last := []int{k.heads, k.heads * max(size.Size, 1)}
	for i := 4; i < len(in); i++ {
		if i == 5 {
			last[1] = 1
		}
		x := in[i]
		if x == nil {
			continue
		}
		ok := fitsDims(x.Shape, []ops.Dim{batch, length, unknown})
		if ok {
			d := x.Shape[2]
			ok = !d.Known() || d.Size == last[0] || d.Size == last[1] || i == 4 && !size.Known() && d.Size%k.heads == 0
		}
		if !ok {
			return fmt.Errorf("%w: query is %v but %s is %v, want the batch, the length, and %d or %d", ops.ErrShape, in[0].Type, linearAttentionInputs[i], x.Type, last[0], last[1])
		}
	}
	return nil
}

func (k *linearAttention) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	shape, valueShape := in[0].Shape(), in[2].Shape()
	r := linearRun{
		k: k, batch: shape[0], length: shape[1], size: shape[2] / k.queries, valueSize: valueShape[2] / k.heads,
		scale: k.scale,
	}
	if r.scale == 0 {
		r.scale = 1 / math.Sqrt(float64(r.size))
	}
	t := temporary{ctx: ctx}
	for i := range in {
		if in[i] != nil {
			r.in[i] = singleElements(&t, in[i])
		}
	}
	outputs := [2]*ops.Tensor{}
	copy(outputs[:], out)
	for i := range outputs {
		x := outputs[i]
		if x != nil && x.DType() == ops.Float32 {
			r.out[i] = x.Float32s()
			continue
		}
		n := shape[0] * shape[1] * k.queries * r.valueSize
		if i == 1 {
			n = shape[0] * k.heads * r.size * r.valueSize
		}
		r.out[i] = bufferOf[float32](&t, n)
	}
	if t.err != nil {
		return t.err
	}
	if x := inputAt(in, 4); x != nil {
		r.decays = x.Shape()[2] / k.heads
	}
	if x := inputAt(in, 5); x != nil {
		r.betas = x.Shape()[2]
	}
	blocks := (r.valueSize + linearColumns - 1) / linearColumns
	steps := r.length * r.size * min(linearColumns, max(r.valueSize, 1))
	if err := ctx.For(r.batch*k.heads*blocks, max(1, grain/max(1, 4*steps)), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for ; lo < hi; lo++ {
			first := lo % blocks * linearColumns
			if err := r.head(&watching, lo/blocks/k.heads, lo/blocks%k.heads, first, min(first+linearColumns, r.valueSize)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for i, x := range out {
		if x.DType() == ops.Float32 {
			continue
		}
		wide, err := ops.NewTensor(x.Shape(), r.out[i])
		if err != nil {
			return err
		}
		if err := convertElements(ctx, x, wide); err != nil {
			return err
		}
	}
	return nil
}

// singleElements returns the elements of a tensor in float32. The slice may be the tensor's
// own memory, so it must not be modified.
func singleElements(t *temporary, x *ops.Tensor) []float32 {
	if t.err != nil || x.DType() == ops.Float32 {
		return x.Float32s()
	}
	var single *ops.Tensor
	if single, t.err = converting(t.ctx, x, ops.Float32); t.err != nil {
		return nil
	}
	return single.Float32s()
}

// linearColumns is the number of columns of the state that are computed at once. The columns
// do not depend on each other.
const linearColumns = 32

// linearRun is one run of LinearAttention.
type linearRun struct {
	k                              *linearAttention
	batch, length, size, valueSize int
	decays, betas                  int // numbers per head in decay, and in all of beta
	scale                          float64
	in                             [6][]float32 // in the order of the inputs
	out                            [2][]float32
}

// head computes columns first to last-1 of the state of one head.
func (r *linearRun) head(watching *cancelCheck, entry, head, first, last int) error {
	k := r.k
	plane := (entry*k.heads + head) * r.size * r.valueSize
	row := func(i int) []float32 { return r.out[1][plane+i*r.valueSize:][first:last] }
	for i := range r.size {
		s := row(i)
		clear(s)
		if past := r.in[3]; past != nil {
			copy(s, past[plane+i*r.valueSize:][first:last])
		}
	}
	columns := last - first
	var update, sum [linearColumns]float32
	group := k.queries / k.heads
	for t := range r.length {
		at := entry*r.length + t
		key := r.in[1][(at*k.heads+head)*r.size:][:r.size]
		v := update[:copy(update[:], r.in[2][(at*k.heads+head)*r.valueSize:][first:last])]
		if k.gated {
			decay := r.in[4][(at*k.heads+head)*r.decays:][:r.decays]
			var f float32
			for i := range r.size {
				if i < len(decay) {
					f = float32(portmath.Exp(float64(decay[i])))
				}
				for j := range row(i) {
					row(i)[j] *= f
				}
			}
		}
		if k.delta {
			beta := r.in[5][at*r.betas+min(head, r.betas-1)]
			found := sum[:columns]
			clear(found)
			for i, e := range key {
				for j, s := range row(i) {
					found[j] += float32(s * e)
				}
			}
			for j := range v {
				v[j] = beta * (v[j] - found[j])
			}
		}
		for i, e := range key {
			s := row(i)
			for j := range v {
				s[j] += float32(e * v[j])
			}
		}
		for g := range group {
			number := head*group + g
			query := r.in[0][(at*k.queries+number)*r.size:][:r.size]
			o := sum[:columns]
			clear(o)
			for i, e := range query {
				for j, s := range row(i) {
					o[j] += float32(s * e)
				}
			}
			to := r.out[0][(at*k.queries+number)*r.valueSize:][first:last]
			for j, e := range o {
				to[j] = float32(r.scale * float64(e))
			}
			if err := watching.after(r.size * (columns + 1)); err != nil {
				return err
			}
		}
		if err := watching.after(3 * r.size * (columns + 1)); err != nil {
			return err
		}
	}
	return nil
}
