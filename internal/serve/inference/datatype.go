package inference

import (
	"maps"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// Bytes is the datatype of strings of bytes.
const Bytes = "BYTES"

var datatypes = map[ops.DType]string{
	ops.Bool: "BOOL", ops.Uint8: "UINT8", ops.Uint16: "UINT16", ops.Uint32: "UINT32", ops.Uint64: "UINT64",
	ops.Int8: "INT8", ops.Int16: "INT16", ops.Int32: "INT32", ops.Int64: "INT64", ops.Float32: "FP32", ops.Float64: "FP64",
	ops.Float16: "FP16", ops.BFloat16: "BF16",
}

// OnlyRaw reports whether elements are transferred only in binary form: the protocol has neither JSON nor
// typed contents for FP16 and BF16.
func OnlyRaw(d ops.DType) bool { return d == ops.Float16 || d == ops.BFloat16 }

// Datatype returns the protocol's name of an element type.
func Datatype(d ops.DType) string { return datatypes[d] }

// ElementType returns the element type with a name of the protocol, or 0 for Bytes. The error
// names the input.
func ElementType(input, datatype string) (ops.DType, error) {
	if datatype == Bytes {
		return 0, nil
	}
	for d, name := range datatypes {
		if name == datatype {
			return d, nil
		}
	}
	names := append(slices.Sorted(maps.Values(datatypes)), Bytes)
	return 0, Errorf(Invalid, "input %q: the datatype %q is not supported: want one of %s", input, datatype, strings.Join(names, ", "))
}

// maxDims is the largest number of dimensions of a value in ONNX models of this project.
const maxDims = 64

// maxStrings is the largest number of strings in a request. Each of them can take many times as many
// bytes in memory as in the request.
const maxStrings = 100_000

// Type checks the datatype and the shape of an input, which may be anything. It returns the element
// type, 0 for Bytes, the shape, and the number of elements.
func Type(input, datatype string, shape []int64) (d ops.DType, sizes []int, count int, err error) {
	if d, err = ElementType(input, datatype); err != nil {
		return 0, nil, 0, err
	}
	if len(shape) > maxDims {
		return 0, nil, 0, Errorf(Invalid, "input %q: the shape has %d dimensions, at most %d are supported", input, len(shape), maxDims)
	}
	sizes = make([]int, len(shape))
	for i, n := range shape {
		if n < 0 || n > ops.MaxElements {
			return 0, nil, 0, Errorf(Invalid, "input %q: the shape %v has the dimension %d: want 0 to %d", input, shape, n, ops.MaxElements)
		}
		sizes[i] = int(n)
	}
	if count, err = ops.Len(sizes); err != nil {
		return 0, nil, 0, Errorf(Invalid, "input %q: the shape %v has more than %d elements", input, shape, ops.MaxElements)
	}
	if d == 0 && count > maxStrings {
		return 0, nil, 0, Errorf(Invalid, "input %q: the shape %v of BYTES has more than %d elements", input, shape, maxStrings)
	}
	return d, sizes, count, nil
}
