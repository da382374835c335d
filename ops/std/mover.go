package std

import "github.com/spike-by-spike/sbs/ops"

// mover holds the loops that move elements of one type without computing with them.
type mover interface {
	copyRows(c *copying, lo, hi int) error
	copyBlocks(dst, src, fill *ops.Tensor, to, size int, from []int)
	choose(l *whereLoop, lo, hi int) error
	pad(l *padRows, lo, hi int)
}

type moverOf[T ops.Element] struct{}

// movers has an entry for every element type.
var movers = map[ops.DType]mover{
	ops.Float32:        moverOf[float32]{},
	ops.Float64:        moverOf[float64]{},
	ops.Int8:           moverOf[int8]{},
	ops.Int16:          moverOf[int16]{},
	ops.Int32:          moverOf[int32]{},
	ops.Int64:          moverOf[int64]{},
	ops.Uint8:          moverOf[uint8]{},
	ops.Uint16:         moverOf[uint16]{},
	ops.Uint32:         moverOf[uint32]{},
	ops.Uint64:         moverOf[uint64]{},
	ops.Bool:           moverOf[bool]{},
	ops.String:         moverOf[string]{},
	ops.Float16:        moverOf[ops.F16]{},
	ops.BFloat16:       moverOf[ops.BF16]{},
	ops.Float8E4M3FN:   moverOf[ops.F8E4M3FN]{},
	ops.Float8E4M3FNUZ: moverOf[ops.F8E4M3FNUZ]{},
	ops.Float8E5M2:     moverOf[ops.F8E5M2]{},
	ops.Float8E5M2FNUZ: moverOf[ops.F8E5M2FNUZ]{},
	ops.Float8E8M0:     moverOf[ops.F8E8M0]{},
	ops.Float4E2M1:     moverOf[ops.F4E2M1]{},
	ops.Int4:           moverOf[ops.I4]{},
	ops.Uint4:          moverOf[ops.U4]{},
	ops.Int2:           moverOf[ops.I2]{},
	ops.Uint2:          moverOf[ops.U2]{},
}
