package dataset

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/internal/pickle"
)

// cifarSize is the size of the images of CIFAR-10.
var cifarSize = Size{3, 32, 32}

const (
	cifarPixels  = 3 * 32 * 32
	cifarRecord  = 1 + cifarPixels // a label, then the pixels
	cifarClasses = 10
	cifarBatches = 5 // of the training set
)

// cifarNames returns the names of the classes, in the order of the labels.
func cifarNames() []string {
	return []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
}

func isCIFAR(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Size() > 0 && info.Size()%cifarRecord == 0
}

// isBatchName reports whether a file has the name of a batch of CIFAR-10.
func isBatchName(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	return strings.HasPrefix(name, "data_batch") || strings.HasPrefix(name, "test_batch")
}

// openCIFAR opens a binary batch of CIFAR-10. Errors name the path.
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
	l := labels{classes: cifarNames()}
	var label [1]byte
	for i := range n {
		if _, err := f.ReadAt(label[:], int64(i)*cifarRecord); err != nil {
			return nil, labels{}, err
		}
		if label[0] >= cifarClasses {
			return nil, labels{}, fmt.Errorf("not a batch of CIFAR-10: image %d has label %d, want 0 to %d", i, label[0], cifarClasses-1)
		}
		l.numbers = append(l.numbers, int(label[0]))
	}
	return &array{
		file: path, shape: shape, opt: opt, max: math.MaxUint8,
		read: bytesAt(f, 1, cifarRecord),
		done: f.Close,
	}, l, nil
}

// openPickledCIFAR opens a batch of the Python version of CIFAR-10. Errors name the path.
func openPickledCIFAR(path string, opt Options) (part, labels, error) {
	p, l, err := newPickledCIFAR(path, opt)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	return p, l, nil
}

func newPickledCIFAR(path string, opt Options) (part, labels, error) {
	content, err := readAll(path)
	if err != nil {
		return nil, labels{}, err
	}
	var b batch
	value, err := pickle.Decode(content)
	if err == nil {
		if b, err = cifarBatch(value); err != nil {
			err = fmt.Errorf("not a batch of CIFAR-10: %w", err)
		}
	}
	if err != nil && !isBatchName(path) {
		return nil, labels{}, describe(path, accepted) // another pickle, or weights of PyTorch
	}
	if err != nil {
		return nil, labels{}, fmt.Errorf("%w; the binary version of CIFAR-10 (data_batch_1.bin) has the same images", err)
	}
	shape, err := arrange([]int{len(b.labels), cifarSize.Channels, cifarSize.Height, cifarSize.Width}, opt)
	if err != nil {
		return nil, labels{}, err
	}
	return &array{
		file: path, shape: shape, opt: opt, max: math.MaxUint8,
		read: bytesAt(strings.NewReader(b.pixels), 0, cifarPixels),
		done: func() error { return nil },
	}, labels{numbers: b.labels, classes: cifarNames()}, nil
}
