package dataset

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// cifarSize is the size of the images of CIFAR-10.
var cifarSize = Size{3, 32, 32}

const (
	cifarPixels  = 3 * 32 * 32
	cifarRecord  = 1 + cifarPixels // a label, then the pixels
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

// isPickledCIFAR reports whether a file has the name of a batch of the Python version and
// begins like a pickle.
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
		return nil, labels{}, fmt.Errorf("%s: %w; the binary version of CIFAR-10 (data_batch_1.bin) has the same images", path, withoutPath(err))
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
	b, err := cifarBatch(value)
	if err != nil {
		return nil, labels{}, fmt.Errorf("not a pickled batch of CIFAR-10: %w", err)
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

// batch is the content of a pickled batch.
type batch struct {
	pixels string // cifarPixels bytes per image
	labels []int
}

// cifarBatch decodes the dictionary {"data": array, "labels": list} of a batch.
func cifarBatch(value any) (batch, error) {
	dict, ok := value.(map[string]any)
	if !ok {
		return batch{}, errors.New("the file does not hold a dictionary")
	}
	labels, err := cifarLabels(dict["labels"])
	if err != nil {
		return batch{}, err
	}
	a, err := decodeArray(dict["data"])
	if err == nil {
		err = a.check(len(labels))
	}
	if err != nil {
		return batch{}, fmt.Errorf("the array \"data\" %w", err)
	}
	return batch{a.elements, labels}, nil
}

// cifarLabels decodes the list of labels.
func cifarLabels(value any) ([]int, error) {
	list, ok := value.(*[]any)
	if !ok {
		return nil, errors.New("the list \"labels\" is missing")
	}
	if len(*list) == 0 {
		return nil, errors.New("the list \"labels\" is empty")
	}
	labels := make([]int, len(*list))
	for i, v := range *list {
		// A value that is not a number is not printed: one that contains itself
		// would never end.
		if labels[i], ok = v.(int); !ok {
			return nil, fmt.Errorf("the label of image %d is not a number", i)
		}
		if labels[i] < 0 || labels[i] >= cifarClasses {
			return nil, fmt.Errorf("image %d has label %d, want 0 to %d", i, labels[i], cifarClasses-1)
		}
	}
	return labels, nil
}

// pickledArray is a NumPy array in a pickle.
type pickledArray struct {
	shape    []any // normally numbers
	dtype    string
	fortran  bool // the first index varies fastest
	elements string
}

// decodeArray decodes a NumPy array. Its state is the tuple (version, shape, type,
// Fortran order, elements); see numpy.ndarray.__setstate__. Errors continue the words
// "the array ...".
func decodeArray(value any) (pickledArray, error) {
	o, ok := value.(*object)
	if !ok {
		return pickledArray{}, errors.New("is missing")
	}
	if !strings.HasSuffix(o.class, ".multiarray _reconstruct") {
		return pickledArray{}, errors.New("is not a NumPy array")
	}
	if len(o.state) != 5 {
		return pickledArray{}, fmt.Errorf("has a state of %d values, want 5", len(o.state))
	}
	var a pickledArray
	if a.shape, ok = o.state[1].([]any); !ok {
		return a, errors.New("has no shape")
	}
	dtype, ok := o.state[2].(*object)
	if !ok || dtype.class != "numpy dtype" || len(dtype.args) == 0 {
		return a, errors.New("has no element type")
	}
	if a.dtype, ok = dtype.args[0].(string); !ok {
		return a, errors.New("has an element type without a name")
	}
	if a.fortran, ok = o.state[3].(bool); !ok {
		return a, errors.New("does not say in which order its elements are")
	}
	if a.elements, ok = o.state[4].(string); !ok {
		return a, errors.New("has no elements")
	}
	return a, nil
}

// check reports whether an array holds n images.
func (a pickledArray) check(n int) error {
	if a.dtype != "u1" {
		return fmt.Errorf("has elements of type %q, want \"u1\" (uint8)", a.dtype)
	}
	if a.fortran {
		return errors.New("is in Fortran order, want C order")
	}
	if len(a.shape) != 2 {
		return fmt.Errorf("has %d dimensions, want 2", len(a.shape))
	}
	if a.shape[0] != n {
		return fmt.Errorf("does not have one row for each of the %d labels", n)
	}
	if a.shape[1] != cifarPixels {
		return fmt.Errorf("does not have %d values per row", cifarPixels)
	}
	if len(a.elements) != n*cifarPixels {
		return fmt.Errorf("has %d bytes, want %d for %d images", len(a.elements), n*cifarPixels, n)
	}
	return nil
}
