package runtime

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/ops/std"
)

// Versions of the operator sets that the operators implement.
const (
	minOpset = 1
	maxOpset = 17
)

type opKey struct{ domain, name string }

func operators() map[opKey]ops.Operator {
	set := map[opKey]ops.Operator{}
	for _, o := range append(std.Operators(), sbs.Operator()) {
		set[opKey{o.Domain, o.Name}] = o
	}
	return set
}

// compiler turns a graph into a Model.
type compiler struct {
	config
	m         *Model
	operators map[opKey]ops.Operator
	opsets    map[string]int
	slots     map[string]int   // by the name of a value
	types     map[int]ops.Type // by slot
}

func compile(pb *onnxpb.ModelProto, c config) (*Model, error) {
	k := &compiler{
		config: c,
		m: &Model{
			inputSlots: map[string]int{}, consts: map[int]*ops.Tensor{},
			metadata: map[string]string{}, pool: parallel.New(c.workers),
			memoryLimit: c.memoryLimit, frames: sync.Pool{New: func() any { return new(frame) }},
		},
		operators: operators(), opsets: map[string]int{}, slots: map[string]int{}, types: map[int]ops.Type{},
	}
	for _, p := range pb.GetMetadataProps() {
		k.m.metadata[p.GetKey()] = p.GetValue()
	}
	if err := k.readOpsets(pb.GetOpsetImport()); err != nil {
		return nil, err
	}
	g := pb.GetGraph()
	if len(g.GetSparseInitializer()) > 0 {
		return nil, errors.New("sparse initializers are not supported")
	}
	for _, f := range []func(*onnxpb.GraphProto) error{k.readInitializers, k.readInputs, k.readNodes, k.readOutputs} {
		if err := f(g); err != nil {
			return nil, err
		}
	}
	k.planMemory()
	return k.m, nil
}

func (k *compiler) readOpsets(imports []*onnxpb.OperatorSetIdProto) error {
	for _, o := range imports {
		domain, v := domainOf(o.GetDomain()), o.GetVersion()
		switch {
		case domain == "" && (v < minOpset || v > maxOpset):
			return fmt.Errorf("it uses version %d of the standard operators, known are %d to %d", v, minOpset, maxOpset)
		case domain == sbs.Domain && v != sbs.Version:
			return fmt.Errorf("it uses version %d of the operators of %s, known is %d", v, domain, sbs.Version)
		case v < 0 || v > 1<<20:
			return fmt.Errorf("it uses version %d of the operators of %q", v, domain)
		}
		k.opsets[domain] = int(v)
	}
	return nil
}

// domainOf maps the two names of the standard domain to one.
func domainOf(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// define gives a new value a slot.
func (k *compiler) define(name string, t ops.Type) (int, error) {
	if name == "" {
		return 0, errors.New("a value has no name")
	}
	if _, ok := k.slots[name]; ok {
		return 0, fmt.Errorf("two values are named %q", name)
	}
	return k.add(name, t), nil
}

// defineOutput is define for the output of a node, which may be an omitted one.
func (k *compiler) defineOutput(name string, t ops.Type) (int, error) {
	if name == "" {
		return k.add("", t), nil
	}
	return k.define(name, t)
}

func (k *compiler) add(name string, t ops.Type) int {
	slot := len(k.m.names)
	k.m.names = append(k.m.names, name)
	k.types[slot] = t
	if name != "" {
		k.slots[name] = slot
	}
	return slot
}

func (k *compiler) readInitializers(g *onnxpb.GraphProto) error {
	for _, p := range g.GetInitializer() {
		t, err := tensorOf(p)
		if err != nil {
			return err
		}
		slot, err := k.define(p.GetName(), ops.TypeOf(t))
		if err != nil {
			return fmt.Errorf("initializers: %w", err)
		}
		k.m.consts[slot] = t
	}
	return nil
}

func tensorOf(p *onnxpb.TensorProto) (*ops.Tensor, error) {
	shape, data, err := onnx.TensorData(p)
	if err != nil {
		return nil, err
	}
	return ops.FromSlice(shape, data)
}

func (k *compiler) readInputs(g *onnxpb.GraphProto) error {
	for _, in := range g.GetInput() {
		if _, ok := k.slots[in.GetName()]; ok {
			continue // files of IR version 3 list initializers as inputs
		}
		t, err := typeOf(in)
		if err != nil {
			return fmt.Errorf("input %q: %w", in.GetName(), err)
		}
		slot, err := k.define(in.GetName(), t)
		if err != nil {
			return fmt.Errorf("inputs: %w", err)
		}
		k.m.inputs = append(k.m.inputs, ValueInfo{in.GetName(), t})
		k.m.inputSlots[in.GetName()] = slot
	}
	k.m.firstComputed = len(k.m.names)
	return nil
}

func typeOf(v *onnxpb.ValueInfoProto) (ops.Type, error) {
	tt := v.GetType().GetTensorType()
	if tt == nil || tt.GetShape() == nil {
		return ops.Type{}, errors.New("it is not a tensor of known rank, and anything else is not supported")
	}
	t := ops.Type{DType: ops.DType(tt.GetElemType())}
	if t.DType.Size() == 0 {
		return t, fmt.Errorf("%v is not supported", t.DType)
	}
	for _, d := range tt.GetShape().GetDim() {
		switch v := d.GetValue().(type) {
		case *onnxpb.TensorShapeProto_Dimension_DimValue:
			if v.DimValue < 0 || v.DimValue > ops.MaxElements {
				return t, fmt.Errorf("%w: a dimension is %d", ops.ErrShape, v.DimValue)
			}
			t.Shape = append(t.Shape, ops.Dim{Size: int(v.DimValue)})
		default:
			t.Shape = append(t.Shape, ops.Dim{Size: -1, Symbol: d.GetDimParam()})
		}
	}
	return t, nil
}

func (k *compiler) readNodes(g *onnxpb.GraphProto) error {
	for i, n := range g.GetNode() {
		name := n.GetName()
		if name == "" && len(n.GetOutput()) > 0 {
			name = n.GetOutput()[0]
		}
		if name == "" {
			name = fmt.Sprintf("#%d", i)
		}
		operator := n.GetOpType()
		if d := domainOf(n.GetDomain()); d != "" {
			operator = d + "." + operator
		}
		s := step{name: name, operator: operator}
		if err := k.readNode(n, &s); err != nil {
			return &NodeError{Node: name, Operator: operator, Err: err}
		}
		if s.op != nil {
			k.m.steps = append(k.m.steps, s)
		}
	}
	return nil
}

func (k *compiler) readNode(n *onnxpb.NodeProto, s *step) error {
	domain := domainOf(n.GetDomain())
	o, ok := k.operators[opKey{domain, n.GetOpType()}]
	if !ok {
		return fmt.Errorf("%w: this runtime has no operator of this name", ErrUnknownOperator)
	}
	opset, ok := k.opsets[domain]
	if !ok {
		return fmt.Errorf("the model does not say which version of the operators of domain %q it uses", domain)
	}
	names := trimmed(n.GetInput())
	if len(names) < o.MinInputs || o.MaxInputs != ops.Variadic && len(names) > o.MaxInputs {
		return fmt.Errorf("it has %d inputs, want %s", len(names), countRange(o.MinInputs, o.MaxInputs))
	}
	outputs := trimmed(n.GetOutput())
	if len(outputs) < o.MinOutputs || o.MaxOutputs != ops.Variadic && len(outputs) > o.MaxOutputs {
		return fmt.Errorf("it has %d outputs, want %s", len(outputs), countRange(o.MinOutputs, o.MaxOutputs))
	}
	attrs, err := k.attributes(n)
	if err != nil {
		return err
	}
	if s.op, err = o.New(ops.Node{Name: s.name, Attributes: attrs, Opset: opset, NumInputs: len(names), NumOutputs: len(outputs)}); err != nil {
		return err
	}
	inputs := make([]*ops.Input, len(names))
	for i, name := range names {
		slot, ok := k.slots[name]
		switch {
		case name == "" && i < o.MinInputs:
			return fmt.Errorf("input %d is missing", i)
		case name == "":
			slot = -1
		case !ok:
			return fmt.Errorf("input %d, %q, is neither an input of the model, nor an initializer, nor an output of a node before it", i, name)
		default:
			inputs[i] = &ops.Input{Type: k.types[slot], Const: k.m.consts[slot]}
		}
		s.inputs = append(s.inputs, slot)
	}
	types, err := s.op.Infer(inputs)
	if err != nil {
		return err
	}
	folded, err := fold(s.op, k.withoutWeights(inputs, s.inputs), len(types))
	if err != nil {
		return err
	}
	for i, name := range outputs {
		slot, err := k.defineOutput(name, types[i])
		if err != nil {
			return err
		}
		s.outputs = append(s.outputs, slot)
		if folded != nil {
			k.m.consts[slot] = folded[i]
			k.types[slot] = ops.TypeOf(folded[i])
			s.op = nil // there is nothing left to do
		}
	}
	return nil
}

// trimmed returns names without the omitted ones at the end, which need not be
// written.
func trimmed(names []string) []string {
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	return names
}

func countRange(lo, hi int) string {
	switch hi {
	case lo:
		return fmt.Sprint(lo)
	case ops.Variadic:
		return fmt.Sprintf("at least %d", lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// attributes returns a node's attributes with what the options change.
func (k *compiler) attributes(n *onnxpb.NodeProto) (ops.Attributes, error) {
	raw, err := onnx.Attributes(n)
	if err != nil {
		return nil, err
	}
	attrs := ops.Attributes(raw)
	for name, v := range attrs {
		if p, ok := v.(*onnxpb.TensorProto); ok {
			if attrs[name], err = tensorOf(p); err != nil {
				return nil, fmt.Errorf("attribute %s: %w", name, err)
			}
		}
	}
	if domainOf(n.GetDomain()) == sbs.Domain {
		k.replace(attrs)
	}
	return attrs, nil
}

// replace changes the attributes of an SbS node as the options say.
func (c config) replace(attrs ops.Attributes) {
	if c.spikes > 0 {
		attrs[sbs.AttrSpikes] = int64(c.spikes)
	}
	if c.sampler != "" {
		attrs[sbs.AttrSampler] = string(c.sampler)
	}
	if c.epsilon0 != nil {
		attrs[sbs.AttrEpsilon0] = *c.epsilon0
	}
	if c.schedule != nil {
		// A number of spikes out of bounds is reported when the node is made.
		if n, err := ops.Attr[int64](attrs, sbs.AttrSpikes, 0); err == nil && n > 0 && n <= sbs.MaxSpikes {
			attrs[sbs.AttrEpsilonT] = c.schedule.EpsilonT(int(n))
		}
	}
}

func (k *compiler) readOutputs(g *onnxpb.GraphProto) error {
	if len(g.GetOutput()) == 0 {
		return errors.New("it has no output")
	}
	for _, out := range g.GetOutput() {
		slot, ok := k.slots[out.GetName()]
		if !ok {
			return fmt.Errorf("output %q is not computed by any node", out.GetName())
		}
		if slices.Contains(k.m.outputSlots, slot) {
			return fmt.Errorf("two outputs are named %q", out.GetName())
		}
		// The declared type may be vaguer than the inferred one, not different.
		if out.GetType() != nil {
			t, err := typeOf(out)
			if err == nil {
				err = agree(t, k.types[slot])
			}
			if err != nil {
				return fmt.Errorf("output %q: %w", out.GetName(), err)
			}
		}
		k.m.outputs = append(k.m.outputs, ValueInfo{out.GetName(), k.types[slot]})
		k.m.outputSlots = append(k.m.outputSlots, slot)
	}
	return nil
}

func agree(declared, inferred ops.Type) error {
	ok := declared.DType == inferred.DType && len(declared.Shape) == len(inferred.Shape)
	for i := 0; ok && i < len(declared.Shape); i++ {
		d, f := declared.Shape[i], inferred.Shape[i]
		ok = !d.Known() || !f.Known() || d.Size == f.Size
	}
	if !ok {
		return fmt.Errorf("%w: declared %v, but it is %v", ops.ErrShape, declared, inferred)
	}
	return nil
}

// planMemory notes after which step each value is needed no more.
func (k *compiler) planMemory() {
	used := map[int]bool{}
	for _, s := range k.m.outputSlots {
		used[s] = true
	}
	for i := len(k.m.steps) - 1; i >= 0; i-- {
		s := &k.m.steps[i]
		for _, slot := range append(slices.Clone(s.inputs), s.outputs...) {
			if slot >= 0 && !used[slot] {
				used[slot] = true
				s.free = append(s.free, slot)
			}
		}
	}
}
