package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// nowhere, as the place of a block, means that the block is filled instead of copied.
const nowhere = -1

// blockPlaces finds the sources of blocks of elements: it sets from[i] to the place in the
// source of the first element of block first+i, or to nowhere.
type blockPlaces func(first int, from []int) error

// take fills dst with blocks of size elements of src, which has the same type. A block
// whose place is nowhere is filled with the first element of fill, or with 0 if fill is
// nil.
func take(ctx *ops.Context, dst, src, fill *ops.Tensor, size int, places blockPlaces) error {
	if dst.Len() == 0 {
		return nil
	}
	copier := movers[dst.DType()]
	if copier == nil {
		return fmt.Errorf("%w: %v", ops.ErrDType, dst.DType())
	}
	if size > stepsPerCheck {
		return takeLarge(ctx, dst, src, fill, size, places)
	}
	return ctx.For(dst.Len()/size, max(1, grain/size), func(lo, hi int) error {
		var from [chunk]int
		for ; lo < hi; lo += chunk {
			part := from[:min(chunk, hi-lo)]
			if err := places(lo, part); err != nil {
				return err
			}
			copier.copyBlocks(dst, src, fill, lo*size, size, part)
		}
		return nil
	})
}

// takeLarge is take for blocks so large that they are divided into pieces.
func takeLarge(ctx *ops.Context, dst, src, fill *ops.Tensor, size int, places blockPlaces) error {
	copier := movers[dst.DType()]
	pieces := (size + stepsPerCheck - 1) / stepsPerCheck
	return ctx.For(dst.Len()/size*pieces, 1, func(lo, hi int) error {
		var from [1]int
		for ; lo < hi; lo++ {
			block, first := lo/pieces, lo%pieces*stepsPerCheck
			if err := places(block, from[:]); err != nil {
				return err
			}
			if from[0] != nowhere {
				from[0] += first
			}
			copier.copyBlocks(dst, src, fill, block*size+first, min(stepsPerCheck, size-first), from[:])
		}
		return nil
	})
}

func (moverOf[T]) copyBlocks(dst, src, fill *ops.Tensor, to, size int, from []int) {
	d, _ := ops.Data[T](dst)
	s, _ := ops.Data[T](src)
	var rest T
	if fill != nil {
		f, _ := ops.Data[T](fill)
		rest = f[0]
	}
	for _, at := range from {
		block := d[to : to+size]
		switch {
		case at == nowhere:
			for i := range block {
				block[i] = rest
			}
		case size == 1:
			block[0] = s[at]
		default:
			copy(block, s[at:at+size])
		}
		to += size
	}
}

// resolveIndex returns the index of an entry, which counts from the end if it is negative.
func resolveIndex(i int64, size int) (int, error) {
	if i < -int64(size) || i >= int64(size) {
		return 0, fmt.Errorf("%w: index %d is out of range for size %d", ops.ErrValue, i, size)
	}
	if i < 0 {
		i += int64(size)
	}
	return int(i), nil
}

// coordinates iterates over the entries of a tensor of the given shape in row-major order.
type coordinates struct {
	shape, at []int
}

// coordinatesAt returns the coordinates of an entry.
func coordinatesAt(entry int, shape []int) coordinates {
	c := coordinates{shape: shape, at: make([]int, len(shape))}
	for i := len(shape) - 1; i >= 0; i-- {
		c.at[i] = entry % shape[i]
		entry /= shape[i]
	}
	return c
}

// next moves to the next entry, and from the last one to the first.
func (c *coordinates) next() {
	for i := len(c.shape) - 1; i >= 0; i-- {
		if c.at[i]++; c.at[i] < c.shape[i] {
			return
		}
		c.at[i] = 0
	}
}

// numElements returns the product of sizes, which must be known to be bounded.
func numElements(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}
