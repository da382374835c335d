package convert

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// imageLayer is a layer with random numbers for whole images: Poisson or SpikeImage.
type imageLayer struct {
	operator string
	spikes   int
	given    string // name of the input for the spikes or uniforms, or ""
	doc      string

	// body writes the layer in standard operators and returns the name of the output. in are
	// the names of the input and of the given spikes or uniforms, if there are any.
	body func(b *body, in []string) string
}

// write adds the layer to the graph. Its output has the size of the input.
func (l imageLayer) write(w *writer, in value) (value, error) {
	seed := w.options.Seed + int64(w.index)
	attrs := sbs.ImageParams{Spikes: l.spikes, Seed: seed, FunctionSeed: seedOf(seed)}.Attributes()
	inputs := []string{in.name}
	if l.given != "" {
		inputs = append(inputs, l.given)
	}
	if w.options.Body != BodyInline {
		return w.add(nodeSpec{op: l.operator, domain: sbs.Domain, inputs: inputs, attrs: attrs, doc: l.doc}, in.size), nil
	}
	b := &body{features: imageFeatures(w.options.Inject), own: attrs, w: w}
	b.sizes = sizes{
		batch: extent{symbol: "batch"}, channels: extent{n: in.size.Channels}, height: extent{n: in.size.Height}, width: extent{n: in.size.Width},
		k: extent{n: valuesOf(in.size)}, oh: one, ow: one, spikes: extent{n: l.spikes},
	}
	if w.options.Batch > 0 {
		b.sizes.batch = extent{n: w.options.Batch}
	}
	b.sizes.positions = b.sizes.batch // an image is one patch
	name := l.body(b, inputs)
	w.graph.Node[len(w.graph.Node)-1].DocString = l.doc
	return value{name, in.size}, b.err
}

// valuesOf returns the number of values of an image. It is an int, because ToONNX refuses larger
// images.
func valuesOf(s Size) int { return s.Channels * s.Height * s.Width }

func imageFeatures(inject Inject) features { return features{iid: true, inject: inject} }

// imageTypes are the types of the attributes of these layers.
var imageTypes = attributeTypes{sbs.AttrSpikes: onnxpb.AttributeProto_INT, sbs.AttrSeed: onnxpb.AttributeProto_INT, sbs.AttrFunctionSeed: onnxpb.AttributeProto_FLOAT}

// imageFunction returns an operator as a function of standard operators.
func imageFunction(operator, doc string, inject Inject, write func(b *body, in []string) string) (*onnxpb.FunctionProto, error) {
	in := []string{"X"}
	if inject != InjectNothing {
		in = append(in, string(inject))
	}
	b := &body{features: imageFeatures(inject), types: imageTypes}
	out := write(b, in)
	if b.err != nil {
		return nil, fmt.Errorf("convert: function body: %w", b.err)
	}
	return &onnxpb.FunctionProto{
		Name: operator, Domain: sbs.Domain, Input: in, Output: []string{out}, Node: b.nodes,
		Attribute:   slices.Sorted(maps.Keys(imageTypes)),
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: opsetVersion}},
		DocString:   doc,
	}, nil
}

// readImageSpikes returns the number of spikes of a layer that imageLayer wrote.
func readImageSpikes(r *reader) (int, error) {
	n, attrs, err := r.node("")
	if err != nil {
		return 0, err
	}
	if n.GetDomain() != sbs.Domain {
		return r.int(sbs.AttrSpikes, false)
	}
	p, err := sbs.ImageParamsOf(attrs)
	return p.Spikes, err
}
