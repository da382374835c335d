package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// newLpPool returns LpPool (opsets 1, 2, 11, 18, 22): the p-norm of each window of images (N,
// C, ...), float32 or float64. Padding counts as zeros.
//
// Attributes: as for newMaxPool except storage_order, but dilations and ceil_mode since opset
// 18; p (default 2), an integer since opset 2.
func newLpPool(n ops.Node) (operation, error) {
	k, err := newPool(n, added{"dilations": 18, "ceil_mode": 18, "p": 1})
	if err != nil {
		return nil, err
	}
	k.compute = map[ops.DType]poolFunc{ops.Float32: nil, ops.Float64: nil}
	norm, err := normAttr(n)
	return &lpPool{pool: k, norm: norm}, err
}

// normAttr returns the attribute p of a norm.
func normAttr(n ops.Node) (pNorm, error) {
	var p float64
	if n.Opset < 2 {
		v, err := ops.Attr(n.Attributes, "p", float32(2))
		if err != nil {
			return 0, err
		}
		p = float64(v)
	} else {
		v, err := ops.Attr(n.Attributes, "p", int64(2))
		if err != nil {
			return 0, err
		}
		p = float64(v)
	}
	if !(p >= 1 && p <= math.MaxFloat64) {
		return 0, fmt.Errorf("%w: p %v, want at least 1", ops.ErrAttribute, p)
	}
	return pNorm(p), nil
}

// pNorm is the p of a p-norm.
type pNorm float64

// power returns |x|^p.
func (p pNorm) power(x float64) float64 {
	switch p {
	case 1:
		return math.Abs(x)
	case 2:
		return float64(x * x)
	}
	return portmath.Pow(math.Abs(x), float64(p))
}

// root returns sum^(1/p), for a sum of powers.
func (p pNorm) root(sum float64) float64 {
	switch p {
	case 1:
		return sum
	case 2:
		return math.Sqrt(sum)
	}
	return portmath.Pow(sum, 1/float64(p))
}

type lpPool struct {
	*pool
	norm pNorm
}

func (k *lpPool) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	axes, err := k.axes(ops.Dims(in[0].Shape()...))
	if err != nil || out.Len() == 0 {
		return err
	}
	return newWindowed(axes).run(ctx, in[0], func(entry, _ int, plane []float64, places []int, _ int) error {
		var v [1]float64
		err := inPieces(ctx, len(places), func(lo, hi int) {
			for _, at := range places[lo:hi] {
				v[0] += k.norm.power(plane[at])
			}
		})
		v[0] = k.norm.root(v[0])
		store(out, entry, 1, v[:])
		return err
	})
}
