package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newCol2Im returns Col2Im (opset 18): images (N, C, ...) whose pixels are the sums of the
// entries of blocks. The input, of any numeric type, is (N, C * entries of a block, number of
// blocks). image_shape and block_shape, int64 vectors, are the spatial sizes of the images and
// of a block.
//
// Attributes: strides (default 1), dilations (default 1), pads (default 0).
func newCol2Im(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("dilations", "pads", "strides"); err != nil {
		return nil, err
	}
	w, err := newWindow(n.Attributes)
	return &col2Im{w}, err
}

type col2Im struct{ window window }

func (k *col2Im) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("input", numericTypes...); err != nil {
		return x, err
	}
	image, axes, err := shapeVector("image_shape", in[1])
	if err != nil {
		return x, err
	}
	block, number, err := shapeVector("block_shape", in[2])
	if err != nil {
		return x, err
	}
	if len(x.Shape) != 3 || axes != number || axes == 0 {
		return x, fmt.Errorf("%w: input is %v, image_shape is %v, block_shape is %v, want 3 dimensions and one size per spatial axis", ops.ErrShape, x, in[1].Type, in[2].Type)
	}
	shape := []ops.Dim{x.Shape[0], unknown}
	for i := range axes {
		d := unknown
		if image != nil {
			d = ops.Dim{Size: int(image[i])}
		}
		shape = append(shape, d)
	}
	if err := checkRank(len(shape)); err != nil {
		return x, err
	}
	if _, err := k.window.settings(axes); err != nil {
		return x, err
	}
	if block != nil {
		entries, err := entriesOf(block)
		if err != nil {
			return x, err
		}
		if d := x.Shape[1]; d.Known() {
			if d.Size%entries != 0 {
				return x, fmt.Errorf("%w: input is %v, and dimension 1 is not a multiple of %d, the entries of a block %v", ops.ErrShape, x, entries, block)
			}
			shape[1] = ops.Dim{Size: d.Size / entries}
		}
	}
	if block != nil && image != nil {
		spatial, err := k.axes(image, block)
		if err != nil {
			return x, err
		}
		blocks := 1
		for _, a := range spatial {
			blocks *= a.out
			if blocks > ops.MaxElements {
				return x, fmt.Errorf("%w: too many blocks", ops.ErrShape)
			}
		}
		if x.Shape[2].Known() && x.Shape[2].Size != blocks {
			return x, fmt.Errorf("%w: input is %v, but an image %v has %d blocks %v", ops.ErrShape, x, image, blocks, block)
		}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// entriesOf returns the product of sizes of at least 1.
func entriesOf(sizes []int64) (int, error) {
	n := int64(1)
	for _, v := range sizes {
		if n *= v; v < 1 || n > ops.MaxElements {
			return 0, fmt.Errorf("%w: block_shape %v is out of range", ops.ErrShape, sizes)
		}
	}
	return int(n), nil
}

func (k *col2Im) axes(image, block []int64) ([]spatialAxis, error) {
	dims, kernel := make([]ops.Dim, len(image)), make([]int, len(image))
	for i := range image {
		dims[i], kernel[i] = ops.Dim{Size: int(image[i])}, int(block[i])
	}
	return k.window.axes(dims, kernel)
}

func (k *col2Im) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil || out.Len() == 0 {
		return err
	}
	axes, err := k.axes(in[1].Int64s(), in[2].Int64s())
	if err != nil {
		return err
	}
	if d := out.DType(); d == ops.Float32 {
		return foldBlocks(ctx, axes, in[0].Float32s(), out.Float32s())
	}
	if isFloat(out.DType()) {
		return foldAs[float64](ctx, axes, in[0], out)
	}
	return foldAs[int64](ctx, axes, in[0], out)
}

// foldAs computes in a wide type.
func foldAs[W float64 | int64](ctx *ops.Context, axes []spatialAxis, x, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	from := elementsOf[W](&t, x)
	to := bufferOf[W](&t, out.Len())
	if t.err != nil {
		return t.err
	}
	if err := foldBlocks(ctx, axes, from, to); err != nil {
		return err
	}
	return storeAll(ctx, out, 0, 1, to)
}

// foldBlocks adds the entries of blocks to the pixels of images. Every plane is added up in
// the order of the entries of a block, and then of the blocks.
func foldBlocks[T float32 | float64 | int64](ctx *ops.Context, axes []spatialAxis, x, out []T) error {
	var image, block, blocks []int
	for _, a := range axes {
		image, block, blocks = append(image, a.in), append(block, a.kernel), append(blocks, a.out)
	}
	pixels, entries, number := numElements(image), numElements(block), numElements(blocks)
	strides, last := rowMajor(image), len(axes)-1
	return ctx.For(len(out)/pixels, max(1, grain/(entries*number+1)), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for c := lo; c < hi; c++ {
			plane := out[c*pixels:][:pixels]
			for first := 0; first < pixels; first += stepsPerCheck {
				clear(plane[first:min(first+stepsPerCheck, pixels)])
				if err := watching.after(stepsPerCheck / 8); err != nil {
					return err
				}
			}
			tap := coordinates{shape: block, at: make([]int, len(axes))}
			for e := range entries {
				from := x[(c*entries+e)*number:][:number]
				at := coordinates{shape: blocks, at: make([]int, len(axes))}
				for b := 0; b < number; b += axes[last].out {
					row, inside := 0, true
					for d, a := range axes[:last] {
						p := at.at[d]*a.stride - a.before + tap.at[d]*a.dilation
						inside = inside && p >= 0 && p < a.in
						row += p * strides[d]
					}
					if a := axes[last]; inside {
						p := tap.at[last]*a.dilation - a.before
						for i := 0; i < a.out; i++ {
							if p >= 0 && p < a.in {
								plane[row+p] += from[b+i]
							}
							p += a.stride
							if i%chunk == chunk-1 {
								if err := watching.after(chunk); err != nil {
									return err
								}
							}
						}
					}
					if err := watching.after(1 + min(chunk, axes[last].out)); err != nil {
						return err
					}
					at.nextRow()
				}
				tap.next()
			}
		}
		return nil
	})
}

// nextRow moves to the next row: the last coordinate stays as it is.
func (c *coordinates) nextRow() {
	for i := len(c.shape) - 2; i >= 0; i-- {
		if c.at[i]++; c.at[i] < c.shape[i] {
			return
		}
		c.at[i] = 0
	}
}
