package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
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

// An image of a CIFAR-10 batch: a label, then 3 channels.
var cifarSize = Size{3, 32, 32}

const (
	cifarRecord  = 1 + 3*32*32
	cifarClasses = 10
)

func isCIFAR(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Size() > 0 && info.Size()%cifarRecord == 0
}

// openCIFAR opens a batch of CIFAR-10. Errors name the path.
func openCIFAR(path string, opt Options) (part, labels, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	p, l, err := newCIFAR(f, path, opt)
	if err != nil {
		return nil, labels{}, errors.Join(fmt.Errorf("%s: %w", path, withoutPath(err)), f.Close())
	}
	return p, l, nil
}

func newCIFAR(f *os.File, path string, opt Options) (part, labels, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, labels{}, err
	}
	n := int(info.Size() / cifarRecord)
	shape, err := arrange([]int{n, cifarSize.Channels, cifarSize.Height, cifarSize.Width}, opt)
	if err != nil {
		return nil, labels{}, err
	}
	var l labels
	var label [1]byte
	for i := range n {
		if _, err := f.ReadAt(label[:], int64(i)*cifarRecord); err != nil {
			return nil, labels{}, err
		}
		if label[0] >= cifarClasses {
			return nil, labels{}, fmt.Errorf("image %d has label %d: not a batch of CIFAR-10", i, label[0])
		}
		l.numbers = append(l.numbers, int(label[0]))
	}
	return &array{
		file: path, shape: shape, opt: opt, max: math.MaxUint8,
		read: bytesAt(f, 1, cifarRecord),
		done: f.Close,
	}, l, nil
}
