package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// copyElements copies what the nest walks through, from src[from:] to dst[to:],
// which are of one element type. The nest's first array is dst.
func copyElements(ctx *ops.Context, n *nest, dst *ops.Tensor, to int, src *ops.Tensor, from int) error {
	switch dst.DType() {
	case ops.Float32:
		return copyRows[float32](ctx, n, dst, to, src, from)
	case ops.Float64:
		return copyRows[float64](ctx, n, dst, to, src, from)
	case ops.Int8:
		return copyRows[int8](ctx, n, dst, to, src, from)
	case ops.Int16:
		return copyRows[int16](ctx, n, dst, to, src, from)
	case ops.Int32:
		return copyRows[int32](ctx, n, dst, to, src, from)
	case ops.Int64:
		return copyRows[int64](ctx, n, dst, to, src, from)
	case ops.Uint8:
		return copyRows[uint8](ctx, n, dst, to, src, from)
	case ops.Uint16:
		return copyRows[uint16](ctx, n, dst, to, src, from)
	case ops.Uint32:
		return copyRows[uint32](ctx, n, dst, to, src, from)
	case ops.Uint64:
		return copyRows[uint64](ctx, n, dst, to, src, from)
	case ops.Bool:
		return copyRows[bool](ctx, n, dst, to, src, from)
	}
	return fmt.Errorf("%w: %v", ops.ErrDType, dst.DType())
}

func copyRows[T ops.Element](ctx *ops.Context, n *nest, dst *ops.Tensor, to int, src *ops.Tensor, from int) error {
	d, _ := ops.Data[T](dst)
	s, _ := ops.Data[T](src)
	step := n.inner()
	return ctx.For(n.total, grain, func(lo, hi int) error {
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			i, j := to+at[0], from+at[1]
			if step[0] == 1 && step[1] == 1 {
				copy(d[i:i+count], s[j:j+count])
				return nil
			}
			for range count {
				d[i] = s[j]
				i += step[0]
				j += step[1]
			}
			return nil
		})
	})
}
