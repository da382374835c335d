package convert

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// SpikeImage is a layer that draws spikes from the whole image as one distribution. The output is
// the number of spikes of each value of the image, with the mean 1. Package ops/sbs documents what
// it computes.
type SpikeImage struct {
	// Spikes is the number of spikes per image, at least 0. With 0 spikes, the layer divides the
	// image by its mean; a black image remains black.
	Spikes int
}

const kindSpikeImage = "SpikeImage"

// Kind implements Layer.
func (*SpikeImage) Kind() string { return kindSpikeImage }

func (l *SpikeImage) operator() string {
	if l.Spikes == 0 {
		return ""
	}
	return sbs.OpSpikeImage
}

// Output implements Layer.
func (*SpikeImage) Output(in Size) (Size, error) { return in, nil }

// stepShare is the step of a layer without spikes that divides an image by its sum.
const stepShare = "share"

func (l *SpikeImage) write(w *writer, in value) (value, error) {
	if l.Spikes > 0 {
		return imageLayer{
			operator: sbs.OpSpikeImage, spikes: l.Spikes, body: (*body).spikeImage,
			given: w.given("spikes", "The spikes of this layer: indices of the values of an image.", l.Spikes, 1, 1),
			doc:   fmt.Sprintf("Spikes of the whole image: %v, %d spikes.", in.size, l.Spikes),
		}.write(w, in)
	}
	one := Size{1, 1, 1}
	sum := w.add(nodeSpec{
		op: "ReduceSum", step: "sum", inputs: []string{in.name, w.ints("axes", 1, 2, 3)}, attrs: ops.Attributes{"keepdims": int64(1)},
	}, one)
	// A gradient passes through these operators, which excludes Max and Where. The number is below
	// the rounding error of the sum, even if all values are 1e-20.
	sum = w.add(nodeSpec{op: "Add", step: "positive_sum", inputs: []string{sum.name, w.floats("tiny", nil, []float32{1e-30})}}, one)
	share := w.add(nodeSpec{op: "Div", step: stepShare, inputs: []string{in.name, sum.name}}, in.size)
	return w.add(nodeSpec{
		op: "Mul", inputs: []string{share.name, w.floats("values", nil, []float32{float32(valuesOf(in.size))})},
		doc: fmt.Sprintf("The image divided by its mean: %v, no spikes.", in.size),
	}, in.size), nil
}

func readSpikeImage(r *reader) (*SpikeImage, error) {
	if r.nodes[r.name(stepShare)] != nil {
		return &SpikeImage{}, nil
	}
	n, err := readImageSpikes(r)
	if err == nil && n < 1 {
		err = fmt.Errorf("%w: %s is %d", ErrNotConverted, r.name(sbs.AttrSpikes), n)
	}
	return &SpikeImage{Spikes: n}, err
}

// spikeImageFunction returns the SpikeImage operator as a function of standard operators.
func spikeImageFunction(inject Inject) (*onnxpb.FunctionProto, error) {
	return imageFunction(sbs.OpSpikeImage, "Spikes of a whole image in standard operators: X (batch, channels, height, width) to the number of spikes of each value, with the mean 1.",
		inject, (*body).spikeImage)
}

// spikeImage writes a SpikeImage layer. The image is one patch, so that K is the number of its
// values and Q is the batch.
func (b *body) spikeImage(in []string) string {
	z := &b.sizes
	x, given := in[0], in[len(in)-1]
	b.number = b.spikeCount()
	flat := b.add("flat", "Reshape", float(z.batch, z.k), nil, x, b.ints("flat_shape", 0, -1))
	p := b.add("p", "Transpose", float(z.k, z.positions), ops.Attributes{"perm": []int64{1, 0}}, flat)
	k := b.shapeOf("K", p, 0, 1, z.k)
	spikes, total := b.spikes([]string{x, "", "", given}, p, b.ints("rows", 0, -1), k, sizesOf(1, 1), ops.Float64)

	filled := func(step string, v float32, like string, t shaped) string {
		shape := b.add(step+"_shape", "Shape", int64s(extent{n: 2}), nil, like)
		return b.add(step, "ConstantOfShape", t, ops.Attributes{"value": onnx.Float32Tensor("", []int{1}, []float32{v})}, shape)
	}
	all := float(z.k, z.positions)
	counts := b.add("counts", "ScatterElements", all, ops.Attributes{"axis": int64(0), "reduction": "add"},
		filled("no_counts", 0, p, all), spikes, filled("one_per_spike", 1, spikes, float(z.spikes, z.positions)))
	b.explain("Counts the spikes of each value.")
	counts = b.add("counts_by_values", "Mul", all, nil, counts, b.cast("values", float(one), b.input("number_of_values", k)))
	counts = b.add("counts_by_spikes", "Div", all, nil, counts, b.cast("spikes_float32", float(one), b.number))
	none := b.float("nothing", 0)
	alive := b.add("alive", "Greater", boolean(one, z.positions), nil, total, none)
	counts = b.add("counts_alive", "Where", all, nil, alive, counts, none)
	counts = b.add("counts_of_images", "Transpose", float(z.batch, z.k), ops.Attributes{"perm": []int64{1, 0}}, counts)
	shape := b.add("X_shape", "Shape", int64s(extent{n: 4}), nil, x)
	return b.last("Reshape", float(z.batch, z.channels, z.height, z.width), nil, counts, shape)
}
