package page

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/convert"
)

// field holds values of shape (channels, height, width).
type field struct {
	convert.Size
	values []float32
}

func newField(s convert.Size) field {
	return field{s, make([]float32, s.Channels*s.Height*s.Width)}
}

// at returns the index of the first channel at a position. The other channels follow at a distance
// of Height*Width.
func (f field) at(y, x int) int { return y*f.Width + x }

// reach returns the size of the input that a window with the given number of positions covers,
// with its padding.
func reach(w convert.Window, positions [2]int) (r [2]int) {
	for i, n := range positions {
		r[i] = (n-1)*w.Strides[i] + (w.Kernel[i]-1)*w.Dilations[i] + 1
	}
	return r
}

// project returns the input that the output h of a layer stands for, W*h: the mean over the patches
// that cover a place. mass is the sum of the patch at each position, nil for 1. The result includes
// the padding.
func (l *layer) project(h field, mass []float32) field {
	w := l.window
	places := w.Kernel[0] * w.Kernel[1]
	weights, neurons := l.weights.Float32s(), h.Channels
	covered := reach(w, [2]int{h.Height, h.Width})
	out := newField(convert.Size{Channels: l.weights.Shape()[0] / places, Height: covered[0], Width: covered[1]})
	count := make([]float32, out.Height*out.Width)
	activity := make([]float32, neurons)
	for position := range h.Height * h.Width {
		scale := float32(1)
		if mass != nil {
			scale = mass[position]
		}
		for n := range activity {
			activity[n] = h.values[n*h.Height*h.Width+position] * scale
		}
		top, left := position/h.Width*w.Strides[0], position%h.Width*w.Strides[1]
		for k := range len(weights) / neurons {
			var sum float32
			for n, v := range weights[k*neurons:][:neurons] {
				sum += float32(v * activity[n])
			}
			channel, place := k/places, k%places
			at := out.at(top+place/w.Kernel[1]*w.Dilations[0], left+place%w.Kernel[1]*w.Dilations[1])
			out.values[channel*len(count)+at] += sum
			if channel == 0 {
				count[at]++
			}
		}
	}
	for i := range out.values {
		if n := count[i%len(count)]; n > 0 {
			out.values[i] /= n
		}
	}
	return out
}

// spread returns the input of a pooling layer whose output is h: every value in its window.
func spread(w convert.Window, h field) field {
	covered := reach(w, [2]int{h.Height, h.Width})
	out := newField(convert.Size{Channels: h.Channels, Height: covered[0], Width: covered[1]})
	count := make([]float32, len(out.values))
	for i, v := range h.values {
		channel, y, x := i/(h.Height*h.Width), i/h.Width%h.Height, i%h.Width
		for place := range w.Kernel[0] * w.Kernel[1] {
			at := channel*out.Height*out.Width + out.at(
				y*w.Strides[0]+place/w.Kernel[1]*w.Dilations[0], x*w.Strides[1]+place%w.Kernel[1]*w.Dilations[1])
			out.values[at] += v
			count[at]++
		}
	}
	for i, n := range count {
		if n > 0 {
			out.values[i] /= n
		}
	}
	return out
}

// neuron returns the weights of a neuron as a part of the picture: the column of W, through the
// layers before it. Of a layer with layers before it, most weights are similar; the result is their
// difference to the mean of all neurons.
func (s *stage) neuron(l *layer, n int) (field, error) {
	neurons := l.weights.Shape()[1]
	w := l.window
	f := newField(convert.Size{Channels: l.weights.Shape()[0] / (w.Kernel[0] * w.Kernel[1]), Height: w.Kernel[0], Width: w.Kernel[1]})
	for k := range f.values {
		row := l.weights.Float32s()[k*neurons:][:neurons]
		f.values[k] = row[n]
		if s.front != nil && l.number != s.front.number {
			f.values[k] -= total(row) / float32(neurons)
		}
	}
	for i := l.number - 1; i >= 0 && (s.front == nil || i >= s.front.number); i-- {
		switch below := s.network.Layers[i].(type) {
		case *convert.SbS, *convert.NNMF:
			f = s.layerOf(i).project(f, nil)
		case *convert.AveragePool:
			f = spread(below.Window, f)
		case *convert.MaxPool:
			f = spread(below.Window, f)
		default:
			return f, fmt.Errorf("the weights of this layer cannot be shown as a picture, because a layer before it is of type %s", below.Kind())
		}
	}
	if s.front == nil {
		return f, errors.New("the weights of this layer cannot be shown as a picture, because the first layer of the network has no h")
	}
	return f, nil
}

// input returns the input of the front layer for a picture, as the network computes it, and the
// factor by which the network has divided it.
func (s *stage) input(pixels []float32) (in field, scale float32) {
	n := s.network
	p, from := n.Preprocessing, n.Input
	out := newField(convert.Size{Channels: from.Channels, Height: from.Height - 2*p.Crop, Width: from.Width - 2*p.Crop})
	for i := range out.values {
		channel, y, x := i/(out.Height*out.Width), i/out.Width%out.Height, i%out.Width
		out.values[i] = pixels[(channel*from.Height+y+p.Crop)*from.Width+x+p.Crop]
	}
	switch {
	case p.OnOffMean != nil:
		return split(out, func(c, _ int) float32 { return p.OnOffMean[c] }, pairs, 2), 1
	case s.front.split != nil:
		in := split(out, s.front.mean, halves(out.Channels), 1)
		if s.front.split.Mean == nil {
			return in, 1
		}
		scale := total(in.values)
		for i := range in.values {
			in.values[i] /= scale
		}
		return in, scale
	}
	for i := range out.values {
		out.values[i] += p.Offset
	}
	return out, 1
}

// mean returns the mean of the on/off split at a place.
func (f *front) mean(_, at int) float32 {
	if f.split.Mean == nil {
		return 0.5
	}
	v := f.split.Mean.Float32s()
	return v[at%len(v)]
}

func total(values []float32) float32 {
	var sum float32
	for _, v := range values {
		sum += v
	}
	return max(sum, 1e-20)
}

// split returns the on/off split of a picture. channels returns where the parts of a channel are.
func split(f field, mean func(channel, at int) float32, channels func(c int) (on, off int), factor float32) field {
	size := f.Height * f.Width
	out := newField(convert.Size{Channels: 2 * f.Channels, Height: f.Height, Width: f.Width})
	for i, v := range f.values {
		channel, at := i/size, i%size
		on, off := channels(channel)
		d := float32(v-mean(channel, at)) * factor
		out.values[on*size+at], out.values[off*size+at] = max(d, 0), max(-d, 0)
	}
	return out
}

// difference undoes split: light minus dark.
func difference(f field, channels func(c int) (on, off int)) field {
	size := f.Height * f.Width
	out := newField(convert.Size{Channels: f.Channels / 2, Height: f.Height, Width: f.Width})
	for i := range out.values {
		on, off := channels(i / size)
		out.values[i] = f.values[on*size+i%size] - f.values[off*size+i%size]
	}
	return out
}

// picture returns the pixels of a picture whose front layer has the given input, which the network
// has divided by scale.
func (s *stage) picture(in field, scale float32) field {
	size := in.Height * in.Width
	switch mean := s.network.Preprocessing.OnOffMean; {
	case mean != nil:
		in = difference(in, pairs)
		for i, d := range in.values {
			in.values[i] = mean[i/size] + float32(d/2)
		}
	case s.front.split != nil:
		in = difference(in, halves(in.Channels/2))
		for i, d := range in.values {
			in.values[i] = s.front.mean(0, i%size) + float32(d*scale)
		}
	}
	return in
}

// pairs and halves return the channels of the on/off split of channel c: those of the preprocessing
// and those of an OnOff layer for a picture with n channels.
func pairs(c int) (on, off int) { return 2*c + 1, 2 * c }

func halves(n int) func(c int) (on, off int) {
	return func(c int) (on, off int) { return c, n + c }
}

// channels names what a spike of each input of the front layer means.
func (s *stage) channels() []string {
	plain := []string{"light"}
	if s.network.Input.Channels == 3 {
		plain = []string{"red", "green", "blue"}
	}
	var list []string
	switch {
	case s.network.Preprocessing.OnOffMean != nil:
		for _, name := range plain {
			list = append(list, "dark", name)
		}
	case s.front.split != nil:
		list = append(slices.Clone(plain), slices.Repeat([]string{"dark"}, len(plain))...)
	default:
		list = plain
	}
	return list
}

// masses returns the sum of the patch at every position of a window.
func masses(w convert.Window, in field, positions [2]int) []float32 {
	sums := make([]float32, positions[0]*positions[1])
	for i := range sums {
		top, left := i/positions[1]*w.Strides[0]-w.Pads[0], i%positions[1]*w.Strides[1]-w.Pads[1]
		for place := range w.Kernel[0] * w.Kernel[1] {
			y, x := top+place/w.Kernel[1]*w.Dilations[0], left+place%w.Kernel[1]*w.Dilations[1]
			if y < 0 || y >= in.Height || x < 0 || x >= in.Width {
				continue
			}
			for c := range in.Channels {
				sums[i] += in.values[c*in.Height*in.Width+in.at(y, x)]
			}
		}
	}
	return sums
}

// black returns the number of positions that draw spikes from a black patch. Those whose patch is 0
// draw none, but the network may add a number like 1e-20 to all pixels.
func black(mass []float32) int {
	n := 0
	for _, sum := range mass {
		if sum > 0 && sum < 1e-12 {
			n++
		}
	}
	return n
}

// reconstruct returns the picture that the h of the front layer stands for. in and scale are those
// of input, and mass are the sums of the patches.
func (s *stage) reconstruct(h, in field, scale float32, mass []float32) field {
	f := s.front
	whole := f.project(h, mass)
	inner := newField(in.Size)
	for i := range inner.values { // without the padding, and without what no patch covers
		channel, y, x := i/(in.Height*in.Width), i/in.Width%in.Height+f.window.Pads[0], i%in.Width+f.window.Pads[1]
		if y < whole.Height && x < whole.Width {
			inner.values[i] = whole.values[channel*whole.Height*whole.Width+whole.at(y, x)]
		}
	}
	return s.picture(inner, scale)
}

// visible returns weights, as neuron returns them, as a picture from black to white. If they can be
// negative, or are those of an on/off split, gray stands for 0.
func (s *stage) visible(f field, signed bool) field {
	out := f
	switch {
	case s.front.split != nil:
		out = difference(f, halves(f.Channels/2))
		signed = true
	case s.network.Preprocessing.OnOffMean != nil:
		out = difference(f, pairs)
		signed = true
	}
	most := float32(1e-20)
	for _, v := range out.values {
		most = max(most, v, -v)
	}
	for i, v := range out.values {
		out.values[i] = v / most
		if signed {
			out.values[i] = 0.5 + float32(v/most/2)
		}
	}
	return out
}
