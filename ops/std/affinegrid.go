package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newAffineGrid returns AffineGrid (opset 20): the grid of GridSample that maps images by
// affine transforms theta, (N, 2, 3) for images (N, C, H, W) or (N, 3, 4) for images (N, C, D,
// H, W). theta is float32 or float64. size, an int64 vector, is the shape of the images. The
// grid is (N, H, W, 2) or (N, D, H, W, 3).
//
// Attributes: align_corners (default 0), as for GridSample.
func newAffineGrid(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("align_corners"); err != nil {
		return nil, err
	}
	align, err := flagAttr(n.Attributes, "align_corners")
	return affineGrid{align}, err
}

type affineGrid struct{ align bool }

func (k affineGrid) infer(in []*ops.Input) (ops.Type, error) {
	theta := in[0].Type
	if err := theta.CheckDType("theta", floatTypes...); err != nil {
		return theta, err
	}
	list, number, err := sizeVector("size", in[1])
	if err != nil {
		return theta, err
	}
	axes := number - 2
	ok := (axes == 2 || axes == 3) && len(theta.Shape) == 3
	batch := unknown
	if ok {
		batch = theta.Shape[0]
		if list != nil {
			batch, ok = mergeDims(batch, ops.Dim{Size: int(list[0])})
		}
	}
	if !ok || theta.Shape[1].Known() && theta.Shape[1].Size != axes || theta.Shape[2].Known() && theta.Shape[2].Size != axes+1 {
		return theta, fmt.Errorf("%w: theta is %v and size is %v, want (N, 2, 3) and 4 sizes or (N, 3, 4) and 5 sizes", ops.ErrShape, theta, in[1].Type)
	}
	shape := []ops.Dim{batch}
	for i := range axes {
		d := unknown
		if list != nil {
			d = ops.Dim{Size: int(list[2+i])}
		}
		shape = append(shape, d)
	}
	return ops.Type{DType: theta.DType, Shape: append(shape, ops.Dim{Size: axes})}, nil
}

func (k affineGrid) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	t := temporary{ctx: ctx}
	theta := elementsOf[float64](&t, in[0])
	if t.err != nil {
		return t.err
	}
	axes := len(out.Shape()) - 2
	sizes := out.Shape()[1 : axes+1]
	places := numElements(sizes)
	return ctx.For(out.Len()/axes, grain/8, func(lo, hi int) error {
		var place [4]float64 // x, y, (z,) 1
		var v [3]float64
		for i := lo; i < hi; i++ {
			at := i % places
			for d := axes - 1; d >= 0; d-- {
				place[axes-1-d] = k.coordinate(at%sizes[d], sizes[d])
				at /= sizes[d]
			}
			place[axes] = 1
			rows := theta[i/places*axes*(axes+1):]
			for r := range axes {
				v[r] = 0
				for c := range axes + 1 {
					v[r] += float64(rows[r*(axes+1)+c] * place[c])
				}
			}
			store(out, i*axes, 1, v[:axes])
		}
		return nil
	})
}

// coordinate returns the coordinate of a pixel, from -1 to 1.
func (k affineGrid) coordinate(i, size int) float64 {
	if !k.align {
		return float64(2*i+1)/float64(size) - 1
	}
	if size == 1 {
		return -1
	}
	return float64(2*i)/float64(size-1) - 1
}
