package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// SbSOperator is the name of the SbS operator with its domain, as in Step.Operator.
const SbSOperator = sbs.Domain + ".SbS"

// isSbS reports whether a node is an SbS node.
func isSbS(n *onnxpb.NodeProto) bool {
	return domainOf(n.GetDomain()) == sbs.Domain && n.GetOpType() == "SbS"
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

// dynamicsOf returns the dynamics of a node. The entry of layers for the node takes
// precedence over the entry for its layer, which takes precedence over all. dynamicsOf
// adds the keys of these entries to used.
func dynamicsOf(all sbs.Dynamics, layers map[string]sbs.Dynamics, node string, used map[string]bool) sbs.Dynamics {
	layer, _ := LayerOf(node)
	d := all
	for _, name := range []string{layer, node} {
		if l, ok := layers[name]; ok {
			d = l.Over(d)
			used[name] = true
		}
	}
	return d
}

// setDynamics applies the options to the attributes of an SbS node, and lists the node.
func (k *compiler) setDynamics(attrs ops.Attributes, node string) error {
	d := dynamicsOf(k.Dynamics, k.Layers, node, k.layers)
	if err := change(attrs, d); err != nil {
		return err
	}
	k.p.sbsNodes = append(k.p.sbsNodes, node)
	if p, err := sbs.ParamsOf(attrs); err == nil { // or else binding reports the error
		k.p.SbSLayers = append(k.p.SbSLayers, SbSLayer{Name: node, Spikes: p.Spikes, Sampler: p.Sampler, Epsilon0: p.Epsilon0})
	}
	return nil
}

// checkUsed returns an error if a key of layers is not in used. nodes are the names of the
// SbS nodes of the model.
func checkUsed(layers map[string]sbs.Dynamics, used map[string]bool, nodes []string) error {
	for _, name := range slices.Sorted(maps.Keys(layers)) {
		switch {
		case used[name]:
		case len(nodes) == 0:
			return fmt.Errorf("%w: there is no SbS layer %q: the model has no SbS operator", ErrOption, name)
		default:
			return fmt.Errorf("%w: there is no SbS layer %q; the SbS layers of the model are %s", ErrOption, name, strings.Join(nodes, ", "))
		}
	}
	return nil
}

// changedOps returns the operators of the SbS steps whose dynamics a run changes.
func (p *Program) changedOps(all sbs.Dynamics, layers map[string]sbs.Dynamics) (map[*Step]*changedOp, error) {
	switch functions := len(p.sbsNodes) - len(p.sbsSteps); {
	case all == sbs.Dynamics{} && len(layers) == 0:
		return nil, nil
	case len(p.sbsNodes) == 0:
		return nil, fmt.Errorf("%w: the model has no SbS operator whose spikes, sampler, epsilon_0 or schedule a run can change", ErrOption)
	case functions > 0:
		return nil, fmt.Errorf("%w: %d of the %d SbS nodes run as functions, whose spikes, sampler, epsilon_0 and schedule a run cannot change: "+
			"set them when opening the model", ErrOption, functions, len(p.sbsNodes))
	}
	changed, used := map[*Step]*changedOp{}, map[string]bool{}
	for _, s := range p.sbsSteps {
		d := dynamicsOf(all, layers, s.Name, used)
		if (d == sbs.Dynamics{}) {
			continue
		}
		var err error
		if changed[s], err = p.variants.get(s, d); err != nil {
			return nil, err
		}
	}
	return changed, checkUsed(layers, used, p.sbsNodes)
}

// setDynamics changes the attributes of an SbS node in the message of a model.
func setDynamics(pb *onnxpb.ModelProto, n *onnxpb.NodeProto, attrs ops.Attributes, d sbs.Dynamics) error {
	before, _ := sbs.ParamsOf(attrs) // change and Compile report errors
	if err := change(attrs, d); err != nil {
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
func SetDynamics(pb *onnxpb.ModelProto, all sbs.Dynamics, layers map[string]sbs.Dynamics) error {
	if (all == sbs.Dynamics{}) && len(layers) == 0 {
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
			return &ops.NodeError{Node: name, Operator: SbSOperator, Err: err}
		}
		if err := setDynamics(pb, n, attrs, dynamicsOf(all, layers, name, used)); err != nil {
			return &ops.NodeError{Node: name, Operator: SbSOperator, Err: err}
		}
	}
	for _, f := range pb.GetFunctions() {
		if slices.ContainsFunc(f.GetNode(), isSbS) {
			return fmt.Errorf("%w: function %q has SbS nodes, whose spikes, sampler, epsilon_0 and schedule cannot be set: "+
				"set them when converting the model", ErrOption, f.GetName())
		}
	}
	if err := checkUsed(layers, used, names); err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: the model has no SbS operator whose spikes, sampler, epsilon_0 or schedule could be set", ErrOption)
	}
	return nil
}
