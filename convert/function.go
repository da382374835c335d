package convert

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

// Body selects how a model defines SbS layers for runtimes without an SbS operator.
type Body string

// The values of Body.
const (
	// BodyFunction defines the SbS operator in the model, as a function of standard
	// ONNX operators. Runtimes that implement the SbS operator, such as package
	// runtime, use their implementation; others use the function.
	BodyFunction Body = "function"

	// BodyInline writes standard operators instead of each SbS node, for runtimes and
	// tools without support for ONNX functions.
	BodyInline Body = "inline"

	// BodyNone writes SbS nodes without a definition. Only runtimes that have the
	// operator can run the model.
	BodyNone Body = "none"
)

// Inject selects additional inputs of a model that replace the random numbers of its
// SbS layers, for example to compare two runtimes.
type Inject string

// The values of Inject. The inputs have shape (batch, spikes, height, width), with the
// height and width of the layer's output, or (batch, spikes, 1, 1) for layers with FullLayer: see
// the operators in ops/sbs.
const (
	InjectNothing  Inject = ""         // no additional inputs
	InjectSpikes   Inject = "spikes"   // int64: the spikes, row indices of the weights or, with FullLayer, indices of entries of the layer's input
	InjectUniforms Inject = "uniforms" // float32: the random numbers, in [0, 1), that select the spikes
)

// InjectedName returns the name of the input for the spikes or uniforms of layer i. It
// returns "" if the model has no such input, because layer i is not an SbS layer or
// nothing is injected.
func InjectedName(n *Network, i int, inject Inject) string {
	if n == nil || i < 0 || i >= len(n.Layers) || inject == InjectNothing {
		return ""
	}
	if l, ok := n.Layers[i].(*SbS); !ok || l == nil {
		return ""
	}
	return layerGroup(i, n.Layers[i]) + "/" + string(inject)
}

// features are the parts that a body must have for an SbS layer, or for all SbS layers
// that share a function.
type features struct {
	full                         bool // of the operator SbSFullLayer
	epsilonXY, forgetting, alpha bool
	iid, lowDiscrepancy          bool // the samplers
	inject                       Inject
}

func (l *SbS) features(inject Inject) features {
	return features{
		full: l.FullLayer, epsilonXY: l.EpsilonXY != nil, forgetting: l.Forgetting > 0, alpha: l.AlphaIterations > 0,
		iid: l.Sampler != sbs.LowDiscrepancy, lowDiscrepancy: l.Sampler == sbs.LowDiscrepancy, inject: inject,
	}
}

// featuresOf returns the features of a body that serves all layers of networks that use an
// operator, SbS or SbSFullLayer.
func featuresOf(inject Inject, operator string, networks ...*Network) (all features) {
	all.full, all.inject = operator == sbs.OpFullLayer, inject
	var layers []Layer
	for _, n := range networks {
		layers = append(layers, n.Layers...)
	}
	for _, l := range layers {
		if l, ok := l.(*SbS); ok && l.operator() == operator {
			f := l.features(inject)
			all.epsilonXY = all.epsilonXY || f.epsilonXY
			all.forgetting = all.forgetting || f.forgetting
			all.alpha = all.alpha || f.alpha
			all.iid = all.iid || f.iid
			all.lowDiscrepancy = all.lowDiscrepancy || f.lowDiscrepancy
		}
	}
	// Inputs of a function cannot be skipped, and epsilon_xy precedes the injected input.
	all.epsilonXY = all.epsilonXY || inject != InjectNothing
	return all
}

// sharedFeatures holds the features of the functions that the SbS layers of a model share, by the
// operator.
type sharedFeatures map[string]features

func sharedBy(inject Inject, networks ...*Network) sharedFeatures {
	s := sharedFeatures{}
	for _, operator := range []string{sbs.OpSbS, sbs.OpFullLayer} {
		s[operator] = featuresOf(inject, operator, networks...)
	}
	return s
}

// inputs returns the names of the inputs of a body with these features. A node that
// calls the function must provide all of them, because checkers require their types.
func (f features) inputs() []string {
	names := []string{"X", "W", "epsilon_xy", string(f.inject)}
	switch {
	case f.inject != InjectNothing:
		return names
	case f.epsilonXY:
		return names[:3]
	}
	return names[:2]
}

func (f features) String() string {
	var parts []string
	for _, p := range []struct {
		has  bool
		name string
	}{
		{f.epsilonXY, "epsilon_xy"},
		{f.forgetting, "forgetting"},
		{f.alpha, "alpha"},
		{f.inject == InjectNothing && f.iid, "independent spikes"},
		{f.inject == InjectNothing && f.lowDiscrepancy, "evenly spread spikes"},
		{f.inject != InjectNothing, "given " + string(f.inject)},
	} {
		if p.has {
			parts = append(parts, p.name)
		}
	}
	return strings.Join(parts, ", ")
}

// function returns the operator SbS, or SbSFullLayer, as a function of standard operators.
func function(f features) (*onnxpb.FunctionProto, error) {
	b := &body{features: f}
	out := b.write(f.inputs())
	name, spikes := sbs.OpSbS, ""
	if f.full {
		name, spikes = sbs.OpFullLayer, " whose spikes are drawn from the whole image"
	}
	if b.err != nil {
		return nil, fmt.Errorf("convert: function body: %w", b.err)
	}
	return &onnxpb.FunctionProto{
		Name: name, Domain: sbs.Domain, Input: f.inputs(), Output: []string{out}, Node: b.nodes,
		Attribute:   slices.Sorted(maps.Keys(sbs.Params{}.Attributes())),
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: opsetVersion}},
		DocString: "A Spike-By-Spike layer" + spikes + " in standard operators: X (batch, channels, height, width) and W (K, N) to h (batch, N, output height, output width). " +
			"It has what the layers of this model need: " + f.String() + ".",
	}, nil
}

// seedOf spreads seeds, which are small numbers, over 24 bits, which float32 holds
// exactly. onnxruntime seeds a multiplicative generator with them, which treats 0 and 1
// alike and draws correlated numbers for small seeds.
func seedOf(seed int64) float32 {
	const golden = 0x9e3779b9 // 2^32 divided by the golden ratio
	return float32((uint32(seed) + 1) * golden >> 8)
}

// attribute returns the value of an attribute of the operator: the layer's value in an
// inline body, a reference to the attribute of the call in a function.
func (b *body) attribute(name string) any {
	if b.layer != nil {
		return b.layer.params(b.seed).Attributes()[name]
	}
	types := map[string]onnxpb.AttributeProto_AttributeType{
		sbs.AttrKernelShape: onnxpb.AttributeProto_INTS, sbs.AttrStrides: onnxpb.AttributeProto_INTS,
		sbs.AttrDilations: onnxpb.AttributeProto_INTS, sbs.AttrPads: onnxpb.AttributeProto_INTS,
		sbs.AttrSpikes: onnxpb.AttributeProto_INT, sbs.AttrEpsilon0: onnxpb.AttributeProto_FLOAT,
		sbs.AttrEpsilonT: onnxpb.AttributeProto_FLOATS, sbs.AttrForgetting: onnxpb.AttributeProto_FLOAT,
		sbs.AttrAlphaIterations: onnxpb.AttributeProto_INT, sbs.AttrSampler: onnxpb.AttributeProto_STRING,
		sbs.AttrFunctionSeed: onnxpb.AttributeProto_FLOAT,
	}
	return onnx.Ref{Name: name, Type: types[name]}
}

// window returns the named attributes, for a convolution with the layer's window.
func (b *body) window(names ...string) ops.Attributes {
	a := ops.Attributes{}
	for _, name := range names {
		a[name] = b.attribute(name)
	}
	return a
}
