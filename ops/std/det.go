package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newDet returns Det (opset 11): the determinants of the square matrices in the last two
// dimensions of X, float32 or float64. There are no attributes.
func newDet(n ops.Node) (operation, error) { return det{}, n.Attributes.Only() }

type det struct{}

func (det) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	rank := len(x.Shape)
	ok := rank >= 2
	if ok {
		_, ok = mergeDims(x.Shape[rank-1], x.Shape[rank-2])
	}
	if !ok {
		return x, fmt.Errorf("%w: X is %v, want square matrices", ops.ErrShape, x)
	}
	return ops.Type{DType: x.DType, Shape: x.Shape[:rank-2]}, nil
}

func (det) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	n := in[0].Shape()[len(in[0].Shape())-1]
	return ctx.For(out.Len(), 1, func(lo, hi int) error {
		m, err := ops.Temporary[float64](ctx, n*n)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, m)
		watching := cancelCheck{ctx: ctx}
		for i := lo; i < hi; i++ {
			if err := loadAll(ctx, m, in[0], i*n*n, 1); err != nil {
				return err
			}
			d, err := determinant(&watching, m, n)
			if err != nil {
				return err
			}
			store(out, i, 1, []float64{d})
		}
		return nil
	})
}

// determinant computes the determinant by Gaussian elimination with partial pivoting. It
// changes m.
func determinant(watching *cancelCheck, m []float64, n int) (float64, error) {
	d := 1.0
	for c := range n {
		top := c
		for r := c + 1; r < n; r++ {
			if math.Abs(m[r*n+c]) > math.Abs(m[top*n+c]) {
				top = r
			}
		}
		if top != c {
			d = -d
			for i := range n {
				m[c*n+i], m[top*n+i] = m[top*n+i], m[c*n+i]
			}
		}
		pivot := m[c*n+c]
		d *= pivot
		if pivot == 0 {
			return 0, nil
		}
		for r := c + 1; r < n; r++ {
			f := m[r*n+c] / pivot
			for i := c; i < n; i++ {
				m[r*n+i] -= float64(f * m[c*n+i])
			}
			if err := watching.after(n - c); err != nil {
				return 0, err
			}
		}
	}
	return d, nil
}
