package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// copying is a parallel.Loop that copies the elements of src that a nest walks through to
// elements of dst, which is the first array of the nest and has the same element type. The
// places in dst count from to, and the places in src count from from.
type copying struct {
	nest     nest
	dst, src *ops.Tensor
	to, from int
	mover    mover
	tiles    *transposing // set if the nest transposes matrices
}

func (c *copying) run(ctx *ops.Context, dst, src *ops.Tensor) error {
	c.dst, c.src = dst, src
	if c.mover = movers[dst.DType()]; c.mover == nil {
		return fmt.Errorf("%w: %v", ops.ErrDType, dst.DType())
	}
	if c.tiles != nil && dst.DType() == ops.Float32 {
		c.tiles.dst, c.tiles.src = dst.Float32s(), src.Float32s()
		return ctx.Do(c.tiles.outer.total*c.tiles.perMatrix(), 2, c.tiles)
	}
	return ctx.Do(c.nest.total, grain, c)
}

func (c *copying) Part(lo, hi int) error { return c.mover.copyRows(c, lo, hi) }

// copyAll copies every element of src to dst, which may have another shape. The numbers of
// elements differ only if the type of dst was inferred without values that turn out not to
// fit.
func copyAll(ctx *ops.Context, dst, src *ops.Tensor) error {
	if dst.Len() != src.Len() {
		return fmt.Errorf("%w: %v and %v have different numbers of elements", ops.ErrShape, ops.TypeOf(src), ops.TypeOf(dst))
	}
	c := ops.Scratch[copying](ctx)
	if c.mover == nil {
		size := []int{src.Len()}
		c.nest = newNest(size, rowMajor(size), rowMajor(size))
	}
	return c.run(ctx, dst, src)
}

// shortRow is the number of elements up to which a loop copies faster than the function copy.
const shortRow = 8

func (moverOf[T]) copyRows(c *copying, lo, hi int) error {
	d, _ := ops.Data[T](c.dst)
	s, _ := ops.Data[T](c.src)
	step := c.nest.inner()
	last := len(c.nest.sizes) - 1
	if size := c.nest.sizes[last]; last > 0 && size <= 4*shortRow {
		// The rows of the two innermost loops are copied without a call for each of them.
		next := c.nest.strides[last-1]
		consecutive := step[0] == 1 && step[1] == 1
		return c.nest.walkRows(lo, hi, func(at [maxOperands]int, rows, count int) error {
			i, j := c.to+at[0], c.from+at[1]
			for range rows {
				if consecutive && count > shortRow {
					copy(d[i:i+count], s[j:j+count])
					i += next[0]
					j += next[1]
					continue
				}
				to, from := i, j
				for range count {
					d[to] = s[from]
					to += step[0]
					from += step[1]
				}
				i += next[0]
				j += next[1]
			}
			return nil
		})
	}
	return c.nest.walk(lo, hi, func(at [maxOperands]int, count int) error {
		i, j := c.to+at[0], c.from+at[1]
		switch {
		case step[0] == 1 && step[1] == 1:
			copy(d[i:i+count], s[j:j+count])
			return nil
		case step[0] == 1 && step[1] == 0:
			repeat(d[i:i+count], s[j])
			return nil
		}
		for range count {
			d[i] = s[j]
			i += step[0]
			j += step[1]
		}
		return nil
	})
}

// repeat sets all elements to v.
func repeat[T any](dst []T, v T) {
	n := min(len(dst), 4*shortRow)
	for i := range dst[:n] {
		dst[i] = v
	}
	for ; n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}
