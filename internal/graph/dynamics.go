package graph

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Own returns the name of an operator of the domain of this project, "" for other operators.
// The argument has the form of Step.Operator.
func Own(operator string) string {
	name, ok := strings.CutPrefix(operator, sbs.Domain+".")
	if !ok {
		return ""
	}
	return name
}

// IsSbS reports whether an operator is SbS or SbSFullLayer, the operators with sbs.Params. The
// argument has the form of Step.Operator.
func IsSbS(operator string) bool { return sbs.Spiking(Own(operator)) }

// isSbS reports whether a node is an SbS node.
func isSbS(n *onnxpb.NodeProto) bool {
	return domainOf(n.GetDomain()) == sbs.Domain && sbs.Spiking(n.GetOpType())
}

// LayerOf splits the name of a node: "L3/SbS" belongs to layer "L3" and is of kind
// "SbS".
func LayerOf(node string) (layer, kind string) {
	layer, rest, _ := strings.Cut(node, "/")
	kind, _, _ = strings.Cut(rest, "/")
	return layer, kind
}

// MatchLayer reports whether a name selects a node: either the name of the node, such as
// "L3/SbS", or the name of its layer, "L3".
func MatchLayer(name, node string) bool {
	layer, _ := LayerOf(node)
	return name == node || name == layer
}

// IsZero reports whether nothing is set in d.
func (d *Dynamics) IsZero() bool {
	return d.All == sbs.Dynamics{} && len(d.Each) == 0 && len(d.Layers) == 0
}

// of returns the dynamics of the SbS node with the given index and name. It adds the keys
// of Layers that select the node to used.
func (d *Dynamics) of(index int, node string, used map[string]bool) sbs.Dynamics {
	result := d.All
	if index < len(d.Each) {
		result = d.Each[index].Over(result)
	}
	layer, _ := LayerOf(node)
	for _, name := range []string{layer, node} {
		if l, ok := d.Layers[name]; ok {
			result = l.Over(result)
			used[name] = true
		}
	}
	return result
}

// check returns an error if a key of Layers is not in used, or Each does not have one entry
// per SbS node. nodes are the names of these nodes.
func (d *Dynamics) check(used map[string]bool, nodes []string) error {
	names := strings.Join(nodes, ", ")
	if n := len(d.Each); n > 0 && len(nodes) > 0 && n != len(nodes) {
		return fmt.Errorf("%w: there are values for %d SbS layers, but the model has %d: %s", ErrOption, n, len(nodes), names)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Layers)) {
		switch {
		case used[name]:
		case len(nodes) == 0:
			return fmt.Errorf("%w: there is no SbS layer %q: the model has no SbS operator", ErrOption, name)
		default:
			return fmt.Errorf("%w: there is no SbS layer %q; the SbS layers of the model are %s", ErrOption, name, names)
		}
	}
	return nil
}

// epsilonXYOf returns the name of the epsilon_xy of an SbS node, and "" if it has none.
func epsilonXYOf(n *onnxpb.NodeProto) string {
	const input = 2
	if in := n.GetInput(); len(in) > input {
		return in[input]
	}
	return ""
}

// epsilonXY returns the epsilon_xy of an SbS node.
func (s *scope) epsilonXY(n *onnxpb.NodeProto) epsilonXY {
	name := epsilonXYOf(n)
	slot, ok := s.slots[name]
	if name == "" || ok && slot < 0 {
		return epsilonXY{}
	}
	t := s.g.Consts[slot]
	return epsilonXY{tensor: t, computed: !ok || t == nil}
}

// initialEpsilonXY returns the epsilon_xy of an SbS node in the message of a model.
func initialEpsilonXY(pb *onnxpb.ModelProto, n *onnxpb.NodeProto) (epsilonXY, error) {
	name := epsilonXYOf(n)
	if name == "" {
		return epsilonXY{}, nil
	}
	for _, p := range pb.GetGraph().GetInitializer() {
		if p.GetName() != name {
			continue
		}
		shape, data, err := onnx.TensorData(context.Background(), p)
		if err != nil {
			return epsilonXY{}, err
		}
		t, err := ops.FromSlice(shape, data)
		return epsilonXY{tensor: t}, err
	}
	return epsilonXY{computed: true}, nil
}

// setDynamics applies the options to the attributes of an SbS node with the given operator and
// epsilon_xy, and lists the node.
func (k *compiler) setDynamics(attrs ops.Attributes, node, operator string, xy epsilonXY) error {
	d := k.Dynamics.of(len(k.p.sbsNodes), node, k.layers)
	before, _ := sbs.ParamsOf(attrs)
	if err := change(attrs, d, xy); err != nil {
		return err
	}
	k.p.sbsNodes = append(k.p.sbsNodes, node)
	if p, err := sbs.ParamsOf(attrs); err == nil { // or else binding reports the error
		if sbs.TooFewSpikes(before, p) {
			k.fewSpikes = append(k.fewSpikes, fmt.Sprintf("%s draws %d spikes instead of %d", node, p.Spikes, before.Spikes))
		}
		k.p.SbSLayers = append(k.p.SbSLayers, SbSLayer{
			Name: node, Spikes: p.Spikes, Sampler: p.Sampler, Epsilon0: p.Epsilon0, FullLayer: operator == sbs.OpFullLayer,
		})
	}
	return nil
}

// changedOps returns the operators of the SbS steps whose dynamics a run changes.
func (p *Program) changedOps(d *Dynamics) (map[*Step]*changedOp, error) {
	switch functions := len(p.sbsNodes) - len(p.sbsSteps); {
	case d.IsZero():
		return nil, nil
	case len(p.sbsNodes) == 0:
		return nil, fmt.Errorf("%w: the model has no SbS operator whose spikes, sampler, epsilon_0 or schedule a run can change", ErrOption)
	case functions > 0:
		return nil, fmt.Errorf("%w: %d of the %d SbS nodes run as functions, whose spikes, sampler, epsilon_0 and schedule a run cannot change: "+
			"set them when opening the model", ErrOption, functions, len(p.sbsNodes))
	}
	changed, used := map[*Step]*changedOp{}, map[string]bool{}
	for _, s := range p.sbsSteps {
		layer := d.of(s.sbsIndex, s.Name, used)
		if (layer == sbs.Dynamics{}) {
			continue
		}
		var err error
		if changed[s], err = p.variants.get(s, layer); err != nil {
			return nil, err
		}
	}
	return changed, d.check(used, p.sbsNodes)
}

// setDynamics changes the attributes of an SbS node in the message of a model.
func setDynamics(pb *onnxpb.ModelProto, n *onnxpb.NodeProto, attrs ops.Attributes, d sbs.Dynamics) error {
	before, _ := sbs.ParamsOf(attrs) // change and Compile report errors
	var xy epsilonXY
	if d.Auto() {
		var err error
		if xy, err = initialEpsilonXY(pb, n); err != nil {
			return err
		}
	}
	if err := change(attrs, d, xy); err != nil {
		return err
	}
	// The definition of the operator in standard operators has one sampler only. Without
	// the definition, another runtime refuses the model instead of drawing other spikes.
	if after, _ := sbs.ParamsOf(attrs); before.Sampler != after.Sampler {
		pb.Functions = slices.DeleteFunc(pb.GetFunctions(), func(f *onnxpb.FunctionProto) bool {
			return domainOf(f.GetDomain()) == sbs.Domain && f.GetName() == n.GetOpType()
		})
	}
	n.Attribute = nil
	return onnx.SetAttributes(n, attrs)
}

// SetDynamics changes the attributes of the SbS nodes in the message of a model. If a
// sampler changes, it removes the definition of the SbS operator in standard operators. It
// does not change SbS nodes in subgraphs, which cannot be trained, and returns an error if
// a function has SbS nodes.
func SetDynamics(pb *onnxpb.ModelProto, d Dynamics) error {
	if d.IsZero() {
		return nil
	}
	var names []string
	used := map[string]bool{}
	for i, n := range pb.GetGraph().GetNode() {
		if !isSbS(n) {
			continue
		}
		name := nodeName(n, i)
		names = append(names, name)
		attrs, err := onnx.Attributes(n)
		if err != nil {
			return &ops.NodeError{Node: name, Operator: sbs.Domain + "." + n.GetOpType(), Err: err}
		}
		if err := setDynamics(pb, n, attrs, d.of(len(names)-1, name, used)); err != nil {
			return &ops.NodeError{Node: name, Operator: sbs.Domain + "." + n.GetOpType(), Err: err}
		}
	}
	for _, f := range pb.GetFunctions() {
		if slices.ContainsFunc(f.GetNode(), isSbS) {
			return fmt.Errorf("%w: function %q has SbS nodes, whose spikes, sampler, epsilon_0 and schedule cannot be set: "+
				"set them when converting the model", ErrOption, f.GetName())
		}
	}
	if err := d.check(used, names); err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: the model has no SbS operator whose spikes, sampler, epsilon_0 or schedule could be set", ErrOption)
	}
	return nil
}
