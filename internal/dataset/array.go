package dataset

import (
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"path/filepath"
)

// array holds the images of a file with many images.
type array struct {
	file  string
	shape layout
	opt   Options
	max   float32 // the value of white
	read  reader
	done  func() error // closes the file
}

// reader stores the values of image i in dst, in the order of the file.
type reader func(i int, dst []float32) error

// layout is the layout of the images in an array.
type layout struct {
	n    int // number of images
	size Size
	last bool // the channels are the last dimension, not the second
}

// arrange finds the layout of an array of images, or of one image. The images must have
// the size in the options, or 1 or 3 channels if they may be resized or the options have
// no size. If the channels can be first or last, they are last, as in the files of
// PyTorch-SbS.
func arrange(shape []int, opt Options) (layout, error) {
	for _, d := range shape {
		if d < 1 {
			return layout{}, fmt.Errorf("the array of shape %v contains no images", shape)
		}
	}
	choices := layouts(shape, opt.Size)
	if len(choices) == 0 {
		return layout{}, fmt.Errorf("the array has shape %v, but images have %s", shape, imageShapes)
	}
	for _, l := range choices {
		if l.size == opt.Size {
			return l, nil
		}
	}
	if opt.Size != (Size{}) && !opt.Resize {
		return layout{}, fmt.Errorf("the array has shape %v, but the network needs images of %v (channels x height x width): allow conversion %s",
			shape, opt.Size, adviseResize)
	}
	for _, l := range choices {
		if c := l.size.Channels; c == 1 || c == 3 {
			return l, checkPixels(l.size)
		}
	}
	return layout{}, fmt.Errorf("the array has shape %v, want images with 1 or 3 channels", shape)
}

const imageShapes = "(n, height, width), (n, height, width, channels), (n, channels, height, width) or (n, pixels), " +
	"and one image has (height, width), (height, width, channels), (channels, height, width) or (pixels)"

// layouts returns the layouts that an array can have, the most likely first.
func layouts(shape []int, want Size) []layout {
	switch len(shape) {
	case 1:
		if size, ok := unflatten(shape[0], want); ok {
			return []layout{{1, size, false}}
		}
	case 2:
		one := layout{1, Size{1, shape[0], shape[1]}, false}
		size, ok := unflatten(shape[1], want)
		rows := layout{shape[0], size, false}
		switch {
		case !ok:
			return []layout{one}
		case size != want && shape[0] == shape[1]: // a square image
			return []layout{one, rows}
		}
		return []layout{rows, one}
	case 3:
		many := layout{shape[0], Size{1, shape[1], shape[2]}, false}
		last := layout{1, Size{shape[2], shape[0], shape[1]}, true}
		first := layout{1, Size{shape[0], shape[1], shape[2]}, false}
		if c := shape[2]; c == 1 || c == 3 { // hardly the width of images
			return []layout{last, many, first}
		}
		return []layout{many, last, first}
	case 4:
		return []layout{
			{shape[0], Size{shape[3], shape[1], shape[2]}, true},
			{shape[0], Size{shape[1], shape[2], shape[3]}, false},
		}
	}
	return nil
}

// unflatten returns the size of images with n values in a row: the wanted size, a square
// or a square of three channels. The channels are first, as in the files of CIFAR-10.
func unflatten(n int, want Size) (Size, bool) {
	if want != (Size{}) && want.len() == n {
		return want, true
	}
	const least = 8 // the images of scikit-learn's load_digits
	for _, channels := range []int{1, 3} {
		if side := int(math.Sqrt(float64(n / channels))); side >= least && side*side*channels == n {
			return Size{channels, side, side}, true
		}
	}
	return Size{}, false
}

func checkPixels(s Size) error {
	if s.Height > maxPixels/s.Width {
		return fmt.Errorf("images of %v (channels x height x width) have more than %d pixels", s, maxPixels)
	}
	return nil
}

func (a *array) len() int          { return a.shape.n }
func (a *array) name(i int) string { return fmt.Sprintf("%s[%d]", filepath.Base(a.file), i) }
func (a *array) close() error      { return a.done() }

func (a *array) size() Size {
	if a.opt.Size != (Size{}) {
		return a.opt.Size
	}
	return a.shape.size
}

func (a *array) pixels(i int) ([]float32, error) {
	size := a.shape.size
	values := make([]float32, size.len())
	if err := a.read(i, values); err != nil {
		return nil, err
	}
	for k := range values {
		values[k] /= a.max
	}
	if a.shape.last && size.Channels > 1 {
		values = channelsFirst(values, size)
	}
	if size == a.size() {
		return values, nil
	}
	return fit(picture16(values, size), a.opt)
}

// channelsFirst reorders values from (height, width, channels) to (channels, height,
// width).
func channelsFirst(values []float32, size Size) []float32 {
	out := make([]float32, 0, len(values))
	for c := range size.Channels {
		for i := c; i < len(values); i += size.Channels {
			out = append(out, values[i])
		}
	}
	return out
}

// picture16 converts values from 0 to 1, with one or three channels, to an image.
func picture16(values []float32, size Size) image.Image {
	img := image.NewRGBA64(image.Rect(0, 0, size.Width, size.Height))
	plane := size.Height * size.Width
	second, third := 0, 0 // offsets of green and blue
	if size.Channels == 3 {
		second, third = plane, 2*plane
	}
	depth := func(v float32) uint16 { return uint16(math.Round(float64(v) * math.MaxUint16)) }
	for i := range plane {
		img.SetRGBA64(i%size.Width, i/size.Width, color.RGBA64{
			R: depth(values[i]), G: depth(values[second+i]), B: depth(values[third+i]), A: math.MaxUint16,
		})
	}
	return img
}

// bytesAt returns a reader for images of bytes. Image i starts at start + i*step.
func bytesAt(r io.ReaderAt, start, step int64) reader {
	return func(i int, dst []float32) error {
		content := make([]byte, len(dst))
		// io.EOF may accompany the last byte of a file.
		if n, err := r.ReadAt(content, start+int64(i)*step); n < len(content) {
			return fmt.Errorf("the file has become shorter since it was opened: %w", err)
		}
		for k, v := range content {
			dst[k] = float32(v)
		}
		return nil
	}
}
