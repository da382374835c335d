package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// window holds the attributes that say how a window slides over images. Conv,
// ConvTranspose, MaxUnpool and the pools have them.
type window struct {
	kernel, strides, dilations []int // nil if not given
	pads                       []int // before each axis, then after each
	autoPad                    string
	ceil                       bool // keep the last, incomplete window
}

// newWindow reads the attributes of a window. The node may have the other attributes named
// by more, and no others.
func newWindow(a ops.Attributes, more ...string) (w window, err error) {
	if err := a.Only(append(more, "auto_pad", "dilations", "kernel_shape", "pads", "strides")...); err != nil {
		return w, err
	}
	if w.kernel, err = sizesAttr(a, "kernel_shape", 1); err != nil {
		return w, err
	}
	if w.strides, err = sizesAttr(a, "strides", 1); err != nil {
		return w, err
	}
	if w.dilations, err = sizesAttr(a, "dilations", 1); err != nil {
		return w, err
	}
	if w.pads, err = sizesAttr(a, "pads", 0); err != nil {
		return w, err
	}
	if w.autoPad, err = ops.Attr(a, "auto_pad", "NOTSET"); err != nil {
		return w, err
	}
	return w, w.checkAutoPad()
}

// checkAutoPad checks auto_pad, which excludes explicit pads.
func (w *window) checkAutoPad() error {
	switch w.autoPad {
	case "NOTSET":
		return nil
	case "VALID", "SAME_UPPER", "SAME_LOWER":
	default:
		return fmt.Errorf("%w: auto_pad %q, want NOTSET, VALID, SAME_UPPER or SAME_LOWER", ops.ErrAttribute, w.autoPad)
	}
	for _, p := range w.pads {
		if p != 0 {
			return fmt.Errorf("%w: auto_pad %s cannot be combined with pads %v", ops.ErrAttribute, w.autoPad, w.pads)
		}
	}
	return nil
}

// requireKernel returns an error if the attribute kernel_shape is missing.
func (w *window) requireKernel() error {
	if len(w.kernel) == 0 {
		return fmt.Errorf("%w: kernel_shape is missing", ops.ErrAttribute)
	}
	return nil
}

// groupAttr returns the attribute group of a convolution.
func groupAttr(a ops.Attributes) (int, error) {
	group, err := ops.Attr(a, "group", int64(1))
	if err == nil && (group < 1 || group > ops.MaxElements) {
		err = fmt.Errorf("%w: group %d is out of range", ops.ErrAttribute, group)
	}
	return int(group), err
}

// sizesAttr returns a list of integers that must be at least lowest and small enough to be
// multiplied with each other. It returns nil if the attribute is absent.
func sizesAttr(a ops.Attributes, name string, lowest int64) ([]int, error) {
	list, err := ops.Attr[[]int64](a, name, nil)
	if err != nil || list == nil {
		return nil, err
	}
	s := make([]int, len(list))
	for i, v := range list {
		if v < lowest || v > ops.MaxElements {
			return nil, fmt.Errorf("%w: %s %v: %d is not in %d to %d", ops.ErrAttribute, name, list, v, lowest, ops.MaxElements)
		}
		s[i] = int(v)
	}
	return s, nil
}

// spatialAxis describes a spatial axis of images and how a window slides along it. in, out and
// kernel are -1 if they are not known.
type spatialAxis struct {
	in, out                  int
	kernel, stride, dilation int
	before, after            int // padding
}

// axes returns the spatial axes for images and a kernel of the given sizes.
func (w *window) axes(images []ops.Dim, kernel []int) ([]spatialAxis, error) {
	axes, err := w.settings(len(images))
	if err != nil {
		return nil, err
	}
	for i := range axes {
		a := &axes[i]
		a.in, a.kernel = images[i].Size, kernel[i]
		if !images[i].Known() {
			continue
		}
		if err := a.resolve(w.autoPad, w.ceil); err != nil {
			return nil, fmt.Errorf("%w on spatial axis %d", err, i)
		}
	}
	return axes, nil
}

// settings returns n spatial axes with their strides, dilations and padding. The sizes are
// unknown.
func (w *window) settings(n int) ([]spatialAxis, error) {
	for _, list := range []struct {
		name   string
		values []int
		want   int
	}{
		{"kernel_shape", w.kernel, n}, {"strides", w.strides, n}, {"dilations", w.dilations, n}, {"pads", w.pads, 2 * n},
	} {
		if err := checkNumbers(list.name, list.values, list.want, n); err != nil {
			return nil, err
		}
	}
	axes := make([]spatialAxis, n)
	for i := range axes {
		axes[i] = spatialAxis{
			in: -1, out: -1, kernel: -1, stride: numberAt(w.strides, i, 1), dilation: numberAt(w.dilations, i, 1),
			before: numberAt(w.pads, i, 0), after: numberAt(w.pads, n+i, 0),
		}
	}
	return axes, nil
}

// checkNumbers returns an error if a list is given and does not have the wanted length.
func checkNumbers(name string, list []int, want, axes int) error {
	if list != nil && len(list) != want {
		return fmt.Errorf("%w: the length of %s %v is %d, want %d (spatial axes: %d)", ops.ErrAttribute, name, list, len(list), want, axes)
	}
	return nil
}

// numberAt returns entry i of a list, or the default if the list is not given.
func numberAt(list []int, i, standard int) int {
	if list == nil {
		return standard
	}
	return list[i]
}

// kernelOf returns the spatial sizes of weights, from the weights or the attribute
// kernel_shape, and -1 where neither is known.
func (w *window) kernelOf(weights []ops.Dim) ([]int, error) {
	kernel := make([]int, len(weights))
	for i, d := range weights {
		kernel[i] = d.Size
		if d.Size == 0 {
			return nil, fmt.Errorf("%w: W has a spatial size of 0", ops.ErrShape)
		}
		if i >= len(w.kernel) {
			continue
		}
		if d.Known() && d.Size != w.kernel[i] {
			return nil, fmt.Errorf("%w: kernel_shape %v is not the kernel shape of W", ops.ErrShape, w.kernel)
		}
		kernel[i] = w.kernel[i]
	}
	return kernel, nil
}

// resolve computes the size of the output and, for auto_pad, the padding.
func (a *spatialAxis) resolve(autoPad string, ceil bool) error {
	same := autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER"
	if same {
		a.out = (a.in + a.stride - 1) / a.stride
	}
	if a.kernel < 0 {
		return nil
	}
	extent := (a.kernel-1)*a.dilation + 1
	if same {
		pad := max(0, (a.out-1)*a.stride+extent-a.in)
		a.before, a.after = pad/2, pad-pad/2
		if autoPad == "SAME_LOWER" {
			a.before, a.after = a.after, a.before
		}
		return nil
	}
	room := a.in + a.before + a.after - extent
	incomplete := ceil && autoPad == "NOTSET" // the first window may be incomplete, too
	if room < 0 && !(incomplete && room > -a.stride) {
		return fmt.Errorf("%w: a window of %d pixels does not fit into an image of size %d with padding %d and %d",
			ops.ErrShape, extent, a.in, a.before, a.after)
	}
	a.out = (room + a.stride) / a.stride // rounded down, as the sum is not negative
	// As in PyTorch, a window that would start beyond the image is dropped.
	if incomplete && room%a.stride != 0 && a.out*a.stride < a.in+a.before {
		a.out++
	}
	return nil
}

// rowsAndColumns returns one or two spatial axes as two. A one-dimensional image counts as
// a single row.
func rowsAndColumns(axes []spatialAxis) (rows, cols spatialAxis) {
	if len(axes) == 1 {
		return spatialAxis{in: 1, out: 1, kernel: 1, stride: 1, dilation: 1}, axes[0]
	}
	return axes[0], axes[1]
}

// checkImages returns an error unless X has the shape (images, channels, ...) with at least
// one spatial axis.
func checkImages(t ops.Type) error {
	if len(t.Shape) < 3 {
		return fmt.Errorf("%w: X is %v, want at least 3 dimensions", ops.ErrShape, t)
	}
	return nil
}

// span is the part of a window that lies on the image.
type span struct {
	first, step, count int
	padded             int // number of taps on the image or its padding
}

// span returns the part of the window at an index of the output.
func (a *spatialAxis) span(out int) span {
	start := out*a.stride - a.before
	// taps returns the number of taps before a place.
	taps := func(place int) int {
		n := place - start
		if a.dilation > 1 { // without dilations, avoid the slow division
			n = (n + a.dilation - 1) / a.dilation
		}
		return min(max(0, n), a.kernel)
	}
	skipped := 0
	if start < 0 {
		skipped = taps(0)
	}
	return span{
		first:  start + skipped*a.dilation,
		step:   a.dilation,
		count:  max(0, taps(a.in)-skipped),
		padded: taps(a.in + a.after),
	}
}

// pairs reports whether the windows are adjacent pairs of pixels that all lie on the image.
func (a *spatialAxis) pairs() bool {
	return a.kernel == 2 && a.stride == 2 && a.dilation == 1 && a.before == 0 && 2*a.out <= a.in
}

// whole reports whether there is one window, which holds all pixels and no padding.
func (a *spatialAxis) whole() bool {
	return a.out == 1 && a.kernel == a.in && a.dilation == 1 && a.before+a.after == 0
}
