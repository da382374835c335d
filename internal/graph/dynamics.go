package graph

import (
	"fmt"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// SbSOperator is the name of the SbS operator with its domain, as in Step.Operator.
const SbSOperator = sbs.Domain + ".SbS"

// LayerOf splits the name of a node: "L3/SbS" belongs to layer "L3" and is of kind
// "SbS".
func LayerOf(node string) (layer, kind string) {
	layer, rest, _ := strings.Cut(node, "/")
	kind, _, _ = strings.Cut(rest, "/")
	return layer, kind
}

// MatchLayer reports whether a name means a node: it is the node's name, such as
// "L3/SbS", or the name of its layer, "L3".
func MatchLayer(name, node string) bool {
	layer, _ := LayerOf(node)
	return name == node || name == layer
}

// dynamicsOf returns the dynamics of a node. Those of the node take precedence over
// those of its layer, and these over those of all layers. used gets the keys of layers
// that mean the node.
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

// setDynamics changes the attributes of an SbS node as the options say.
func (k *compiler) setDynamics(attrs ops.Attributes, node string) {
	k.p.sbsNodes = append(k.p.sbsNodes, node)
	dynamicsOf(k.Dynamics, k.Layers, node, k.layers).Change(attrs)
}

func (p *Program) noLayer(name string) error {
	if len(p.sbsNodes) == 0 {
		return fmt.Errorf("%w: there is no SbS layer %q: the model has no SbS operator", ErrOption, name)
	}
	return fmt.Errorf("%w: there is no SbS layer %q; the SbS layers of the model are %s", ErrOption, name, strings.Join(p.sbsNodes, ", "))
}

// changedOps returns the operators of the SbS steps whose dynamics a run changes.
func (p *Program) changedOps(all sbs.Dynamics, layers map[string]sbs.Dynamics) (map[*Step]ops.Op, error) {
	if (all == sbs.Dynamics{}) && len(layers) == 0 {
		return nil, nil
	}
	if len(p.sbsSteps) < len(p.sbsNodes) || len(p.sbsNodes) == 0 {
		return nil, fmt.Errorf("%w: a run can change the dynamics of SbS operators only: the model has %d SbS nodes, "+
			"of which %d are functions (set their dynamics when opening the model)", ErrOption, len(p.sbsNodes), len(p.sbsNodes)-len(p.sbsSteps))
	}
	changed, used := map[*Step]ops.Op{}, map[string]bool{}
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
	for name := range layers {
		if !used[name] {
			return nil, p.noLayer(name)
		}
	}
	return changed, nil
}

// SetDynamics changes the SbS nodes of the message of a model, outside of subgraphs and
// functions.
func SetDynamics(pb *onnxpb.ModelProto, all sbs.Dynamics, layers map[string]sbs.Dynamics) error {
	if (all == sbs.Dynamics{}) && len(layers) == 0 {
		return nil
	}
	names, used := []string{}, map[string]bool{}
	for i, n := range pb.GetGraph().GetNode() {
		if domainOf(n.GetDomain()) != sbs.Domain {
			continue
		}
		name := nodeName(n, i)
		names = append(names, name)
		attrs, err := onnx.Attributes(n)
		if err != nil {
			return &NodeError{Node: name, Operator: SbSOperator, Err: err}
		}
		dynamicsOf(all, layers, name, used).Change(attrs)
		n.Attribute = nil
		if err := onnx.SetAttributes(n, attrs); err != nil {
			return &NodeError{Node: name, Operator: SbSOperator, Err: err}
		}
	}
	p := &Program{sbsNodes: names}
	for name := range layers {
		if !used[name] {
			return p.noLayer(name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: the model has no SbS operator to change", ErrOption)
	}
	return nil
}
