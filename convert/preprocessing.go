package convert

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

const groupPreprocessing = "preprocessing"

// write adds the nodes of the preprocessing and returns the preprocessed image.
func (p Preprocessing) write(w *writer, v value) value {
	w.group = groupPreprocessing
	if p.Crop > 0 {
		c := int64(p.Crop)
		v = w.add(nodeSpec{
			op: "Slice", step: "crop",
			inputs: []string{
				v.name, w.ints("crop_starts", c, c),
				w.ints("crop_ends", int64(v.size.Height)-c, int64(v.size.Width)-c), w.ints("crop_axes", 2, 3),
			},
			doc: fmt.Sprintf("Cuts %d pixels from each side.", p.Crop),
		}, Size{v.size.Channels, v.size.Height - 2*p.Crop, v.size.Width - 2*p.Crop})
	}
	if p.Normalize {
		return writeNormalize(w, v)
	}
	if p.OnOffMean != nil {
		return p.writeOnOff(w, v)
	}
	if p.Offset != 0 {
		v = w.add(nodeSpec{
			op: "Add", step: "offset_pixels", inputs: []string{v.name, w.floats("offset", nil, []float32{p.Offset})},
			doc: "Keeps every pixel above 0.",
		}, v.size)
	}
	return v
}

// Steps of the normalization.
const (
	stepNormalized   = "normalized"
	stepMinDeviation = "min_deviation"
)

// writeNormalize adds the nodes that normalize every image by itself.
func writeNormalize(w *writer, v value) value {
	mean := func(step string, of value) value {
		return w.add(nodeSpec{
			op: "ReduceMean", step: step, inputs: []string{of.name}, attrs: ops.Attributes{"axes": []int64{1, 2, 3}, "keepdims": int64(1)},
		}, Size{1, 1, 1})
	}
	d := w.add(nodeSpec{
		op: "Sub", step: "centered", inputs: []string{v.name, mean("image_mean", v).name}, doc: "Difference to the mean of the image.",
	}, v.size)
	variance := mean("image_variance", w.add(nodeSpec{op: "Mul", step: "squares", inputs: []string{d.name, d.name}}, v.size))
	s := w.add(nodeSpec{op: "Sqrt", step: "image_deviation", inputs: []string{variance.name}}, variance.size)
	s = w.add(nodeSpec{
		op: "Max", step: "deviation", inputs: []string{s.name, w.floats(stepMinDeviation, nil, []float32{MinDeviation})},
		doc: "Above 0 for images that are equal everywhere.",
	}, s.size)
	return w.add(nodeSpec{
		op: "Div", step: stepNormalized, inputs: []string{d.name, s.name}, doc: "The image with the mean 0 and the standard deviation 1.",
	}, v.size)
}

func (p Preprocessing) writeOnOff(w *writer, v value) value {
	mean := w.floats("mean", []int{1, len(p.OnOffMean), 1, 1}, p.OnOffMean)
	d := w.add(nodeSpec{
		op: "Sub", step: "difference", inputs: []string{v.name, mean},
		doc: "Difference to the mean of the data set.",
	}, v.size)
	d = w.add(nodeSpec{op: "Mul", step: "twice", inputs: []string{d.name, w.floats("two", nil, []float32{2})}}, v.size)
	minus := w.add(nodeSpec{op: "Neg", step: "minus", inputs: []string{d.name}}, v.size)
	off := w.add(nodeSpec{op: "Relu", step: "off", inputs: []string{minus.name}}, v.size)
	on := w.add(nodeSpec{op: "Relu", step: "on", inputs: []string{d.name}}, v.size)
	out := Size{2 * v.size.Channels, v.size.Height, v.size.Width}
	split := nodeSpec{op: "Concat", step: "split", inputs: []string{off.name, on.name}, attrs: ops.Attributes{"axis": int64(1)}}
	if v.size.Channels == 1 {
		return w.add(split, out)
	}
	// With several channels, the off and on channels of each must be neighbors. A new
	// axis after the channels joins them.
	c, h, wd := v.size.Channels, v.size.Height, v.size.Width
	single := w.ints("single", 0, int64(c), 1, int64(h), int64(wd))
	split.inputs = []string{
		w.addShaped(nodeSpec{op: "Reshape", step: "off_single", inputs: []string{off.name, single}}, c, 1, h, wd),
		w.addShaped(nodeSpec{op: "Reshape", step: "on_single", inputs: []string{on.name, single}}, c, 1, h, wd),
	}
	split.attrs = ops.Attributes{"axis": int64(2)}
	split.step = "pairs"
	pairs := w.addShaped(split, c, 2, h, wd)
	return w.add(nodeSpec{
		op: "Reshape", step: "split",
		inputs: []string{pairs, w.ints("channels", 0, int64(2*c), int64(h), int64(wd))},
	}, out)
}

func readPreprocessing(r *reader) (Preprocessing, error) {
	r.group = groupPreprocessing
	var p Preprocessing
	if r.nodes[r.name("crop")] != nil {
		name := r.name("crop_starts")
		t, err := r.tensor(name, ops.Int64)
		if err != nil {
			return p, err
		}
		starts := t.Int64s()
		if len(starts) != 2 || starts[0] != starts[1] || starts[0] < 1 || starts[0] > math.MaxInt16 {
			return p, fmt.Errorf("%w: %s is %v", ErrNotConverted, name, starts)
		}
		p.Crop = int(starts[0])
	}
	if r.nodes[r.name("difference")] != nil {
		t, err := r.floats("mean")
		if err != nil {
			return p, err
		}
		p.OnOffMean = t.Float32s()
	}
	if r.nodes[r.name(stepNormalized)] != nil {
		t, err := r.floats(stepMinDeviation)
		if err != nil {
			return p, err
		}
		if t.Len() != 1 || t.Float32s()[0] != MinDeviation {
			return p, fmt.Errorf("%w: the images are normalized with another minimum of the standard deviation than %v", ErrNotConverted, MinDeviation)
		}
		p.Normalize = true
	}
	if r.nodes[r.name("offset_pixels")] != nil {
		t, err := r.floats("offset")
		if err != nil {
			return p, err
		}
		if t.Len() != 1 {
			return p, fmt.Errorf("%w: the offset has %d entries", ErrNotConverted, t.Len())
		}
		p.Offset = t.Float32s()[0]
	}
	return p, nil
}
