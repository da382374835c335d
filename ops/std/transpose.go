package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newTranspose returns Transpose (opsets 1, 13): the data, of any type, with its dimensions
// in another order.
//
// Attributes: perm, the dimension of the data for each dimension of the output (default:
// reverse order).
func newTranspose(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("perm"); err != nil {
		return nil, err
	}
	perm, err := ops.Attr[[]int64](n.Attributes, "perm", nil)
	return transpose{perm}, err
}

type transpose struct{ perm []int64 }

// order returns the dimension of the data for each dimension of the output.
func (k transpose) order(rank int) ([]int, error) {
	order := make([]int, rank)
	for i := range order {
		order[i] = rank - 1 - i
	}
	if k.perm == nil {
		return order, nil
	}
	seen := make([]bool, rank)
	for i, p := range k.perm {
		if len(k.perm) != rank || p < 0 || p >= int64(rank) || seen[p] {
			return nil, fmt.Errorf("%w: perm %v is not a permutation of the axes (rank %d)", ops.ErrShape, k.perm, rank)
		}
		order[i], seen[p] = int(p), true
	}
	if len(k.perm) != rank {
		return nil, fmt.Errorf("%w: perm %v is not a permutation of the axes (rank %d)", ops.ErrShape, k.perm, rank)
	}
	return order, nil
}

func (k transpose) infer(in []*ops.Input) (ops.Type, error) {
	data := in[0].Type
	order, err := k.order(len(data.Shape))
	shape := make([]ops.Dim, len(order))
	for i, p := range order {
		shape[i] = data.Shape[p]
	}
	return ops.Type{DType: data.DType, Shape: shape}, err
}

func (k transpose) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	c := ops.Scratch[copying](ctx)
	if c.mover == nil {
		order, err := k.order(len(out.Shape()))
		if err != nil {
			return err
		}
		strides := rowMajor(in[0].Shape())
		from := make([]int, len(order))
		for i, p := range order {
			from[i] = strides[p]
		}
		c.nest = newNest(out.Shape(), rowMajor(out.Shape()), from)
		c.tiles = newTransposing(&c.nest)
	}
	return c.run(ctx, out, in[0])
}

// newDepthToSpace returns DepthToSpace (opsets 1, 11, 13): (N, C, H, W) becomes (N, C/b^2,
// H*b, W*b), where the pixels of a block of b*b pixels come from b*b channels. The input
// has any type.
//
// Attributes: blocksize (required), b; mode (default DCR; since opset 11): the order of the
// input's channels is (b, b, C/b^2) with DCR and (C/b^2, b, b) with CRD.
func newDepthToSpace(n ops.Node) (operation, error) {
	known := []string{"blocksize"}
	if n.Opset >= 11 {
		known = append(known, "mode")
	}
	b, err := blockSize(n, known...)
	if err != nil {
		return nil, err
	}
	mode, err := ops.Attr(n.Attributes, "mode", "DCR")
	if err != nil {
		return nil, err
	}
	if mode != "DCR" && mode != "CRD" {
		return nil, fmt.Errorf("%w: mode %q, want DCR or CRD", ops.ErrAttribute, mode)
	}
	return spaceDepth{block: b, toSpace: true, channelsFirst: mode == "CRD"}, nil
}

// newSpaceToDepth returns SpaceToDepth (opsets 1, 13), the inverse of DepthToSpace with
// mode DCR.
//
// Attributes: blocksize (required).
func newSpaceToDepth(n ops.Node) (operation, error) {
	b, err := blockSize(n, "blocksize")
	return spaceDepth{block: b}, err
}

func blockSize(n ops.Node, known ...string) (int, error) {
	if err := n.Attributes.Only(known...); err != nil {
		return 0, err
	}
	b, err := ops.Attr(n.Attributes, "blocksize", int64(0))
	if err == nil && (b < 1 || b > 1<<15) {
		err = fmt.Errorf("%w: blocksize %d is out of range", ops.ErrAttribute, b)
	}
	return int(b), err
}

type spaceDepth struct {
	block         int
	toSpace       bool
	channelsFirst bool // mode CRD
}

func (k spaceDepth) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if len(x.Shape) != 4 {
		return x, fmt.Errorf("%w: input is %v, want 4 dimensions", ops.ErrShape, x)
	}
	shape := slices.Clone(x.Shape)
	factors := [4]int{1, k.block * k.block, -k.block, -k.block} // negative if the output is larger
	for i, f := range factors {
		if !k.toSpace {
			f = -f
		}
		d := shape[i]
		switch {
		case f == 1 || f == -1:
		case !d.Known():
			shape[i] = unknown
		case f < 0:
			if d.Size > ops.MaxElements/-f {
				return x, fmt.Errorf("%w: blocksize %d is too large for %v", ops.ErrShape, k.block, x)
			}
			shape[i] = ops.Dim{Size: d.Size * -f}
		case d.Size%f != 0:
			return x, fmt.Errorf("%w: dimension %d of %v is not a multiple of %d (blocksize %d)", ops.ErrShape, i, x, f, k.block)
		default:
			shape[i] = ops.Dim{Size: d.Size / f}
		}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

func (k spaceDepth) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	c := ops.Scratch[copying](ctx)
	if c.mover == nil {
		// The loops run over images, channels of the side with fewer channels, rows of blocks, rows in a
		// block, columns of blocks, and columns in a block.
		deep, flat := in[0].Shape(), out.Shape()
		if !k.toSpace {
			deep, flat = flat, deep
		}
		b, channels, h, w := k.block, flat[1], deep[2], deep[3]
		plane := h * w
		sizes := []int{deep[0], channels, h, b, w, b}
		inDepth := []int{deep[1] * plane, plane, w, b * channels * plane, 1, channels * plane}
		if k.channelsFirst {
			inDepth = []int{deep[1] * plane, b * b * plane, w, b * plane, 1, plane}
		}
		inSpace := rowMajor(sizes)
		if k.toSpace {
			c.nest = newNest(sizes, inSpace, inDepth)
		} else {
			c.nest = newNest(sizes, inDepth, inSpace)
		}
	}
	return c.run(ctx, out, in[0])
}
