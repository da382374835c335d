package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spike-by-spike/sbs/internal/pickle"
)

// batch is the content of a pickled batch of CIFAR-10.
type batch struct {
	pixels string // cifarPixels bytes per image
	labels []int
}

// cifarBatch decodes the dictionary {"data": array, "labels": list} of a batch.
func cifarBatch(value any) (batch, error) {
	dict, ok := value.(map[string]any)
	if !ok {
		return batch{}, errors.New("the file does not contain a dictionary")
	}
	if dict["labels"] == nil {
		return batch{}, errors.New("the list \"labels\" is missing")
	}
	labels, err := integers(dict["labels"])
	if err != nil {
		return batch{}, fmt.Errorf("\"labels\" %w", err)
	}
	if len(labels) == 0 {
		return batch{}, errors.New("the list \"labels\" is empty")
	}
	for i, v := range labels {
		if v < 0 || v >= cifarClasses {
			return batch{}, fmt.Errorf("image %d has label %d, want 0 to %d", i, v, cifarClasses-1)
		}
	}
	if dict["data"] == nil {
		return batch{}, errors.New("the array \"data\" is missing")
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

// pickledArray is a NumPy array in a pickle.
type pickledArray struct {
	shape    []int
	dtype    string // such as "u1" or "i8"
	big      bool   // big endian
	fortran  bool   // the first index varies fastest
	elements string
}

// decodeArray decodes a NumPy array. Errors continue the words "the array ...".
func decodeArray(value any) (pickledArray, error) {
	o, ok := value.(*pickle.Object)
	if !ok {
		return pickledArray{}, errors.New("is not a NumPy array")
	}
	switch _, function, _ := strings.Cut(o.Class, " "); function {
	case "_reconstruct":
		// The state is (version, shape, type, Fortran order, elements), see
		// numpy.ndarray.__setstate__.
		state, ok := o.State.([]any)
		if !ok || len(state) != 5 {
			return pickledArray{}, errors.New("has no state of five values")
		}
		fortran, ok := state[3].(bool)
		if !ok {
			return pickledArray{}, errors.New("does not say in which order its elements are")
		}
		return newPickledArray(state[4], state[2], state[1], fortran)
	case "_frombuffer":
		// Protocol 5: numpy._frombuffer(elements, type, shape, order).
		if len(o.Args) != 4 {
			return pickledArray{}, fmt.Errorf("has %d arguments, want 4", len(o.Args))
		}
		return newPickledArray(o.Args[0], o.Args[1], o.Args[2], o.Args[3] == "F")
	}
	return pickledArray{}, errors.New("is not a NumPy array")
}

func newPickledArray(elements, dtype, shape any, fortran bool) (a pickledArray, err error) {
	a.fortran = fortran
	if a.shape, err = integers(shape); err != nil {
		return a, fmt.Errorf("has a shape that %w", err)
	}
	if a.dtype, a.big, err = elementType(dtype); err != nil {
		return a, err
	}
	var ok bool
	if a.elements, ok = elements.(string); !ok {
		return a, errors.New("has no elements")
	}
	return a, nil
}

// elementType decodes a NumPy dtype. Its byte order is the second value of its state.
func elementType(value any) (name string, big bool, err error) {
	dtype, ok := value.(*pickle.Object)
	if !ok || dtype.Class != "numpy dtype" || len(dtype.Args) == 0 {
		return "", false, errors.New("has no element type")
	}
	if name, ok = dtype.Args[0].(string); !ok {
		return "", false, errors.New("has an element type without a name")
	}
	if state, ok := dtype.State.([]any); ok && len(state) > 1 {
		big = state[1] == ">"
	}
	return name, big, nil
}

// check reports whether an array holds n images, as rows or with the dimensions channels,
// height and width.
func (a pickledArray) check(n int) error {
	if a.dtype != "u1" {
		return fmt.Errorf("has elements of type %q, want \"u1\" (uint8)", a.dtype)
	}
	if a.fortran {
		return errors.New("is in Fortran order, want C order")
	}
	rows := len(a.shape) == 2 && a.shape[1] == cifarPixels
	planes := len(a.shape) == 4 && a.shape[1] == cifarSize.Channels && a.shape[2] == cifarSize.Height && a.shape[3] == cifarSize.Width
	if !rows && !planes || a.shape[0] != n {
		return fmt.Errorf("has shape %v, want [%d %d] for the %d labels", a.shape, n, cifarPixels, n)
	}
	if len(a.elements) != n*cifarPixels {
		return fmt.Errorf("has %d bytes, want %d for %d images", len(a.elements), n*cifarPixels, n)
	}
	return nil
}

// integers decodes a list or tuple of integers, or a NumPy array of integers. Errors
// continue the name of the value.
func integers(value any) ([]int, error) {
	list, ok := value.([]any)
	if p, isList := value.(*[]any); isList {
		list, ok = *p, true
	}
	if !ok {
		a, err := decodeArray(value)
		if err != nil {
			return nil, errors.New("is neither a list of integers nor a NumPy array of them")
		}
		return a.integers()
	}
	numbers := make([]int, len(list))
	for i, v := range list {
		n, err := integer(v)
		if err != nil {
			return nil, fmt.Errorf("has an element %d that is not an integer", i)
		}
		numbers[i] = n
	}
	return numbers, nil
}

var errNoInteger = errors.New("not an integer")

// integer decodes an integer of Python or NumPy.
func integer(value any) (int, error) {
	if n, ok := value.(int); ok {
		return n, nil
	}
	// numpy.core.multiarray.scalar(type, element)
	o, ok := value.(*pickle.Object)
	if !ok || !strings.HasSuffix(o.Class, ".multiarray scalar") || len(o.Args) != 2 {
		return 0, errNoInteger
	}
	dtype, big, err := elementType(o.Args[0])
	if err != nil {
		return 0, err
	}
	element, ok := o.Args[1].(string)
	if !ok {
		return 0, errNoInteger
	}
	numbers, err := pickledArray{shape: []int{1}, dtype: dtype, big: big, elements: element}.integers()
	if err != nil {
		return 0, err
	}
	return numbers[0], nil
}

// integers returns the elements of a vector of integers.
func (a pickledArray) integers() ([]int, error) {
	size := map[string]int{"i1": 1, "u1": 1, "i2": 2, "u2": 2, "i4": 4, "u4": 4, "i8": 8, "u8": 8}[a.dtype]
	if size == 0 {
		return nil, fmt.Errorf("has elements of type %q, want integers", a.dtype)
	}
	if len(a.shape) != 1 || a.shape[0] < 0 || len(a.elements)%size != 0 || a.shape[0] != len(a.elements)/size {
		return nil, fmt.Errorf("has shape %v and %d bytes, want a vector", a.shape, len(a.elements))
	}
	numbers := make([]int, a.shape[0])
	for i := range numbers {
		var eight [8]byte
		element := []byte(a.elements[i*size : (i+1)*size])
		for k := range element {
			at := k
			if a.big {
				at = size - 1 - k
			}
			eight[k] = element[at]
		}
		v := binary.LittleEndian.Uint64(eight[:])
		if a.dtype[0] == 'u' {
			if v > math.MaxInt {
				return nil, fmt.Errorf("has the element %d, want at most %d", v, math.MaxInt)
			}
			numbers[i] = int(v)
			continue
		}
		unused := 64 - 8*size
		n := int64(v<<unused) >> unused
		if int64(int(n)) != n { // possible on processors of 32 bits
			return nil, fmt.Errorf("has the element %d, want %d to %d", n, math.MinInt, math.MaxInt)
		}
		numbers[i] = int(n)
	}
	return numbers, nil
}
