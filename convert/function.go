package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Body selects how a model defines the operators of this project for other runtimes.
type Body string

// The values of Body.
const (
	// BodyFunction defines the operators that the layers need in the model, such as
	// SbS, as functions of standard ONNX operators. Runtimes that implement an
	// operator, such as package runtime, use their implementation; others use the
	// function.
	BodyFunction Body = "function"

	// BodyInline writes standard operators instead of each such node, for runtimes and
	// tools without support for ONNX functions.
	BodyInline Body = "inline"

	// BodyNone writes nodes without a definition. Only runtimes that have the operators
	// can run the model.
	BodyNone Body = "none"
)

// Inject selects additional inputs of a model that replace the random numbers of its layers,
// for example to compare two runtimes.
type Inject string

// The values of Inject. The inputs of SbS layers have shape (batch, spikes, height, width), with
// the height and width of the layer's output, those of SbS layers with FullLayer and of SpikeImage
// layers (batch, spikes, 1, 1), and those of Poisson layers the shape of the layer's input: see the
// operators in ops/sbs.
const (
	InjectNothing  Inject = ""         // no additional inputs
	InjectSpikes   Inject = "spikes"   // int64: the spikes, row indices of the weights or indices of the input's values; the counts of Poisson
	InjectUniforms Inject = "uniforms" // float32: the random numbers, in [0, 1), that select the spikes or counts
)

// InjectedName returns the name of the input for the spikes or uniforms of layer i. It
// returns "" if the model has no such input, because layer i draws no random numbers or
// nothing is injected.
func InjectedName(n *Network, i int, inject Inject) string {
	if n == nil || i < 0 || i >= len(n.Layers) || inject == InjectNothing {
		return ""
	}
	l, ok := n.Layers[i].(ownOperator)
	if !ok || isNil(l) || !sbs.Random(l.operator()) {
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
	b := &body{features: f, types: sbsTypes}
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

// sbsTypes are the types of the attributes of an SbS node.
var sbsTypes = windowTypes.with(attributeTypes{
	sbs.AttrSpikes: onnxpb.AttributeProto_INT, sbs.AttrEpsilon0: onnxpb.AttributeProto_FLOAT,
	sbs.AttrEpsilonT: onnxpb.AttributeProto_FLOATS, sbs.AttrForgetting: onnxpb.AttributeProto_FLOAT,
	sbs.AttrAlphaIterations: onnxpb.AttributeProto_INT, sbs.AttrSampler: onnxpb.AttributeProto_STRING,
	sbs.AttrFunctionSeed: onnxpb.AttributeProto_FLOAT,
})
