package convert

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// NNMF is a layer of non-negative matrix factorization: NNMF or BP SBS NNMF of PyTorch-SbS.
// sbs.NNMFParams documents what it computes.
type NNMF struct {
	Window

	// Weights has shape (K, N) with K = input channels * kernel height * kernel width
	// and N neurons, type float32. The entries are finite and at least 0.
	Weights *ops.Tensor

	Iterations int     // number of updates of h, at least 1
	Epsilon0   float32 // step size of the additive update, up to 1e4; 0 or less selects the multiplicative update

	// TinySum and TinyReconstruction keep quotients defined. 0 means 1e-20, as in PyTorch-SbS.
	TinySum, TinyReconstruction float32

	// Gradient selects the gradient of the training: of the whole loop (NNMF), or the closed
	// form of SbS layers (BP SBS NNMF). Empty means sbs.GradientLoop. It does not change what
	// the layer computes.
	Gradient sbs.NNMFGradient
}

const (
	kindNNMF      = "NNMF"
	kindBPSbSNNMF = "BPSbSNNMF"
)

// Kind implements Layer.
func (l *NNMF) Kind() string {
	if l.Gradient == sbs.GradientClosedForm {
		return kindBPSbSNNMF
	}
	return kindNNMF
}

func (*NNMF) operator() string { return sbs.OpNNMF }

// Output implements Layer.
func (l *NNMF) Output(in Size) (Size, error) { return windowOutput(l.Window, l.Weights, in) }

func (l *NNMF) params() sbs.NNMFParams {
	return sbs.NNMFParams{
		Kernel: l.Kernel, Strides: l.Strides, Dilations: l.Dilations, Pads: [4]int{l.Pads[0], l.Pads[1], l.Pads[0], l.Pads[1]},
		Iterations: l.Iterations, Epsilon0: l.Epsilon0,
		TinySum: l.TinySum, TinyReconstruction: l.TinyReconstruction, Gradient: l.Gradient,
	}
}

// setParams sets the fields from attributes. Defaults become zero values.
func (l *NNMF) setParams(a ops.Attributes) error {
	p, err := sbs.NNMFParamsOf(a)
	if err != nil {
		return err
	}
	if p.Pads[0] != p.Pads[2] || p.Pads[1] != p.Pads[3] {
		return fmt.Errorf("%w: pads are %v", ErrNotConverted, p.Pads)
	}
	l.Window = Window{Kernel: p.Kernel, Strides: p.Strides, Dilations: p.Dilations, Pads: [2]int{p.Pads[0], p.Pads[1]}}
	l.Iterations, l.Epsilon0 = p.Iterations, p.Epsilon0
	if p.TinySum != tinySum {
		l.TinySum = p.TinySum
	}
	if p.TinyReconstruction != tinySum {
		l.TinyReconstruction = p.TinyReconstruction
	}
	if p.Gradient != sbs.GradientLoop {
		l.Gradient = p.Gradient
	}
	return nil
}

func (l *NNMF) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	attrs := l.params().Attributes()
	if _, err := sbs.NNMFParamsOf(attrs); err != nil {
		return value{}, err
	}
	weights := w.tensor("W", l.Weights)
	doc := fmt.Sprintf("Non-negative matrix factorization: %v in, %v out, %d iterations.", in.size, out, l.Iterations)
	if w.options.Body != BodyInline {
		return w.add(nodeSpec{op: sbs.OpNNMF, domain: sbs.Domain, inputs: []string{in.name, weights}, attrs: attrs, doc: doc}, out), nil
	}
	b := &body{own: attrs, w: w, sizes: w.sizes(in.size, out, l.Kernel)}
	name := b.writeNNMF(in.name, weights)
	w.graph.Node[len(w.graph.Node)-1].DocString = doc
	return value{name, out}, b.err
}

// readNNMF reads a layer that write wrote.
func readNNMF(r *reader, kind string) (*NNMF, error) {
	l := &NNMF{}
	var err error
	if n := r.nodes[r.name("")]; n != nil && n.GetDomain() == sbs.Domain {
		n, attrs, err := r.node("")
		if err != nil {
			return nil, err
		}
		if l.Weights, err = r.input(n, 1); err != nil {
			return nil, err
		}
		return l, l.setParams(attrs)
	}
	if l.Weights, err = r.floats("W"); err != nil {
		return nil, err
	}
	_, attrs, err := r.node(stepPatches)
	if err != nil {
		return nil, err
	}
	iterations, err := r.int(sbs.AttrIterations, false)
	if err != nil {
		return nil, err
	}
	attrs[sbs.AttrIterations] = int64(iterations)
	for _, name := range []string{sbs.AttrEpsilon0, sbs.AttrTinySum, sbs.AttrTinyReconstruction} {
		if attrs[name], err = r.float(name, nil); err != nil {
			return nil, err
		}
	}
	if kind == kindBPSbSNNMF {
		attrs[sbs.AttrGradient] = string(sbs.GradientClosedForm)
	}
	maps.DeleteFunc(attrs, func(name string, _ any) bool { _, ok := nnmfTypes[name]; return !ok })
	return l, l.setParams(attrs)
}

// nnmfTypes are the types of the attributes of an NNMF node.
var nnmfTypes = windowTypes.with(attributeTypes{
	sbs.AttrIterations: onnxpb.AttributeProto_INT, sbs.AttrEpsilon0: onnxpb.AttributeProto_FLOAT,
	sbs.AttrTinySum: onnxpb.AttributeProto_FLOAT, sbs.AttrTinyReconstruction: onnxpb.AttributeProto_FLOAT,
	sbs.AttrGradient: onnxpb.AttributeProto_STRING,
})

// nnmfFunction returns the NNMF operator as a function of standard operators.
func nnmfFunction() (*onnxpb.FunctionProto, error) {
	b := &body{types: nnmfTypes}
	out := b.writeNNMF("X", "W")
	if b.err != nil {
		return nil, fmt.Errorf("convert: function body: %w", b.err)
	}
	return &onnxpb.FunctionProto{
		Name: sbs.OpNNMF, Domain: sbs.Domain, Input: []string{"X", "W"}, Output: []string{out}, Node: b.nodes,
		Attribute:   slices.Sorted(maps.Keys(nnmfTypes)),
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: opsetVersion}},
		DocString: "Non-negative matrix factorization in standard operators: X (batch, channels, height, width) and W (K, N) to h " +
			"(batch, N, output height, output width).",
	}, nil
}

// writeNNMF writes the body and returns the name of its output. As in the body of an SbS layer, one
// dimension, Q, holds all output positions of all images: p~ is (Q, K) and h is (Q, N). The names
// of the steps are those of sbs.NNMFParams.
func (b *body) writeNNMF(x, weights string) string {
	z := &b.sizes
	k := b.shapeOf("K", weights, 0, 1, z.k)
	n := b.shapeOf("N", weights, 1, 2, z.n)
	p, grid, _ := b.patches(x, k, b.identity())
	q := b.shapeOf("Q", p, 1, 2, z.positions)
	matrix := ops.Attributes{"perm": []int64{1, 0}}
	tinySum := b.attributeFloats(sbs.AttrTinySum)

	total := b.add("P", "ReduceSum", float(one, z.positions), ops.Attributes{"keepdims": int64(1)}, p, b.ints("over_entries", 0))
	alive := b.alive(total)
	divisor := b.add("P_and_tiny", "Add", float(one, z.positions), nil, total, tinySum)
	p = b.add("p_divided", "Div", float(z.k, z.positions), nil, p, divisor)
	p = b.add("p_of_position", "Transpose", float(z.positions, z.k), matrix, p)
	transposed := b.add("W_transposed", "Transpose", float(z.n, z.k), matrix, weights)

	// z = keep*h + scale*u
	epsilon, none := b.attributeFloats(sbs.AttrEpsilon0), b.float("none", 0)
	additive := b.add("is_additive", "Greater", boolean(), nil, epsilon, none)
	keep := b.add("keep", "Cast", float(), ops.Attributes{"to": int64(ops.Float32)}, additive)
	scale := b.add("scale", "Where", float(), nil, additive, epsilon, b.float("unit", 1))

	uniform, initial := b.initial(q, n)
	tiny, neurons := b.attributeFloats(sbs.AttrTinyReconstruction), b.ints("over_neurons", -1)
	state := append(b.loopState("iteration", "on"), b.inside("h_now", ops.Float32))
	loop := b.graph("iteration", state, func() []*onnxpb.ValueInfoProto {
		add := func(step, op string, attrs ops.Attributes, in ...string) string {
			return b.add(step, op, shaped{}, attrs, in...)
		}
		h := b.step("h_now")
		r := add("R_and_tiny", "Add", nil, add("R", "MatMul", nil, h, transposed), tiny)
		v := add("v", "MatMul", nil, add("s", "Div", nil, p, r), weights)
		kept := add("h_kept", "Mul", nil, h, keep)
		grown := add("z", "Add", nil, kept, add("u_scaled", "Mul", nil, add("u", "Mul", nil, h, v), scale))
		sum := add("z_sum", "ReduceSum", ops.Attributes{"keepdims": int64(1)}, grown, neurons)
		add("h_next", "Div", nil, grown, add("z_sum_and_tiny", "Add", nil, sum, tinySum))
		add("on_next", "Identity", nil, b.step("on"))
		return []*onnxpb.ValueInfoProto{b.inside("on_next", ops.Bool), b.inside("h_next", ops.Float32)}
	})
	h := b.add("h_final", "Loop", float(z.positions, z.n), ops.Attributes{"body": loop}, b.attributeInt(sbs.AttrIterations), "", initial)
	b.explain("Updates h once in each iteration.")
	h = b.grid(b.add("h_alive", "Where", float(z.positions, z.n), nil, alive, h, uniform), grid, n)
	return b.last("Transpose", float(z.batch, z.n, z.oh, z.ow), ops.Attributes{"perm": []int64{0, 3, 1, 2}}, h)
}
