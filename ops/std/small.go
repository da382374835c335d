package std

import (
	"github.com/spike-by-spike/sbs/internal/minifloat"
	"github.com/spike-by-spike/sbs/ops"
)

// loadBits is load for elements that hold the bits of a floating-point number.
func loadBits[T interface {
	ops.Element
	Float64() float64
}, W wide](dst []W, src *ops.Tensor, from, step int) {
	s, _ := ops.Data[T](src)
	for i := range dst {
		dst[i] = W(s[from].Float64())
		from += step
	}
}

// storeSmall is store for elements of 16 and fewer bits for which Go has no type. saturate
// applies to formats of 8 and fewer bits, and mode to float8e8m0.
func storeSmall[W wide](dst *ops.Tensor, to, step int, src []W, saturate bool, mode minifloat.Rounding) {
	switch dst.DType() {
	case ops.Float16:
		storeBits[ops.F16](minifloat.Float16, dst, to, step, src, false)
	case ops.BFloat16:
		storeBits[ops.BF16](minifloat.BFloat16, dst, to, step, src, false)
	case ops.Float8E4M3FN:
		storeBits[ops.F8E4M3FN](minifloat.Float8E4M3FN, dst, to, step, src, saturate)
	case ops.Float8E4M3FNUZ:
		storeBits[ops.F8E4M3FNUZ](minifloat.Float8E4M3FNUZ, dst, to, step, src, saturate)
	case ops.Float8E5M2:
		storeBits[ops.F8E5M2](minifloat.Float8E5M2, dst, to, step, src, saturate)
	case ops.Float8E5M2FNUZ:
		storeBits[ops.F8E5M2FNUZ](minifloat.Float8E5M2FNUZ, dst, to, step, src, saturate)
	case ops.Float4E2M1:
		storeBits[ops.F4E2M1](minifloat.Float4E2M1, dst, to, step, src, true)
	case ops.Float8E8M0:
		d, _ := ops.Data[ops.F8E8M0](dst)
		for _, v := range src {
			d[to] = ops.F8E8M0(minifloat.E8M0{}.Encode(float64(v), saturate, mode))
			to += step
		}
	case ops.Int4:
		storeNarrow[ops.I4](dst, to, step, src, -8, 7)
	case ops.Uint4:
		storeNarrow[ops.U4](dst, to, step, src, 0, 15)
	case ops.Int2:
		storeNarrow[ops.I2](dst, to, step, src, -2, 1)
	case ops.Uint2:
		storeNarrow[ops.U2](dst, to, step, src, 0, 3)
	}
}

func storeBits[T ops.F16 | ops.BF16 | ops.F8E4M3FN | ops.F8E4M3FNUZ | ops.F8E5M2 | ops.F8E5M2FNUZ | ops.F4E2M1, W wide](f *minifloat.Format, dst *ops.Tensor, to, step int, src []W, saturate bool) {
	d, _ := ops.Data[T](dst)
	for _, v := range src {
		d[to] = T(f.Encode(float64(v), saturate))
		to += step
	}
}

// storeNarrow stores integers from lowest to highest, as storeInteger does.
func storeNarrow[T ops.I4 | ops.U4 | ops.I2 | ops.U2, W wide](dst *ops.Tensor, to, step int, src []W, lowest, highest int64) {
	d, _ := ops.Data[T](dst)
	floats, isFloat := any(src).([]float64)
	for i, v := range src {
		n := int64(v)
		if isFloat {
			n = 0
			if f := floats[i]; f == f {
				n = int64(max(float64(lowest), min(f, float64(highest))))
			}
		} else if n &= highest - lowest; n > highest { // the low bits
			n -= highest - lowest + 1
		}
		d[to] = T(n)
		to += step
	}
}
