package dataset

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// An image of a CIFAR-10 batch: a label, then 3 channels.
var cifarSize = Size{3, 32, 32}

const (
	cifarPixels  = 3 * 32 * 32
	cifarRecord  = 1 + cifarPixels
	cifarClasses = 10
)

// cifarNames returns the names of the classes, in the order of the labels.
func cifarNames() []string {
	return []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
}

func isCIFAR(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Size() > 0 && info.Size()%cifarRecord == 0
}

// isPickledCIFAR reports whether a file is named as one of the version for
// Python and begins as a pickle does.
func isPickledCIFAR(path string, head []byte) bool {
	name := strings.ToLower(filepath.Base(path))
	return len(head) > 1 && head[0] == opProto && head[1] >= 2 && head[1] <= 5 &&
		(strings.HasPrefix(name, "data_batch") || strings.HasPrefix(name, "test_batch"))
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

// openPickledCIFAR opens a batch of CIFAR-10's version for Python. Errors name
// the path.
func openPickledCIFAR(path string, opt Options) (part, labels, error) {
	p, l, err := newPickledCIFAR(path, opt)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w; CIFAR-10's binary version (data_batch_1.bin) holds the same images", path, withoutPath(err))
	}
	return p, l, nil
}

func newPickledCIFAR(path string, opt Options) (part, labels, error) {
	content, err := readAll(path)
	if err != nil {
		return nil, labels{}, err
	}
	value, err := unpickle(content)
	if err != nil {
		return nil, labels{}, fmt.Errorf("not a pickled batch of CIFAR-10: %w", err)
	}
	pixels, numbers, err := cifarBatch(value)
	if err != nil {
		return nil, labels{}, fmt.Errorf("not a pickled batch of CIFAR-10: %w", err)
	}
	shape, err := arrange([]int{len(numbers), cifarSize.Channels, cifarSize.Height, cifarSize.Width}, opt)
	if err != nil {
		return nil, labels{}, err
	}
	return &array{
		file: path, shape: shape, opt: opt, max: math.MaxUint8,
		read: bytesAt(strings.NewReader(pixels), 0, cifarPixels),
		done: func() error { return nil },
	}, labels{numbers: numbers, classes: cifarNames()}, nil
}

// cifarBatch takes the pixels and the labels out of {"data": array of uint8
// (n, 3072), "labels": [...]}.
func cifarBatch(value any) (pixels string, numbers []int, err error) {
	batch, ok := value.(map[string]any)
	if !ok {
		return "", nil, errors.New("it holds no dictionary")
	}
	list, ok := batch["labels"].(*[]any)
	if !ok || len(*list) == 0 {
		return "", nil, errors.New("it has no list \"labels\"")
	}
	for i, v := range *list {
		label, ok := v.(int)
		if !ok { // not to be printed: what holds itself has no end
			return "", nil, fmt.Errorf("image %d has a label that is no number", i)
		}
		if label < 0 || label >= cifarClasses {
			return "", nil, fmt.Errorf("image %d has label %d", i, label)
		}
		numbers = append(numbers, label)
	}
	// The state of an array is (version, shape, type, Fortran order, elements).
	array, ok := batch["data"].(*object)
	if !ok || !strings.HasSuffix(array.class, ".multiarray _reconstruct") || len(array.state) != 5 {
		return "", nil, errors.New("it has no array \"data\"")
	}
	shape, _ := array.state[1].([]any)
	dtype, _ := array.state[2].(*object)
	pixels, ok = array.state[4].(string)
	if !ok || len(shape) != 2 || shape[0] != len(numbers) || shape[1] != cifarPixels || len(pixels) != len(numbers)*cifarPixels ||
		dtype == nil || dtype.class != "numpy dtype" || len(dtype.args) == 0 || dtype.args[0] != "u1" || array.state[3] != false {
		return "", nil, fmt.Errorf("its array \"data\" is not one of uint8 of shape [%d %d]", len(numbers), cifarPixels)
	}
	return pixels, numbers, nil
}
