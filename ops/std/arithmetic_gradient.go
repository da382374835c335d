package std

import "github.com/spike-by-spike/sbs/ops"

// partials holds the partial derivatives of an operation with respect to a and to b, times
// the gradient g of the output.
type partials [2]func(g, a, b float32) float32

func partSame(g, _, _ float32) float32   { return g }
func partTimesB(g, _, b float32) float32 { return g * b }
func partTimesA(g, a, _ float32) float32 { return g * a }
func partMinus(g, _, _ float32) float32  { return -g }
func partOver(g, _, b float32) float32   { return g / b }
func partUnder(g, a, b float32) float32  { return -g * a / b / b }

// arithmeticGradient returns the gradient of an operation on a and b. The gradient of an
// element that was broadcast is the sum over all its uses.
func arithmeticGradient(p partials) backward {
	return func(ctx *ops.Context, _ operation, in []*ops.Tensor, out *ops.Tensor, g []float32, gradIn [][]float32) error {
		for i, grad := range gradIn {
			if grad == nil {
				continue
			}
			if err := operandGradient(ctx, p[i], i, in, out, g, grad); err != nil {
				return err
			}
		}
		return nil
	}
}

func operandGradient(ctx *ops.Context, f func(g, a, b float32) float32, which int, in []*ops.Tensor, out *ops.Tensor, g, grad []float32) error {
	shape := out.Shape()
	a, b := in[0].Float32s(), in[1].Float32s()
	strides := [3][]int{rowMajor(shape), broadcastStrides(in[0].Shape(), len(shape)), broadcastStrides(in[1].Shape(), len(shape))}
	var sizes [2][]int // of the operand's own axes, and of the axes along which it is broadcast
	var steps [2][3][]int
	for axis, size := range shape {
		r := 0
		if strides[1+which][axis] == 0 {
			r = 1
		}
		sizes[r] = append(sizes[r], size)
		for i, s := range strides {
			steps[r][i] = append(steps[r][i], s[axis])
		}
	}
	own, repeats := newNest(sizes[0], steps[0][:]...), newNest(sizes[1], steps[1][:]...)
	next, step := own.inner(), repeats.inner()
	return ctx.For(own.total, max(1, grain/max(1, repeats.total)), func(lo, hi int) error {
		return own.walk(lo, hi, func(first [maxOperands]int, count int) error {
			for i := range count {
				var total float64
				err := repeats.walk(0, repeats.total, func(at [maxOperands]int, count int) error {
					for j := range count {
						o := first[0] + i*next[0] + at[0] + j*step[0]
						x := first[1] + i*next[1] + at[1] + j*step[1]
						y := first[2] + i*next[2] + at[2] + j*step[2]
						total += float64(f(g[o], a[x], b[y]))
					}
					return nil
				})
				if err != nil {
					return err
				}
				grad[first[1+which]+i*next[1+which]] += float32(total)
			}
			return nil
		})
	})
}
