package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// ApproxConv is a two-dimensional convolution whose products are approximate: APPROX CONV2D of
// PyTorch-SbS. Package ops/sbs documents what it computes.
type ApproxConv struct {
	Window
	Weights *ops.Tensor // float32 (output channels, input channels, KH, KW)
	Bias    *ops.Tensor // float32 (output channels)

	FracBits  int  // number_of_frac_bits, 1 to 32: the bits of each factor
	TruncBits int  // number_of_trunc_bits, 0 to 32: the lowest columns of the product
	Enabled   bool // approximation_enable: whether the partial products in these columns are left out
}

const kindApproxConv = "ApproxConv"

// Kind implements Layer.
func (*ApproxConv) Kind() string { return kindApproxConv }

// operator returns "" for a layer with float32 products, which is a standard convolution.
func (l *ApproxConv) operator() string {
	if l.approximation().IsExact() {
		return ""
	}
	return sbs.OpApproxConv
}

func (l *ApproxConv) approximation() sbs.Approximation {
	return sbs.Approximation{FracBits: l.FracBits, TruncBits: l.TruncBits, Enabled: l.Enabled}
}

func (l *ApproxConv) setApproximation(a sbs.Approximation) {
	l.FracBits, l.TruncBits, l.Enabled = a.FracBits, a.TruncBits, a.Enabled
}

// Output implements Layer.
func (l *ApproxConv) Output(in Size) (Size, error) {
	out, err := (&Conv{Window: l.Window, Weights: l.Weights, Bias: l.Bias}).Output(in)
	if err == nil && l.Bias == nil {
		err = errors.New("missing bias")
	}
	return out, err
}

func (l *ApproxConv) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	attrs := windowAttributes(l.Window)
	inputs := []string{in.name, w.tensor("W", l.Weights), w.tensor("B", l.Bias)}
	if l.operator() == "" {
		return w.add(nodeSpec{op: "Conv", inputs: inputs, attrs: attrs}, out), nil
	}
	maps.Copy(attrs, l.approximation().Attributes())
	if w.options.Body != BodyInline {
		return w.add(nodeSpec{op: sbs.OpApproxConv, domain: sbs.Domain, inputs: inputs, attrs: attrs}, out), nil
	}
	b := approxBody{&body{own: attrs, w: w, sizes: w.sizes(in.size, out, l.Kernel)}}
	name := b.write(inputs[0], inputs[1], inputs[2])
	return value{name, out}, b.err
}

// inAttributes reports whether a model with the given body has the settings of the layer in the
// attributes of a node. Otherwise they are in the metadata.
func (l *ApproxConv) inAttributes(body Body) bool { return l.operator() != "" && body != BodyInline }

// readApproxConv reads a layer. If its settings are in the metadata, they are 0.
func readApproxConv(r *reader) (*ApproxConv, error) {
	n, attrs, err := r.node("")
	if err != nil {
		return nil, err
	}
	l := &ApproxConv{}
	switch {
	case n.GetDomain() == sbs.Domain:
		a, err := sbs.ApproximationOf(attrs)
		if err != nil {
			return nil, err
		}
		l.setApproximation(a)
	case n.GetOpType() != "Conv": // inline
		if _, attrs, err = r.node(stepPatches); err != nil {
			return nil, err
		}
	}
	if l.Window, err = window(attrs); err != nil {
		return nil, err
	}
	if l.Weights, err = r.floats("W"); err != nil {
		return nil, err
	}
	l.Bias, err = r.floats("B")
	return l, err
}

// approximations returns the settings of the layers that do not have them in a node.
func (n *Network) approximations(body Body) []metadata.Approximation {
	var list []metadata.Approximation
	for i, l := range n.Layers {
		if l, ok := l.(*ApproxConv); ok && !l.inAttributes(body) {
			list = append(list, metadata.Approximation{Layer: i, FracBits: l.FracBits, TruncBits: l.TruncBits, Enabled: l.Enabled})
		}
	}
	return list
}

// setApproximations sets the settings that are in the metadata. It must be called after the
// layers were read.
func (n *Network) setApproximations(props []*onnxpb.StringStringEntryProto, r *reader) error {
	for _, p := range props {
		if p.GetKey() != metadata.Approximations {
			continue
		}
		var list []metadata.Approximation
		if err := json.Unmarshal([]byte(p.GetValue()), &list); err != nil {
			return fmt.Errorf("convert: %w: metadata %s: %s is not a list of settings", ErrNotConverted, p.GetKey(), abridged(p.GetValue()))
		}
		for _, a := range list {
			var l *ApproxConv
			if a.Layer >= 0 && a.Layer < len(n.Layers) {
				l, _ = n.Layers[a.Layer].(*ApproxConv)
			}
			if l == nil || l.approximation() != (sbs.Approximation{}) {
				return fmt.Errorf("convert: %w: metadata %s: layer %d does not need settings", ErrNotConverted, p.GetKey(), a.Layer)
			}
			l.setApproximation(sbs.Approximation{FracBits: a.FracBits, TruncBits: a.TruncBits, Enabled: a.Enabled})
		}
	}
	for i, l := range n.Layers {
		l, ok := l.(*ApproxConv)
		switch {
		case !ok:
		case l.approximation() == (sbs.Approximation{}):
			return fmt.Errorf("convert: %w: metadata %s: there are no settings for layer %d (%s)", ErrNotConverted, metadata.Approximations, i, l.Kind())
		case (r.nodes[layerGroup(i, l)].GetOpType() == "Conv") != (l.operator() == ""):
			return fmt.Errorf("convert: %w: metadata %s: %+v is not what the nodes of layer %d (%s) compute", ErrNotConverted, metadata.Approximations, l.approximation(), i, l.Kind())
		}
	}
	return nil
}
