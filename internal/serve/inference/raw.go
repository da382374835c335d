package inference

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// FromRaw decodes an input from its elements in row-major order and in little-endian byte order, as
// the binary tensor extension and the raw contents of gRPC have them. Each element of BYTES follows
// its length, 4 bytes. FromRaw keeps raw only for BYTES.
func FromRaw(name, datatype string, shape []int64, raw []byte) (Input, error) {
	d, sizes, count, err := Type(name, datatype, shape)
	if err != nil {
		return Input{}, err
	}
	in := Input{Name: name, Tensor: Tensor{Shape: sizes}}
	if d == 0 {
		in.Strings, err = rawStrings(name, count, raw)
		return in, err
	}
	if want := int64(count) * int64(d.Size()); int64(len(raw)) != want {
		return Input{}, Errorf(Invalid, "input %q: the shape %v of %s takes %d bytes, but the request has %d", name, shape, datatype, want, len(raw))
	}
	var data any
	switch d {
	case ops.Bool:
		data, err = rawBools(name, raw)
	case ops.Uint8:
		data = slices.Clone(raw)
	case ops.Int8:
		data = decode(raw, 1, func(b []byte) int8 { return int8(b[0]) })
	case ops.Uint16:
		data = decode(raw, 2, binary.LittleEndian.Uint16)
	case ops.Int16:
		data = decode(raw, 2, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) })
	case ops.Float16:
		data = decode(raw, 2, func(b []byte) ops.F16 { return ops.F16(binary.LittleEndian.Uint16(b)) })
	case ops.BFloat16:
		data = decode(raw, 2, func(b []byte) ops.BF16 { return ops.BF16(binary.LittleEndian.Uint16(b)) })
	case ops.Uint32:
		data = decode(raw, 4, binary.LittleEndian.Uint32)
	case ops.Int32:
		data = decode(raw, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
	case ops.Uint64:
		data = decode(raw, 8, binary.LittleEndian.Uint64)
	case ops.Int64:
		data = decode(raw, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
	case ops.Float64:
		data = decode(raw, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
	default:
		data = float32s(raw)
	}
	if err == nil {
		in.Values, err = ops.FromSlice(sizes, data)
	}
	return in, err
}

// float32s decodes the datatype of images, without a call per element.
func float32s(raw []byte) []float32 {
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}

func decode[T ops.Element](raw []byte, size int, element func([]byte) T) []T {
	out := make([]T, len(raw)/size)
	for i := range out {
		out[i] = element(raw[i*size : (i+1)*size])
	}
	return out
}

func rawBools(name string, raw []byte) ([]bool, error) {
	out := make([]bool, len(raw))
	for i, b := range raw {
		if b > 1 {
			return nil, Errorf(Invalid, "input %q: element %d of BOOL is the byte %d, want 0 or 1", name, i, b)
		}
		out[i] = b == 1
	}
	return out, nil
}

func rawStrings(name string, count int, raw []byte) ([][]byte, error) {
	out := make([][]byte, 0, min(count, len(raw)/4)) // each has its length
	for rest := raw; len(rest) > 0; {
		if len(rest) < 4 || uint64(binary.LittleEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return nil, Errorf(Invalid, "input %q: element %d of BYTES ends after the %d bytes of the data", name, len(out), len(raw))
		}
		if len(out) == count {
			return nil, Errorf(Invalid, "input %q: the shape has %d elements, but the data has more", name, count)
		}
		end := 4 + int(binary.LittleEndian.Uint32(rest))
		out, rest = append(out, rest[4:end:end]), rest[end:]
	}
	if len(out) != count {
		return nil, Errorf(Invalid, "input %q: the shape has %d elements, but the data has %d", name, count, len(out))
	}
	return out, nil
}

// AppendRaw appends the elements of a tensor to b, as FromRaw reads them.
func AppendRaw(b []byte, t Tensor) []byte {
	if t.Values == nil {
		for _, s := range t.Strings {
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
		}
		return b
	}
	return AppendElements(b, t.Values.Elements())
}

// AppendElements appends the elements of a tensor, which ops.Tensor.Elements returns, to b.
func AppendElements(b []byte, elements any) []byte {
	switch v := elements.(type) {
	case []float32:
		b = slices.Grow(b, 4*len(v))
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	case []uint8:
		return append(b, v...)
	}
	b, err := binary.Append(b, binary.LittleEndian, elements)
	if err != nil {
		panic(err) // elements is a slice of numbers or of bools
	}
	return b
}
