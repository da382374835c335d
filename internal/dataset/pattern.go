package dataset

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// openPattern opens an .npy file of images.
func openPattern(path string, opt Options) (part, error) {
	a, err := readNPY(path, npy.MaxElements)
	if err != nil {
		return nil, err
	}
	shape, err := arrange(a.Shape, opt)
	if err != nil {
		return nil, err
	}
	p := &array{file: path, shape: shape, opt: opt, done: func() error { return nil }}
	if data, ok := a.Data.([]uint8); ok {
		// These stay bytes: they are many, and a quarter of the floats.
		p.max = float32(slices.Max(data))
		p.read = bytesAt(bytes.NewReader(data), 0, int64(shape.size.len()))
	} else {
		data, err := a.Float32s()
		if err != nil {
			return nil, err
		}
		if p.max, err = largest(data, shape.size); err != nil {
			return nil, err
		}
		p.read = func(i int, dst []float32) error {
			copy(dst, data[i*len(dst):])
			return nil
		}
	}
	if p.max == 0 {
		p.max = 1 // all images are black
	}
	return p, nil
}

// largest returns the largest value, or an error when a value cannot be that
// of a pixel.
func largest(data []float32, size Size) (float32, error) {
	most := float32(0)
	for i, v := range data {
		if !(v >= 0 && v <= math.MaxFloat32) {
			return 0, fmt.Errorf("image %d has the value %v, pixels must be finite and at least 0", i/size.len(), v)
		}
		most = max(most, v)
	}
	return most, nil
}
