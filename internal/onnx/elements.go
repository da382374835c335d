package onnx

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// decoder returns the n elements of a tensor.
type decoder func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error)

// decoders has an entry for every data type that a tensor can have.
var decoders = map[int32]decoder{
	int32(ops.Float32): func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		return elements(ctx, t, n, 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }, t.GetFloatData())
	},
	int32(ops.Float64): func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		return elements(ctx, t, n, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }, t.GetDoubleData())
	},
	int32(ops.Int64): func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		return elements(ctx, t, n, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }, t.GetInt64Data())
	},
	int32(ops.Int32): func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		return elements(ctx, t, n, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) }, t.GetInt32Data())
	},
	int32(ops.Uint32): func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		return elements(ctx, t, n, 4, binary.LittleEndian.Uint32, narrow[uint32](t.GetUint64Data()))
	},
	int32(ops.Uint64): func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		return elements(ctx, t, n, 8, binary.LittleEndian.Uint64, t.GetUint64Data())
	},
	int32(ops.Bool): func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		return elements(ctx, t, n, 1, func(b []byte) bool { return b[0] != 0 }, bools(t.GetInt32Data()))
	},
	int32(ops.String):         texts,
	int32(ops.Int8):           singleBytes[int8],
	int32(ops.Uint8):          singleBytes[uint8],
	int32(ops.Float8E4M3FN):   singleBytes[ops.F8E4M3FN],
	int32(ops.Float8E4M3FNUZ): singleBytes[ops.F8E4M3FNUZ],
	int32(ops.Float8E5M2):     singleBytes[ops.F8E5M2],
	int32(ops.Float8E5M2FNUZ): singleBytes[ops.F8E5M2FNUZ],
	int32(ops.Float8E8M0):     singleBytes[ops.F8E8M0],
	int32(ops.Int16):          bytePairs[int16],
	int32(ops.Uint16):         bytePairs[uint16],
	int32(ops.Float16):        bytePairs[ops.F16],
	int32(ops.BFloat16):       bytePairs[ops.BF16],
	int32(ops.Int4):           packed(4, func(b uint8) ops.I4 { return ops.I4(b<<4) >> 4 }),
	int32(ops.Uint4):          packed(4, func(b uint8) ops.U4 { return ops.U4(b) }),
	int32(ops.Float4E2M1):     packed(4, func(b uint8) ops.F4E2M1 { return ops.F4E2M1(b) }),
	int32(ops.Int2):           packed(2, func(b uint8) ops.I2 { return ops.I2(b<<6) >> 6 }),
	int32(ops.Uint2):          packed(2, func(b uint8) ops.U2 { return ops.U2(b) }),
}

// singleBytes decodes elements of one byte, and bytePairs those of two bytes.
func singleBytes[T int8 | uint8 | ops.F8E4M3FN | ops.F8E4M3FNUZ | ops.F8E5M2 | ops.F8E5M2FNUZ | ops.F8E8M0](ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
	return elements(ctx, t, n, 1, func(b []byte) T { return T(b[0]) }, narrow[T](t.GetInt32Data()))
}

func bytePairs[T int16 | uint16 | ops.F16 | ops.BF16](ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
	return elements(ctx, t, n, 2, func(b []byte) T { return T(binary.LittleEndian.Uint16(b)) }, narrow[T](t.GetInt32Data()))
}

// packed returns a decoder of elements of the given number of bits, several to a byte, the
// first one in the low bits.
func packed[T ops.Element](bits int, decode func(uint8) T) decoder {
	return func(ctx context.Context, t *onnxpb.TensorProto, n int) (any, error) {
		perByte := 8 / bits
		raw, err := elements(ctx, t, (n+perByte-1)/perByte, 1, func(b []byte) uint8 { return b[0] }, narrow[uint8](t.GetInt32Data()))
		if err != nil {
			return nil, err
		}
		out := make([]T, n)
		for i := range out {
			out[i] = decode(raw[i/perByte] >> (i % perByte * bits) & (1<<bits - 1))
		}
		return out, nil
	}
}

// texts decodes strings, which are never raw.
func texts(_ context.Context, t *onnxpb.TensorProto, n int) (any, error) {
	if len(t.GetRawData()) > 0 || len(t.GetStringData()) != n {
		return nil, fmt.Errorf("%w: shape %v has %d strings, the data has %d", ErrFormat, t.GetDims(), n, len(t.GetStringData()))
	}
	out := make([]string, n)
	for i, s := range t.GetStringData() {
		out[i] = string(s)
	}
	return out, nil
}

// elements returns the n elements of a tensor: decoded from its raw bytes or, if it has
// none, the typed list of the message.
func elements[T any](ctx context.Context, t *onnxpb.TensorProto, n, size int, decode func([]byte) T, typed []T) ([]T, error) {
	raw := t.GetRawData()
	switch {
	case len(raw) == 0 && len(typed) == n:
		return typed, nil
	case len(raw) == 0:
		return nil, fmt.Errorf("%w: shape %v has %d elements, the data has %d", ErrFormat, t.GetDims(), n, len(typed))
	case len(typed) > 0:
		return nil, fmt.Errorf("%w: the data is stored twice, as bytes and as numbers", ErrFormat)
	case int64(len(raw)) != int64(n)*int64(size):
		return nil, fmt.Errorf("%w: shape %v takes %d bytes, the data has %d", ErrFormat, t.GetDims(), int64(n)*int64(size), len(raw))
	}
	out := make([]T, n)
	for i := range out {
		if i%decodedAtOnce == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out[i] = decode(raw[i*size:])
	}
	return out, nil
}

// narrow returns the elements of a list that the message stores in a larger type.
func narrow[T int8 | uint8 | int16 | uint16 | uint32 | ops.F16 | ops.BF16 | ops.F8E4M3FN | ops.F8E4M3FNUZ | ops.F8E5M2 | ops.F8E5M2FNUZ | ops.F8E8M0, F int32 | uint64](in []F) []T {
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = T(v)
	}
	return out
}

func bools(in []int32) []bool {
	out := make([]bool, len(in))
	for i, v := range in {
		out[i] = v != 0
	}
	return out
}
