package rest

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/ops"
)

// encode returns the body of a response, and the number of bytes of its JSON object if binary
// tensors follow, or else 0. It writes the object itself, because most of it is numbers.
func encode(r *inference.Response, isBinary func(output string) bool) (body []byte, header int, err error) {
	b := appendString([]byte(`{"model_name":`), r.Model)
	b = appendString(append(b, `,"model_version":`...), r.Version)
	if r.ID != "" {
		b = appendString(append(b, `,"id":`...), r.ID)
	}
	b = append(b, `,"outputs":[`...)
	var binary []byte
	for i, out := range r.Outputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), out.Name)
		b = append(append(b, `,"datatype":"`...), out.Datatype()...)
		b = append(b, `","shape":[`...)
		for j, n := range out.Shape {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(n), 10)
		}
		if isBinary(out.Name) {
			before := len(binary)
			binary = inference.AppendRaw(binary, out.Tensor)
			b = append(b, `],"parameters":{"`+binarySize+`":`...)
			b = append(strconv.AppendInt(b, int64(len(binary)-before), 10), "}}"...)
			header = 1
			continue
		}
		if out.OnlyRaw() {
			return nil, 0, inference.Errorf(inference.Invalid, "output %q: JSON has no %s: ask for a binary tensor (parameter %s)", out.Name, out.Datatype(), binaryData)
		}
		b = append(b, `],"data":[`...)
		if b, err = appendData(b, out); err != nil {
			return nil, 0, err
		}
		b = append(b, "]}"...)
	}
	b = append(b, "]}"...)
	if header > 0 {
		header = len(b)
	}
	return append(b, binary...), header, nil
}

func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // every string can be written
	}
	return append(b, text...)
}

// appendData appends the elements of an output, separated by commas.
func appendData(b []byte, out inference.Output) ([]byte, error) {
	if out.Values == nil {
		for i, s := range out.Strings {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, string(s))
		}
		return b, nil
	}
	var err error
	switch v := out.Values.Elements().(type) {
	case []float32:
		b, err = appendList(b, v, func(b []byte, x float32) ([]byte, bool) { return appendFloat(b, float64(x), 32) })
	case []float64:
		b, err = appendList(b, v, func(b []byte, x float64) ([]byte, bool) { return appendFloat(b, x, 64) })
	case []bool:
		b, err = appendList(b, v, func(b []byte, x bool) ([]byte, bool) { return strconv.AppendBool(b, x), true })
	case []uint8:
		b, err = appendList(b, v, appendUint[uint8])
	case []uint16:
		b, err = appendList(b, v, appendUint[uint16])
	case []uint32:
		b, err = appendList(b, v, appendUint[uint32])
	case []uint64:
		b, err = appendList(b, v, appendUint[uint64])
	case []int8:
		b, err = appendList(b, v, appendInt[int8])
	case []int16:
		b, err = appendList(b, v, appendInt[int16])
	case []int32:
		b, err = appendList(b, v, appendInt[int32])
	case []int64:
		b, err = appendList(b, v, appendInt[int64])
	}
	if err != nil {
		return nil, inference.Errorf(inference.Internal, "output %q: %w", out.Name, err)
	}
	return b, nil
}

func appendList[T ops.Element](b []byte, values []T, element func([]byte, T) ([]byte, bool)) ([]byte, error) {
	for i, x := range values {
		if i > 0 {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = element(b, x); !ok {
			return nil, inference.Errorf(inference.Internal, "element %d is %v, which JSON cannot express: ask for a binary tensor (parameter %s)", i, x, binaryData)
		}
	}
	return b, nil
}

func appendFloat(b []byte, x float64, bits int) ([]byte, bool) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return b, false
	}
	return strconv.AppendFloat(b, x, 'g', -1, bits), true
}

func appendUint[T uint8 | uint16 | uint32 | uint64](b []byte, x T) ([]byte, bool) {
	return strconv.AppendUint(b, uint64(x), 10), true
}

func appendInt[T int8 | int16 | int32 | int64](b []byte, x T) ([]byte, bool) {
	return strconv.AppendInt(b, int64(x), 10), true
}
