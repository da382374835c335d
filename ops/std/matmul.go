package std

import (
	"context"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// summand is the set of types in which products of matrices are computed.
type summand interface{ float32 | float64 | int64 }

// matrix is a matrix that is stored row by row or, if it is transposed, column by column.
type matrix[T summand] struct {
	elements   []T
	stride     int // from row to row, or from column to column
	transposed bool
}

// place returns the index of an element.
func (m *matrix[T]) place(row, column int) int {
	if m.transposed {
		return column*m.stride + row
	}
	return row*m.stride + column
}

// maxDepth is the largest number of terms that one call of kernel.Gemm adds.
const maxDepth = 1 << 16

// multiply computes rows lo to hi-1 of C = A*B, where A has k columns and B has n. c holds
// only these rows. The terms of each element are always added in the order of k.
func multiply[T summand](ctx context.Context, c []T, a, b matrix[T], lo, hi, n, k int) error {
	if single, ok := any(c).([]float32); ok {
		x, y := any(a).(matrix[float32]), any(b).(matrix[float32])
		return multiplySingle(ctx, single, n, x, y, lo, hi, 0, n, k, false)
	}
	watching := cancelCheck{ctx: ctx}
	for i := lo; i < hi; i++ {
		row := c[(i-lo)*n:][:n]
		clear(row)
		for p := range k {
			var v T
			if a.transposed {
				v = a.elements[p*a.stride+i]
			} else {
				v = a.elements[i*a.stride+p]
			}
			for first := 0; first < n; first += stepsPerCheck {
				last := min(first+stepsPerCheck, n)
				if b.transposed {
					for j := first; j < last; j++ {
						row[j] += product(v, b.elements[j*b.stride+p])
					}
				} else {
					for j, w := range b.elements[p*b.stride+first : p*b.stride+last] {
						row[first+j] += product(v, w)
					}
				}
				if err := watching.after(last - first); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// multiplySingle computes rows lo to hi-1 and columns first to last-1 of C = A*B, or C += A*B if
// accumulate is set, where A has k columns. c begins at the first of these entries, and ldc is the
// distance of its rows.
func multiplySingle(ctx context.Context, c []float32, ldc int, a, b matrix[float32], lo, hi, first, last, k int, accumulate bool) error {
	if lo == hi || first == last {
		return nil
	}
	// In parts, which change no bit of the result: Gemm takes memory for k.
	for from := 0; from == 0 || from < k; from += maxDepth {
		depth := min(maxDepth, k-from)
		var x, y []float32
		if depth > 0 {
			x, y = a.elements[a.place(lo, from):], b.elements[b.place(from, first):]
		}
		err := kernel.Gemm(ctx, a.transposed, b.transposed, hi-lo, last-first, depth, x, a.stride, y, b.stride, c, ldc, accumulate || from > 0)
		if err != nil {
			return err
		}
	}
	return nil
}

// newMatMul returns MatMul (opsets 1, 9, 13): products of the matrices in the last two
// dimensions of A and B; the other dimensions broadcast as for Add. A vector A counts as
// one row and a vector B as one column, and the output lacks this dimension. A and B have
// the same type: float32, float64 or an integer type. There are no attributes.
func newMatMul(n ops.Node) (operation, error) { return matMul{}, n.Attributes.Only() }

type matMul struct{}

func (matMul) infer(in []*ops.Input) (ops.Type, error) {
	a, b := in[0].Type, in[1].Type
	if err := a.CheckDType("A", numericTypes...); err != nil {
		return a, err
	}
	if a.DType != b.DType {
		return a, fmt.Errorf("%w: A is %v but B is %v", ops.ErrDType, a, b)
	}
	return matMulType(a.DType, a, b)
}

// matMulType returns the type of the product of A and B, with the given element type.
func matMulType(d ops.DType, a, b ops.Type) (ops.Type, error) {
	x, y := a.Shape, b.Shape
	if len(x) == 0 || len(y) == 0 {
		return ops.Type{}, fmt.Errorf("%w: A is %v, B is %v: want at least 1 dimension", ops.ErrShape, a, b)
	}
	row, column := len(x) == 1, len(y) == 1
	if row {
		x = []ops.Dim{{Size: 1}, x[0]}
	}
	if column {
		y = []ops.Dim{y[0], {Size: 1}}
	}
	p, q := len(x)-2, len(y)-2
	shape, err := broadcast(x[:p], y[:q])
	if _, ok := mergeDims(x[p+1], y[q]); err != nil || !ok {
		return ops.Type{}, fmt.Errorf("%w: A is %v, B is %v", ops.ErrShape, a, b)
	}
	if !row {
		shape = append(shape, x[p])
	}
	if !column {
		shape = append(shape, y[q+1])
	}
	return ops.Type{DType: d, Shape: shape}, nil
}

// wideProducts computes products of matrices in a wide type.
func wideProducts[W interface {
	summand
	wide
}](ctx *ops.Context, a, b, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	x, y := elementsOf[W](&t, a), elementsOf[W](&t, b)
	if t.err != nil {
		return t.err
	}
	return matrixProducts(ctx, a.Shape(), b.Shape(), x, y, func(at int, c []W) { store(out, at, 1, c) })
}

func (matMul) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	a, b := in[0], in[1]
	switch out.DType() {
	case ops.Float32:
		p := ops.Scratch[matrixProduct](ctx)
		if !p.isFor(a, b) {
			p.prepare(a.Shape(), b.Shape(), false, false)
		}
		return p.run(ctx, a.Float32s(), b.Float32s(), out.Float32s(), nil)
	case ops.Float64:
		return wideProducts[float64](ctx, a, b, out)
	}
	return wideProducts[int64](ctx, a, b, out)
}

// matrixProducts calls done with some rows of a product and the place of the first of them
// in the output, until all rows are computed.
func matrixProducts[T summand](ctx *ops.Context, shapeA, shapeB []int, a, b []T, done func(at int, c []T)) error {
	all, m, k, n := matrices(shapeA, shapeB)
	const rows = 32 // per part
	parts := (m + rows - 1) / rows
	if n == 0 || parts == 0 {
		return nil
	}
	return ctx.For(all.total*parts, max(1, grain/max(1, min(m, rows)*n*k)), func(lo, hi int) error {
		c, err := ops.Temporary[T](ctx, min(m, rows)*n)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, c)
		for ; lo < hi; lo++ {
			number, first := lo/parts, lo%parts*rows
			last := min(first+rows, m)
			err := all.walk(number, number+1, func(at [maxOperands]int, _ int) error {
				x, y := at[0], at[1]
				part := c[:(last-first)*n]
				if err := multiply(ctx, part, matrix[T]{a[x*m*k:], k, false}, matrix[T]{b[y*k*n:], n, false}, first, last, n, k); err != nil {
					return err
				}
				return inPieces(ctx, len(part), func(lo, hi int) { done((number*m+first)*n+lo, part[lo:hi]) })
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// matrices returns the matrices that a product of arrays multiplies, and the sizes of their products:
// A is (m, k), and B is (k, n).
func matrices(shapeA, shapeB []int) (all nest, m, k, n int) {
	if len(shapeA) == 1 {
		shapeA = []int{1, shapeA[0]}
	}
	if len(shapeB) == 1 {
		shapeB = []int{shapeB[0], 1}
	}
	p, q := len(shapeA)-2, len(shapeB)-2
	m, k, n = shapeA[p], shapeA[p+1], shapeB[q+1]
	rank := max(p, q)
	batch := make([]int, rank)
	for i := range batch {
		batch[i] = 1
		if j := i - rank + p; j >= 0 {
			batch[i] = shapeA[j]
		}
		if j := i - rank + q; j >= 0 && shapeB[j] != 1 {
			batch[i] = shapeB[j]
		}
	}
	return newNest(batch, broadcastStrides(shapeA[:p], rank), broadcastStrides(shapeB[:q], rank), rowMajor(batch)), m, k, n
}

// newGemm returns Gemm (opsets 1, 6, 7, 9, 11, 13): Y = alpha*A'*B' + beta*C, where A' (M, K) is
// A or its transpose, and B' (K, N) is B or its transpose. The optional C broadcasts to (M,
// N) as for Add. All inputs have the same type: float32, float64 or an integer type.
//
// Attributes: alpha (default 1), beta (default 1), transA (default 0), transB (default 0),
// broadcast (default 0; before opset 7; without it C must have the shape of Y).
func newGemm(n ops.Node) (operation, error) {
	known := []string{"alpha", "beta", "transA", "transB"}
	if n.Opset < 7 {
		known = append(known, "broadcast")
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	var k gemm
	broadcast, err := flagAttr(n.Attributes, "broadcast")
	if err != nil {
		return nil, err
	}
	k.whole = n.Opset < 7 && !broadcast
	if k.alpha, err = ops.Attr(n.Attributes, "alpha", float32(1)); err != nil {
		return nil, err
	}
	if k.beta, err = ops.Attr(n.Attributes, "beta", float32(1)); err != nil {
		return nil, err
	}
	if k.transA, err = flagAttr(n.Attributes, "transA"); err != nil {
		return nil, err
	}
	k.transB, err = flagAttr(n.Attributes, "transB")
	return &k, err
}

type gemm struct {
	alpha, beta    float32
	transA, transB bool
	whole          bool // C must not broadcast
}

func (k *gemm) infer(in []*ops.Input) (ops.Type, error) {
	a, b := in[0].Type, in[1].Type
	if err := a.CheckDType("A", numericTypes...); err != nil {
		return a, err
	}
	if len(a.Shape) != 2 || len(b.Shape) != 2 {
		return a, fmt.Errorf("%w: A is %v, B is %v, want matrices", ops.ErrShape, a, b)
	}
	x, y := slices.Clone(a.Shape), slices.Clone(b.Shape)
	if k.transA {
		slices.Reverse(x)
	}
	if k.transB {
		slices.Reverse(y)
	}
	if _, ok := mergeDims(x[1], y[0]); !ok {
		return a, fmt.Errorf("%w: A is %v (transA %v), B is %v (transB %v)", ops.ErrShape, a, k.transA, b, k.transB)
	}
	t := ops.Type{DType: a.DType, Shape: []ops.Dim{x[0], y[1]}}
	for i, other := range in[1:] {
		if other != nil && other.DType != a.DType {
			return a, fmt.Errorf("%w: A is %v but input %d is %v", ops.ErrDType, a, i+1, other.Type)
		}
	}
	if len(in) == 3 && in[2] != nil {
		c := in[2].Type
		shape, err := broadcast(t.Shape, c.Shape)
		if err == nil && (len(shape) != 2 || k.whole && !mayBeEqual(t.Shape, c.Shape)) {
			err = ops.ErrShape
		}
		for i := 0; err == nil && i < 2; i++ {
			if _, ok := mergeDims(shape[i], t.Shape[i]); !ok {
				err = ops.ErrShape
			}
		}
		if err != nil {
			return a, fmt.Errorf("%w: C is %v, which does not broadcast to %v", ops.ErrShape, c, t)
		}
	}
	return t, nil
}

func (k *gemm) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	var err error
	t := temporary{ctx: ctx}
	switch out.DType() {
	case ops.Float32:
		return k.runSingle(ctx, in, out)
	case ops.Float64:
		o, _ := ops.Data[float64](out)
		a, b := elementsOf[float64](&t, in[0]), elementsOf[float64](&t, in[1])
		if err = t.err; err == nil {
			err = gemmRows(ctx, k, in, out, a, b, o)
		}
	default:
		a, b, c := elementsOf[int64](&t, in[0]), elementsOf[int64](&t, in[1]), bufferOf[int64](&t, out.Len())
		if err = t.err; err == nil {
			err = gemmRows(ctx, k, in, out, a, b, c)
		}
		if err == nil {
			err = storeAll(ctx, out, 0, 1, c)
		}
	}
	if err != nil || (k.alpha == 1 && len(in) < 3) {
		return err
	}
	return k.finish(ctx, in, out)
}

// runSingle computes Gemm in float32.
func (k *gemm) runSingle(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	p := ops.Scratch[matrixProduct](ctx)
	if !p.isFor(in[0], in[1]) {
		p.prepare(in[0].Shape(), in[1].Shape(), k.transA, k.transB)
	}
	bias := optionalInput(in, 2)
	if k.alpha != 1 || bias != nil && k.beta != 1 {
		if err := p.run(ctx, in[0].Float32s(), in[1].Float32s(), out.Float32s(), nil); err != nil {
			return err
		}
		return k.finish(ctx, in, out)
	}
	return p.runWith(ctx, in[0], in[1], bias, out)
}

func gemmRows[T summand](ctx *ops.Context, k *gemm, in []*ops.Tensor, out *ops.Tensor, a, b, c []T) error {
	x, y := matrix[T]{a, in[0].Shape()[1], k.transA}, matrix[T]{b, in[1].Shape()[1], k.transB}
	depth, n := in[0].Shape()[1], out.Shape()[1]
	if k.transA {
		depth = in[0].Shape()[0]
	}
	return ctx.For(out.Shape()[0], max(1, grain/max(1, n*depth)), func(lo, hi int) error {
		return multiply(ctx, c[lo*n:hi*n], x, y, lo, hi, n, depth)
	})
}

// finish replaces the product by alpha times the product plus beta*C.
func (k *gemm) finish(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	alpha, beta := float64(k.alpha), float64(k.beta)
	if len(in) < 3 || in[2] == nil {
		scale := eachWide(func(x float64) float64 { return alpha * x })
		return ctx.Do(out.Len(), grain, &unaryLoop{out: out, x: out, compute: scale})
	}
	shape := out.Shape()
	n := newNest(shape, rowMajor(shape), rowMajor(shape), broadcastStrides(in[2].Shape(), 2))
	scaleAndAdd := convertedRows(elementPairs(func(x, c float64) float64 { return float64(alpha*x) + float64(beta*c) }))
	return ctx.Do(n.total, grain, &arithmeticLoop{nest: n, out: out, a: out, b: in[2], compute: scaleAndAdd})
}
