package convert

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

const (
	kindSbS        = "SbS"
	kindSbSPooling = "SbSPooling"
)

// Kind implements Layer.
func (l *SbS) Kind() string {
	if l.Pooling {
		return kindSbSPooling
	}
	return kindSbS
}

// Output implements Layer.
func (l *SbS) Output(in Size) (Size, error) {
	out, err := windowOutput(l.Window, l.Weights, in)
	if err != nil || l.EpsilonXY == nil {
		return out, err
	}
	want := []int{out.Height, out.Width, l.Kernel[0], l.Kernel[1]}
	if len(l.EpsilonXY.Shape()) == 2 {
		want = want[:2]
	}
	if err := checkFloats("epsilon_xy", l.EpsilonXY, want); err != nil {
		return Size{}, err
	}
	return out, nil
}

// windowOutput returns the size of the output of a layer with a window and the weights (K, N).
func windowOutput(w Window, weights *ops.Tensor, in Size) (Size, error) {
	oh, ow, err := w.Output(in.Height, in.Width)
	if err != nil {
		return Size{}, err
	}
	k, err := ops.Len([]int{in.Channels, w.Kernel[0], w.Kernel[1]})
	if err != nil {
		return Size{}, fmt.Errorf("the kernel has too many inputs: %w", err)
	}
	if err := checkFloats("weights", weights, []int{k, -1}); err != nil {
		return Size{}, fmt.Errorf("for an input of %v: %w", in, err)
	}
	return Size{weights.Shape()[1], oh, ow}, nil
}

// operator returns the name of the layer's operator.
func (l *SbS) operator() string {
	if l.FullLayer {
		return sbs.OpFullLayer
	}
	return sbs.OpSbS
}

// Updates returns the number of spike updates per image for an input of the given size: see
// Network.Updates.
func (l *SbS) Updates(in Size) int {
	return sbs.Updates(l.operator(), l.params(0), in.Height, in.Width)
}

func (l *SbS) params(seed int64) sbs.Params {
	return sbs.Params{
		Kernel: l.Kernel, Strides: l.Strides, Dilations: l.Dilations,
		Pads:   [4]int{l.Pads[0], l.Pads[1], l.Pads[0], l.Pads[1]},
		Spikes: l.Spikes, Epsilon0: l.Epsilon0, EpsilonT: l.EpsilonT,
		Forgetting: l.Forgetting, AlphaIterations: l.AlphaIterations, Sampler: l.Sampler, Seed: seed, FunctionSeed: seedOf(seed),
	}
}

func (l *SbS) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	seed := w.options.Seed + int64(w.index)
	attrs := l.params(seed).Attributes()
	if _, err := sbs.ParamsOf(attrs); err != nil {
		return value{}, err
	}
	w.lastW = w.tensor("W", l.Weights)
	drawn, what := out, "The spikes of this layer: row indices of its weights."
	if l.FullLayer {
		drawn.Height, drawn.Width = 1, 1
		what = "The spikes of this layer: indices of values of its input, c*H*W + y*W + x."
	}
	all := []string{in.name, w.lastW, "", w.given("spikes", what, l.Spikes, drawn.Height, drawn.Width)}
	switch {
	case l.EpsilonXY != nil:
		all[2] = w.tensor("epsilon_xy", l.EpsilonXY)
	case w.features[l.operator()].epsilonXY && w.options.Body == BodyFunction:
		if out.Height > (maxNeutral-w.neutral)/out.Width {
			return value{}, fmt.Errorf("the layer shares a function with layers that have an epsilon_xy and needs one of %dx%d ones; "+
				"with those of other layers (%d elements) this exceeds %d elements: convert without a function body",
				out.Height, out.Width, w.neutral, maxNeutral)
		}
		w.neutral += out.Height * out.Width
		all[2] = w.floats(neutralEpsilonXY, []int{out.Height, out.Width}, slices.Repeat([]float32{1}, out.Height*out.Width))
	}
	if w.options.Body == BodyInline {
		return l.writeInline(w, in, all, out, seed)
	}
	inputs := all[:len(w.features[l.operator()].inputs())]
	if w.options.Body == BodyNone {
		for inputs[len(inputs)-1] == "" {
			inputs = inputs[:len(inputs)-1]
		}
	}
	return w.add(nodeSpec{
		op: l.operator(), domain: sbs.Domain, inputs: inputs, attrs: attrs, doc: l.doc(in.size, out),
	}, out), nil
}

func (l *SbS) doc(in, out Size) string {
	spikes := "spikes"
	if l.FullLayer {
		spikes += " per image"
	}
	return fmt.Sprintf("Spike-By-Spike layer: %v in, %v out, %d %s.", in, out, l.Spikes, spikes)
}

// neutralEpsilonXY is the step of an initializer of ones. A layer without epsilon_xy
// needs it if it shares a function with layers that have one.
const neutralEpsilonXY = "no_epsilon_xy"

// maxNeutral bounds the elements of all these initializers together, to 256 MB.
const maxNeutral = 1 << 26

// given adds the input, (batch, shape...), for the injected spikes or uniforms of a layer and
// returns its name, or "" if nothing is injected. drawn is what the uniforms select, spikes or
// counts, and doc describes these.
func (w *writer) given(drawn, doc string, shape ...int) string {
	dtype := ops.Int64
	switch w.options.Inject {
	case InjectNothing:
		return ""
	case InjectUniforms:
		dtype, doc = ops.Float32, "The uniform numbers, in [0, 1), from which the "+drawn+" of this layer are drawn."
	}
	v := w.batched(w.name(string(w.options.Inject)), shape...)
	v.GetType().GetTensorType().ElemType = int32(dtype)
	v.DocString = doc
	w.graph.Input = append(w.graph.Input, v)
	return v.GetName()
}

func readSbS(r *reader, pooling bool) (*SbS, error) {
	n, attrs, err := r.node("")
	if err != nil {
		return nil, err
	}
	if n.GetDomain() != sbs.Domain {
		return readInline(r, pooling)
	}
	p, err := sbs.ParamsOf(attrs)
	if err != nil {
		return nil, err
	}
	if p.Pads[0] != p.Pads[2] || p.Pads[1] != p.Pads[3] {
		return nil, fmt.Errorf("%w: pads are %v", ErrNotConverted, p.Pads)
	}
	l := &SbS{
		Window: Window{Kernel: p.Kernel, Strides: p.Strides, Dilations: p.Dilations, Pads: [2]int{p.Pads[0], p.Pads[1]}},
		Spikes: p.Spikes, Epsilon0: p.Epsilon0, EpsilonT: p.EpsilonT,
		Forgetting: p.Forgetting, AlphaIterations: p.AlphaIterations, Pooling: pooling,
		FullLayer: n.GetOpType() == sbs.OpFullLayer,
	}
	if p.Sampler != sbs.IID {
		l.Sampler = p.Sampler
	}
	if l.Weights, err = r.input(n, 1); err != nil {
		return nil, err
	}
	if len(n.GetInput()) > 2 && n.GetInput()[2] == r.name(neutralEpsilonXY) {
		return l, nil
	}
	l.EpsilonXY, err = r.input(n, 2)
	return l, err
}

// checkFloats returns an error unless t is a float32 tensor of the given shape, in
// which -1 stands for any size of at least 1.
func checkFloats(what string, t *ops.Tensor, shape []int) error {
	if t == nil {
		return fmt.Errorf("missing %s", what)
	}
	ok := t.DType() == ops.Float32 && len(t.Shape()) == len(shape)
	for i := 0; ok && i < len(shape); i++ {
		ok = t.Shape()[i] == shape[i] || shape[i] == -1 && t.Shape()[i] > 0
	}
	if !ok {
		return fmt.Errorf("%s: %w: want %v, got %v", what, ops.ErrShape,
			ops.Type{DType: ops.Float32, Shape: ops.Dims(shape...)}, ops.TypeOf(t))
	}
	return nil
}
