package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// maxCompressed bounds the elements of a compressed array unless they are bytes, which
// npy.MaxElements bounds. In both cases the array takes up to 2 GiB.
const maxCompressed = 1 << 28

// openPattern opens an .npy file of images.
func openPattern(path string, opt Options) (part, error) {
	return newPattern(path, opt, readerOf(path))
}

// newPattern reads images from an array.
func newPattern(path string, opt Options, read npy.Reader) (part, error) {
	var shape layout
	a, err := read(func(h npy.Header) (err error) {
		if err := h.CheckNumeric(); err != nil {
			return err
		}
		if shape, err = arrange(h.Shape, opt); err != nil {
			return err
		}
		if h.Compressed && h.Type != "u1" && h.Count > maxCompressed {
			return fmt.Errorf("the array of shape %v has %d elements, but a compressed file can have at most %d unless they are bytes (uint8): "+
				"decompress the file, or split it", h.Shape, h.Count, maxCompressed)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p := &array{file: path, shape: shape, opt: opt, done: func() error { return nil }}
	switch data := a.Data.(type) {
	case []uint8:
		// Keep bytes, which need a quarter of the memory of float32.
		p.max, p.read = float32(slices.Max(data)), bytesAt(bytes.NewReader(data), 0, int64(shape.size.len()))
	case []bool:
		p.max, p.read = 1, boolsAt(data)
	default:
		values, err := a.Float32s()
		if err != nil {
			return nil, err
		}
		if p.max, err = largest(values, shape.size); err != nil {
			return nil, err
		}
		p.read = floatsAt(values)
	}
	p.white(p.max)
	return p, nil
}

// white sets the value of white, given the largest value in the file.
func (a *array) white(most float32) {
	a.max = most
	if a.max == 0 {
		a.max = 1 // all images are black
	}
	if doubt := doubtful(a.max); doubt != "" {
		a.opt.warn(a.file + ": " + doubt)
	}
}

func boolsAt(data []bool) reader {
	return func(i int, dst []float32) error {
		for k, v := range data[i*len(dst):][:len(dst)] {
			if v {
				dst[k] = 1
			}
		}
		return nil
	}
}

func floatsAt(data []float32) reader {
	return func(i int, dst []float32) error {
		copy(dst, data[i*len(dst):])
		return nil
	}
}

// doubtful returns a text about the largest value of a file that is hardly the value of white,
// or "". One wrong value that is far too large makes all images dark.
func doubtful(most float32) string {
	for _, white := range []float32{1, math.MaxUint8, math.MaxUint16} {
		if most > white/2 && most <= white {
			return ""
		}
	}
	return fmt.Sprintf("the largest value is %v, and all values are divided by it: arrays of images usually hold values from 0 to 1, 255 or 65535", most)
}

// largest returns the largest value, or an error if a value is not finite or negative.
func largest(data []float32, size Size) (float32, error) {
	most := float32(0)
	for i, v := range data {
		if !(v >= 0 && v <= math.MaxFloat32) {
			return 0, fmt.Errorf("image %d has the value %v, want finite numbers of at least 0", i/size.len(), v)
		}
		most = max(most, v)
	}
	return most, nil
}
