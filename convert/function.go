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

// Body says how a model tells other runtimes what an SbS layer computes.
type Body string

// The bodies.
const (
	// BodyFunction gives the operator SbS a body in standard operators, a
	// model-local function. A runtime that has an SbS operator uses that.
	BodyFunction Body = "function"

	// BodyInline writes the standard operators in place of every SbS node, for
	// runtimes and tools that know no model-local functions.
	BodyInline Body = "inline"

	// BodyNone writes SbS nodes alone: only runtimes that have the operator can
	// run the model.
	BodyNone Body = "none"
)

// Inject says what a model takes as inputs in place of random numbers.
type Inject string

// What can be injected; see the inputs of the operator in ops/sbs.
const (
	InjectNothing  Inject = ""
	InjectSpikes   Inject = "spikes"
	InjectUniforms Inject = "uniforms"
)

// InjectedName returns the name of the input that brings the spikes or uniforms
// of layer i, "" when there is no such input: layer i is no SbS layer, or nothing is
// injected.
func InjectedName(n *Network, i int, inject Inject) string {
	if n == nil || i < 0 || i >= len(n.Layers) || inject == InjectNothing {
		return ""
	}
	if l, ok := n.Layers[i].(*SbS); !ok || l == nil {
		return ""
	}
	return layerGroup(i, n.Layers[i]) + "/" + string(inject)
}

// features are the parts that the body of an SbS layer, or of the operator for
// several layers, must have.
type features struct {
	epsilonXY, forgetting, alpha bool
	iid, lowDiscrepancy          bool // how spikes are drawn
	inject                       Inject
}

func (l *SbS) features(inject Inject) features {
	return features{
		epsilonXY: l.EpsilonXY != nil, forgetting: l.Forgetting > 0, alpha: l.AlphaIterations > 0,
		iid: l.Sampler != sbs.LowDiscrepancy, lowDiscrepancy: l.Sampler == sbs.LowDiscrepancy, inject: inject,
	}
}

// features returns what one body for all SbS layers must have, and whether there
// are any such layers.
func (n *Network) features(inject Inject) (all features, spiking bool) {
	all.inject = inject
	for _, l := range n.Layers {
		if l, ok := l.(*SbS); ok {
			spiking = true
			f := l.features(inject)
			all.epsilonXY = all.epsilonXY || f.epsilonXY
			all.forgetting = all.forgetting || f.forgetting
			all.alpha = all.alpha || f.alpha
			all.iid = all.iid || f.iid
			all.lowDiscrepancy = all.lowDiscrepancy || f.lowDiscrepancy
		}
	}
	return all, spiking
}

// inputs returns the names of the operator's inputs that a body with these
// features has. A node that calls a function must have all of its inputs: checkers
// want their types.
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

// function returns the SbS operator as a function of standard operators.
func function(f features) (*onnxpb.FunctionProto, error) {
	b := &body{features: f}
	out := b.write(f.inputs())
	if b.err != nil {
		return nil, fmt.Errorf("convert: function body: %w", b.err)
	}
	return &onnxpb.FunctionProto{
		Name: "SbS", Domain: sbs.Domain, Input: f.inputs(), Output: []string{out}, Node: b.nodes,
		Attribute:   slices.Sorted(maps.Keys(sbs.Params{}.Attributes())),
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: opsetVersion}},
		DocString: "A Spike-By-Spike layer in standard operators: X (batch, channels, height, width) and W (K, N) to h (batch, N, output height, output width). " +
			"It has what the layers of this model need: " + f.String() + ".",
	}, nil
}

// seedOf spreads the seeds of layers, small numbers, over 24 bits, which float32
// holds exactly. onnxruntime starts a multiplicative generator with them: it takes
// 0 and 1 for the same, and draws related numbers from small seeds.
func seedOf(seed int64) float32 {
	const golden = 0x9e3779b9 // 2^32 divided by the golden ratio
	return float32((uint32(seed) + 1) * golden >> 8)
}

// attribute returns the value of an attribute of the operator: a reference to the
// function's, or the layer's own.
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

// window returns the attributes of a convolution over the layer's windows.
func (b *body) window(names ...string) ops.Attributes {
	a := ops.Attributes{}
	for _, name := range names {
		a[name] = b.attribute(name)
	}
	return a
}
