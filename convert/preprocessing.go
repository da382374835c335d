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
