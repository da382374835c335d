package convert

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Steps of an inline body that readInline looks for: the node that has the layer's
// window, and one that exists only with the low-discrepancy sampler.
const (
	stepPatches = "patch_planes"
	stepGolden  = "golden_steps"
)

// writeInline writes the layer in standard operators. The names in are the inputs that
// an SbS node would have.
func (l *SbS) writeInline(w *writer, x value, in []string, out Size, seed int64) (value, error) {
	b := &body{features: l.features(w.options.Inject), layer: l, own: l.params(seed).Attributes(), w: w}
	b.sizes = w.sizes(x.size, out, l.Kernel)
	b.sizes.spikes = extent{n: l.Spikes}
	name := b.write(in)
	w.graph.Node[len(w.graph.Node)-1].DocString = l.doc(x.size, out)
	if b.err != nil {
		return value{}, b.err
	}
	return value{name, out}, nil
}

// sizes returns the sizes of a layer with a window.
func (w *writer) sizes(in, out Size, kernel [2]int) sizes {
	extentOf := func(n int) extent { return extent{n: n} }
	places := kernel[0] * kernel[1]
	s := sizes{
		batch: extent{symbol: "batch"}, channels: extentOf(in.Channels), height: extentOf(in.Height), width: extentOf(in.Width),
		k: extentOf(in.Channels * places), n: extentOf(out.Channels), oh: extentOf(out.Height), ow: extentOf(out.Width),
		places: extentOf(places), positions: extent{symbol: w.name("positions")},
	}
	if n := w.options.Batch; n > 0 {
		s.batch, s.positions = extentOf(n), extentOf(n*out.Height*out.Width)
	}
	return s
}

// readInline reads a layer that writeInline wrote. The sampler is lost if the spikes or
// uniforms are injected.
func readInline(r *reader, pooling bool) (*SbS, error) {
	l := &SbS{Pooling: pooling, FullLayer: r.initializers[r.name(stepKernel)] != nil}
	attrs, err := r.windowOfBody(l.FullLayer)
	if err != nil {
		return nil, err
	}
	if l.Window, err = window(attrs); err != nil {
		return nil, err
	}
	if r.nodes[r.name(stepGolden)] != nil {
		l.Sampler = sbs.LowDiscrepancy
	}
	for _, t := range []struct {
		step     string
		dst      **ops.Tensor
		optional bool
	}{{"W", &l.Weights, false}, {"epsilon_xy", &l.EpsilonXY, true}} {
		if t.optional && r.initializers[r.name(t.step)] == nil {
			continue
		}
		if *t.dst, err = r.floats(t.step); err != nil {
			return nil, err
		}
	}
	epsilonT, err := r.floats(sbs.AttrEpsilonT)
	if err != nil {
		return nil, err
	}
	l.EpsilonT = epsilonT.Float32s()
	if l.Epsilon0, err = r.float(sbs.AttrEpsilon0, nil); err != nil {
		return nil, err
	}
	none := float32(0)
	if l.Forgetting, err = r.float(sbs.AttrForgetting, &none); err != nil {
		return nil, err
	}
	if l.Spikes, err = r.int(sbs.AttrSpikes, false); err != nil {
		return nil, err
	}
	if l.AlphaIterations, err = r.int(sbs.AttrAlphaIterations, true); err != nil {
		return nil, err
	}
	_, err = sbs.ParamsOf(l.params(0).Attributes())
	return l, err
}

// windowOfBody returns the attributes of the window of an inline body.
func (r *reader) windowOfBody(full bool) (ops.Attributes, error) {
	if !full {
		_, attrs, err := r.node(stepPatches)
		return attrs, err
	}
	attrs := ops.Attributes{}
	for step, name := range map[string]string{
		stepKernel: sbs.AttrKernelShape, stepStrides: sbs.AttrStrides, stepDilations: sbs.AttrDilations, stepPads: sbs.AttrPads,
	} {
		t, err := r.tensor(r.name(step), ops.Int64)
		if err != nil {
			return nil, err
		}
		attrs[name] = t.Int64s()
	}
	return attrs, nil
}

// float returns the number in the initializer of a step. If there is none, it returns
// the default, unless that is nil.
func (r *reader) float(step string, def *float32) (float32, error) {
	if r.initializers[r.name(step)] == nil && def != nil {
		return *def, nil
	}
	t, err := r.floats(step)
	if err != nil {
		return 0, err
	}
	if t.Len() != 1 {
		return 0, fmt.Errorf("%w: %s has %d entries, want 1", ErrNotConverted, r.name(step), t.Len())
	}
	return t.Float32s()[0], nil
}

// int returns the integer in the initializer of a step, 0 if it is optional and missing.
func (r *reader) int(step string, optional bool) (int, error) {
	if r.initializers[r.name(step)] == nil && optional {
		return 0, nil
	}
	t, err := r.tensor(r.name(step), ops.Int64)
	if err != nil {
		return 0, err
	}
	if t.Len() != 1 {
		return 0, fmt.Errorf("%w: %s has %d entries, want 1", ErrNotConverted, r.name(step), t.Len())
	}
	return int(t.Int64s()[0]), nil
}
