// Package onnx encodes and decodes ONNX files. Package onnxpb has the message types, which
// are generated code.
package onnx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/sniff"
	"github.com/spike-by-spike/sbs/ops"
)

// ErrFormat is wrapped by all errors about data that is not a valid ONNX model.
var ErrFormat = errors.New("not a valid ONNX model")

// Versions of the format that Unmarshal accepts.
const (
	minIRVersion = 1
	maxIRVersion = 14
)

// MaxFile is the largest size of a protobuf message in a file.
const MaxFile = math.MaxInt32

// Marshal encodes a model. Equal models give equal bytes. WriteFile also writes an encoding that
// is too large for a single file.
func Marshal(m *onnxpb.ModelProto) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the model: %w", err)
	}
	return b, nil
}

// Unmarshal decodes a model and checks that it has a graph and a supported version.
// Errors wrap ErrFormat, apart from the error of ctx, which Unmarshal returns soon after ctx is
// done.
func Unmarshal(ctx context.Context, data []byte) (*onnxpb.ModelProto, error) {
	m := new(onnxpb.ModelProto)
	err := merge(ctx, m, data, func(field protowire.Number) proto.Message {
		if field != graphField {
			return nil
		}
		if m.Graph == nil {
			m.Graph = new(onnxpb.GraphProto)
		}
		return m.Graph
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil || m.GetGraph() == nil {
		head := data[:min(len(data), sniff.Length)]
		if what := sniff.Known(head); what != "" && !sniff.IsONNX(head) {
			return nil, fmt.Errorf("%w: this is %s", ErrFormat, what)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the data cannot be decoded (is the file complete?)", ErrFormat)
	}
	if m.GetGraph() == nil {
		return nil, fmt.Errorf("%w: the model has no graph (is the file complete?)", ErrFormat)
	}
	if v := m.GetIrVersion(); v < minIRVersion || v > maxIRVersion {
		return nil, fmt.Errorf("%w: IR version %d is not supported, want %d to %d", ErrFormat, v, minIRVersion, maxIRVersion)
	}
	return m, nil
}

// graphField is the number of the field with the graph in the message of a model.
const graphField = 7

// decodedAtOnce is about the number of bytes that are decoded between two checks of the
// context.
const decodedAtOnce = 4 << 20

// merge decodes data into a message, as proto.Unmarshal does. Large messages are decoded in
// parts, of whole fields, so that the context can end it. The fields for which part returns
// a message are decoded in parts themselves.
func merge(ctx context.Context, m proto.Message, data []byte, part func(protowire.Number) proto.Message) error {
	options := proto.UnmarshalOptions{Merge: true}
	for start, at := 0, 0; start < len(data); {
		field, kind, n := protowire.ConsumeTag(data[at:])
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(field, kind, data[at+n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		end := at + n + size
		var inner proto.Message
		if part != nil && kind == protowire.BytesType && size > decodedAtOnce {
			inner = part(field)
		}
		if inner == nil {
			if at = end; end-start < decodedAtOnce && end < len(data) {
				continue
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := options.Unmarshal(data[start:at], m); err != nil {
			return err
		}
		if inner != nil {
			value, n := protowire.ConsumeBytes(data[at+n:])
			if n < 0 {
				return protowire.ParseError(n)
			}
			if err := merge(ctx, inner, value, nil); err != nil {
				return err
			}
		}
		start, at = end, end
	}
	return ctx.Err()
}

// maxElements bounds the elements of one tensor in a file.
const maxElements = math.MaxInt32

// TensorData returns a tensor's shape and its elements in row-major order, as
// []T for one of the types of ops.Element. It allocates
// memory only for elements that the message contains. It returns the error of ctx soon
// after ctx is done.
func TensorData(ctx context.Context, t *onnxpb.TensorProto) (shape []int, data any, err error) {
	shape, n, err := shapeOf(t)
	if err != nil {
		return nil, nil, fmt.Errorf("tensor %q: %w", t.GetName(), err)
	}
	if t.GetDataLocation() != onnxpb.TensorProto_DEFAULT {
		return nil, nil, fmt.Errorf("tensor %q: external data can be read only if the model is opened as a file; store the model in one file", t.GetName())
	}
	if t.GetSegment() != nil {
		return nil, nil, fmt.Errorf("tensor %q: segmented tensors are not supported", t.GetName())
	}
	decode := decoders[t.GetDataType()]
	if decode == nil {
		return nil, nil, fmt.Errorf("tensor %q: elements of type %v are not supported", t.GetName(), onnxpb.TensorProto_DataType(t.GetDataType()))
	}
	if data, err = decode(ctx, t, n); err != nil {
		return nil, nil, fmt.Errorf("tensor %q: %w", t.GetName(), err)
	}
	return shape, data, nil
}

func shapeOf(t *onnxpb.TensorProto) (shape []int, elements int, err error) {
	n := 1
	for _, d := range t.GetDims() {
		if d < 0 || d > maxElements || (d > 0 && n > maxElements/int(d)) {
			return nil, 0, fmt.Errorf("%w: bad shape %v", ErrFormat, t.GetDims())
		}
		n *= int(d)
		shape = append(shape, int(d))
	}
	return shape, n, nil
}

// rawSize returns the number of bytes of a tensor's elements in raw form.
func rawSize(t *onnxpb.TensorProto) (int64, error) {
	_, n, err := shapeOf(t)
	if err != nil {
		return 0, err
	}
	bits := ops.ElementBits(ops.DType(t.GetDataType()))
	if bits == 0 {
		return 0, fmt.Errorf("elements of type %v are not supported", onnxpb.TensorProto_DataType(t.GetDataType()))
	}
	return (int64(n)*int64(bits) + 7) / 8, nil
}

// Float32Tensor returns a float32 tensor in raw form.
func Float32Tensor(name string, shape []int, data []float32) *onnxpb.TensorProto {
	raw := make([]byte, 0, 4*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return &onnxpb.TensorProto{Name: name, Dims: dims(shape), DataType: int32(onnxpb.TensorProto_FLOAT), RawData: raw}
}

// Int64Tensor returns a one-dimensional int64 tensor in raw form.
func Int64Tensor(name string, data ...int64) *onnxpb.TensorProto {
	raw := make([]byte, 0, 8*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return &onnxpb.TensorProto{Name: name, Dims: []int64{int64(len(data))}, DataType: int32(onnxpb.TensorProto_INT64), RawData: raw}
}

// Float64Tensor returns a one-dimensional float64 tensor in raw form.
func Float64Tensor(name string, data ...float64) *onnxpb.TensorProto {
	raw := make([]byte, 0, 8*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return &onnxpb.TensorProto{Name: name, Dims: []int64{int64(len(data))}, DataType: int32(onnxpb.TensorProto_DOUBLE), RawData: raw}
}

// Int32Scalar returns an int32 tensor without dimensions, in raw form.
func Int32Scalar(name string, v int32) *onnxpb.TensorProto {
	return &onnxpb.TensorProto{Name: name, DataType: int32(onnxpb.TensorProto_INT32), RawData: binary.LittleEndian.AppendUint32(nil, uint32(v))}
}

// Float64Scalar returns a float64 tensor without dimensions, in raw form.
func Float64Scalar(name string, v float64) *onnxpb.TensorProto {
	return &onnxpb.TensorProto{Name: name, DataType: int32(onnxpb.TensorProto_DOUBLE), RawData: binary.LittleEndian.AppendUint64(nil, math.Float64bits(v))}
}

func dims(shape []int) []int64 {
	out := make([]int64, len(shape))
	for i, d := range shape {
		out[i] = int64(d)
	}
	return out
}
