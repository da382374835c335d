package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newBitCast returns BitCast (opset 26): the bits of the elements of the input as elements of
// another type, which has the same number of bits. Both may have any type but string.
//
// Attributes: to (required), a data type.
func newBitCast(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("to"); err != nil {
		return nil, err
	}
	to, err := dtypeAttr(n.Attributes, "to", 0)
	if err == nil && to == ops.String {
		err = fmt.Errorf("%w: to: strings have no fixed number of bits", ops.ErrAttribute)
	}
	return bitCast{to}, err
}

type bitCast struct{ to ops.DType }

func (k bitCast) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].Type
	if t.DType == ops.String || ops.ElementBits(t.DType) != ops.ElementBits(k.to) {
		return t, fmt.Errorf("%w: input is %v and to is %v: want the same number of bits", ops.ErrDType, t, k.to)
	}
	t.DType = k.to
	return t, nil
}

func (k bitCast) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	x := in[0]
	if x.DType() == out.DType() {
		return copyAll(ctx, out, x)
	}
	read, write := bits[x.DType()], bits[out.DType()]
	return ctx.For(out.Len(), grain, func(lo, hi int) error {
		var v [chunk]uint64
		for ; lo < hi; lo += chunk {
			part := v[:min(chunk, hi-lo)]
			read.load(part, x, lo)
			write.store(out, lo, part)
		}
		return nil
	})
}

// bits has the functions that read and write the bits of elements, for every element type but
// string.
var bits = map[ops.DType]bitsAccess{
	ops.Float32: bitsOf(func(v float32) uint64 { return uint64(math.Float32bits(v)) }, func(b uint64) float32 { return math.Float32frombits(uint32(b)) }),
	ops.Float64: bitsOf(math.Float64bits, math.Float64frombits),
	ops.Bool: bitsOf(func(v bool) uint64 {
		if v {
			return 1
		}
		return 0
	}, func(b uint64) bool { return b != 0 }),
	ops.Int8:           integerBits[int8](8),
	ops.Int16:          integerBits[int16](16),
	ops.Int32:          integerBits[int32](32),
	ops.Int64:          integerBits[int64](64),
	ops.Uint8:          integerBits[uint8](8),
	ops.Uint16:         integerBits[uint16](16),
	ops.Uint32:         integerBits[uint32](32),
	ops.Uint64:         integerBits[uint64](64),
	ops.Float16:        integerBits[ops.F16](16),
	ops.BFloat16:       integerBits[ops.BF16](16),
	ops.Float8E4M3FN:   integerBits[ops.F8E4M3FN](8),
	ops.Float8E4M3FNUZ: integerBits[ops.F8E4M3FNUZ](8),
	ops.Float8E5M2:     integerBits[ops.F8E5M2](8),
	ops.Float8E5M2FNUZ: integerBits[ops.F8E5M2FNUZ](8),
	ops.Float8E8M0:     integerBits[ops.F8E8M0](8),
	ops.Float4E2M1:     integerBits[ops.F4E2M1](4),
	ops.Int4:           signedBits[ops.I4](4),
	ops.Uint4:          integerBits[ops.U4](4),
	ops.Int2:           signedBits[ops.I2](2),
	ops.Uint2:          integerBits[ops.U2](2),
}

type bitsAccess struct {
	load  func(dst []uint64, src *ops.Tensor, from int)
	store func(dst *ops.Tensor, to int, src []uint64)
}

func bitsOf[T ops.Element](read func(T) uint64, write func(uint64) T) bitsAccess {
	return bitsAccess{
		load: func(dst []uint64, src *ops.Tensor, from int) {
			s, _ := ops.Data[T](src)
			for i := range dst {
				dst[i] = read(s[from+i])
			}
		},
		store: func(dst *ops.Tensor, to int, src []uint64) {
			d, _ := ops.Data[T](dst)
			for i, b := range src {
				d[to+i] = write(b)
			}
		},
	}
}

// integerBits returns the access to types whose elements are their bits.
func integerBits[T interface {
	ops.Element
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}](width int) bitsAccess {
	mask := ^uint64(0) >> (64 - width)
	return bitsOf(func(v T) uint64 { return uint64(v) & mask }, func(b uint64) T { return T(b) })
}

// signedBits is integerBits for signed integers that are narrower than their Go type.
func signedBits[T ops.I4 | ops.I2](width int) bitsAccess {
	mask, shift := uint8(1)<<width-1, 8-width
	return bitsOf(func(v T) uint64 { return uint64(uint8(v) & mask) }, func(b uint64) T { return T(int8(b<<shift) >> shift) })
}
