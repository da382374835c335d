package graph

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// flexAttention is FlexAttention (version 1 of ai.onnx.preview): softmax(scale * Q K^T) V for
// Q, K and V of shape (batch, heads, length, size), with optional subgraphs that change the
// scores and the probabilities (batch, heads, length of Q, length of K).
type flexAttention struct {
	score, prob *Graph    // nil if there is none
	precision   ops.DType // softmax_precision, 0 if not given

	// These operators of ai.onnx compute the parts. attention is the whole operator without
	// subgraphs, and scores the same with the scores as its fourth output.
	attention, scores, softmax, matMul ops.Op
	cast                               map[ops.DType]ops.Op
}

// flexOpset is the opset of the operators that compute the parts.
const flexOpset = 24

func newFlexAttention(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error) {
	if opset < 1 {
		return nil, fmt.Errorf("version %d of %s has no operator FlexAttention: it exists since version 1", opset, previewDomain)
	}
	if err := attrs.Only("prob_mod", "scale", "score_mod", "softmax_precision"); err != nil {
		return nil, err
	}
	if err := checkInputs(st.Inputs, 3, 3); err != nil {
		return nil, err
	}
	if len(n.GetOutput()) != 1 {
		return nil, fmt.Errorf("the node has %d outputs, want 1", len(n.GetOutput()))
	}
	c := &flexAttention{cast: map[ops.DType]ops.Op{}}
	precision, err := ops.Attr(attrs, "softmax_precision", int64(0))
	if err != nil {
		return nil, err
	}
	c.precision = ops.DType(precision)
	shared := ops.Attributes{}
	for _, name := range []string{"scale", "softmax_precision"} {
		if v, ok := attrs[name]; ok {
			shared[name] = v
		}
	}
	parts := []struct {
		op      *ops.Op
		name    string
		attrs   ops.Attributes
		inputs  int
		outputs int
	}{
		{&c.attention, "Attention", shared, 3, 1}, {&c.scores, "Attention", shared, 3, 4},
		{&c.softmax, "Softmax", nil, 1, 1}, {&c.matMul, "MatMul", nil, 2, 1},
	}
	for _, p := range parts {
		if *p.op, err = s.k.operators[opKey{"", p.name}].New(ops.Node{Attributes: p.attrs, Opset: flexOpset, NumInputs: p.inputs, NumOutputs: p.outputs}); err != nil {
			return nil, err
		}
	}
	for _, d := range []ops.DType{ops.Float32, ops.Float16, ops.Float64, ops.BFloat16} {
		to := ops.Attributes{"to": int64(d)}
		if c.cast[d], err = s.k.operators[opKey{"", "Cast"}].New(ops.Node{Attributes: to, Opset: flexOpset, NumInputs: 1}); err != nil {
			return nil, err
		}
	}
	for _, g := range []struct {
		name  string
		graph **Graph
	}{{"score_mod", &c.score}, {"prob_mod", &c.prob}} {
		if _, ok := attrs[g.name]; ok {
			if *g.graph, err = s.subgraph(attrs, g.name, 1, 1); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *flexAttention) graphs() []*Graph {
	var graphs []*Graph
	for _, g := range []*Graph{c.score, c.prob} {
		if g != nil {
			graphs = append(graphs, g)
		}
	}
	return graphs
}

// precisionOf returns the type in which the softmax of inputs of a type is computed.
func (c *flexAttention) precisionOf(d ops.DType) ops.DType {
	switch {
	case c.precision != 0:
		return c.precision
	case d == ops.Float64:
		return d
	}
	return ops.Float32
}

// captured returns the captured values of the subgraphs.
func captured[T any](c *flexAttention, in []T) (score, prob []T) {
	n := 3
	if c.score != nil {
		n += len(c.score.captured)
	}
	return in[3:n], in[n:]
}

// types returns the types of the output and of the scores.
func (c *flexAttention) types(q, k, v ops.Type) (y, scores ops.Type, err error) {
	if len(q.Shape) != 4 {
		return y, scores, fmt.Errorf("%w: Q is %v, want 4 dimensions", ops.ErrShape, q)
	}
	if v.DType != q.DType {
		return y, scores, fmt.Errorf("%w: Q is %v but V is %v", ops.ErrDType, q, v)
	}
	types, err := c.scores.Infer([]*ops.Input{{Type: q}, {Type: k}, {Type: v}})
	if err != nil {
		return y, scores, err
	}
	return types[0], ops.Type{DType: c.precisionOf(q.DType), Shape: types[3].Shape}, nil
}

func (c *flexAttention) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	var out, scores *ops.Input
	if q, k, v := in[0], in[1], in[2]; q != nil && k != nil && v != nil {
		y, w, err := c.types(q.Type, k.Type, v.Type)
		if err != nil {
			return nil, err
		}
		out, scores = &ops.Input{Type: y}, &ops.Input{Type: w}
	}
	score, prob := captured(c, in)
	for _, sub := range []struct {
		name     string
		graph    *Graph
		captured []*ops.Input
	}{{"score_mod", c.score, score}, {"prob_mod", c.prob, prob}} {
		if sub.graph == nil {
			continue
		}
		types, err := inf.graph(sub.graph, append([]*ops.Input{scores}, sub.captured...))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sub.name, err)
		}
		got := types[sub.graph.Outputs[0]]
		if scores != nil && got != nil && union(scores, got) == nil {
			return nil, fmt.Errorf("%w: the output of %s is %v, want %v, the type of its input", ops.ErrShape, sub.name, got.Type, scores.Type)
		}
	}
	return []*ops.Input{out}, nil
}

func (c *flexAttention) run(call *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	f := &flexRun{caller: call, flexAttention: c}
	q, k, v := in[0], in[1], in[2]
	want, _, err := c.types(ops.TypeOf(q), ops.TypeOf(k), ops.TypeOf(v))
	if err != nil {
		return nil, err
	}
	if c.score == nil && c.prob == nil {
		return f.compute(c.attention, q, k, v)
	}
	shape, keys, values := q.Shape(), k.Shape(), v.Shape()
	precision := c.precisionOf(q.DType())
	// Values without elements: only the scores are needed.
	none, err := ops.Zeros(v.DType(), []int{keys[0], keys[1], keys[2], 0})
	if err != nil {
		return nil, err
	}
	out, err := f.compute(c.scores, q, k, none)
	if err != nil {
		return nil, err
	}
	score, prob := captured(c, in)
	w := f.converted(out[3], precision)
	w = f.subgraph("score_mod", c.score, w, score)
	w = f.one(c.softmax, w)
	w = f.subgraph("prob_mod", c.prob, w, prob)
	// The heads of Q that share a head of K and V are adjacent.
	rows := 0
	if keys[1] > 0 {
		rows = shape[1] / keys[1] * shape[2]
	}
	w = f.reshaped(w, []int{shape[0], keys[1], rows, keys[2]})
	y := f.converted(f.one(c.matMul, w, f.converted(v, precision)), q.DType())
	y = f.reshaped(y, []int{shape[0], shape[1], shape[2], values[3]})
	if f.err != nil {
		return nil, f.err
	}
	return []*ops.Tensor{y}, want.Check(y)
}

// flexRun is one run of FlexAttention. After an error, which err holds, its methods do nothing.
type flexRun struct {
	*caller
	*flexAttention

	held int64 // bytes of temporary values
	err  error
}

// compute runs an operator.
func (f *flexRun) compute(op ops.Op, in ...*ops.Tensor) ([]*ops.Tensor, error) {
	known := make([]*ops.Input, len(in))
	for i, x := range in {
		known[i] = &ops.Input{Type: ops.TypeOf(x)}
	}
	types, err := op.Infer(known)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if sizes, ok := t.Sizes(); ok {
			n, err := ops.Len(sizes)
			if err != nil {
				return nil, err
			}
			f.held += int64(n) * int64(t.DType.Size())
		}
	}
	if err := f.fits(f.held); err != nil {
		return nil, err
	}
	ctx := &ops.Context{Context: f.ctx, Pool: f.f.p.Pool, Memory: &ops.Memory{Values: f.base + f.held, Limit: f.f.budget.limit}}
	return ops.Run(op, ctx, in)
}

// one runs an operator with one output.
func (f *flexRun) one(op ops.Op, in ...*ops.Tensor) *ops.Tensor {
	if f.err != nil {
		return nil
	}
	var out []*ops.Tensor
	if out, f.err = f.compute(op, in...); f.err != nil {
		return nil
	}
	return out[0]
}

// converted returns a tensor in another element type.
func (f *flexRun) converted(x *ops.Tensor, d ops.DType) *ops.Tensor {
	if f.err != nil || x.DType() == d {
		return x
	}
	return f.one(f.cast[d], x)
}

func (f *flexRun) reshaped(x *ops.Tensor, shape []int) *ops.Tensor {
	if f.err == nil {
		x, f.err = x.Reshaped(shape)
	}
	return x
}

// subgraph returns the output of a subgraph, or its input if there is none.
func (f *flexRun) subgraph(name string, g *Graph, x *ops.Tensor, captured []*ops.Tensor) *ops.Tensor {
	if f.err != nil || g == nil {
		return x
	}
	out, err := f.newFrame(g).runGraph(f.ctx, append([]*ops.Tensor{x}, captured...), f.base+f.held)
	if err == nil {
		err = ops.TypeOf(x).Check(out[0])
	}
	if err != nil {
		f.err = fmt.Errorf("%s: %w", name, err)
		return nil
	}
	f.held += size(out[0])
	return out[0]
}
