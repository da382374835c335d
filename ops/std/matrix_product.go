package std

import (
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// matrixProduct is a product of matrices in float32, for inputs of one shape: C = A*B or, with a bias,
// C = A*B + bias. It stays in memory from run to run, with a constant B in the layout of the kernels.
type matrixProduct struct {
	shapes         [2][]int // of the inputs
	transA, transB bool
	m, k, n        int
	lda, ldb, ldc  int
	all            nest   // A, B and C, in matrices; one if A has any number of them and B is one matrix
	oneB           bool   // whether B is one matrix
	inputB         int    // the number of the input that is B
	size           int    // number of elements of the output
	bias           [2]int // the strides of the bias along the rows and columns of C

	right                 *kernel.Right // of a constant B
	ctx                   *ops.Context  // of the current run, like the arrays
	a, b, c, start        []float32
	stages                []stage // of later links of a chain: they change each part of C once it is complete
	rows, columns         int     // of a part
	rowParts, columnParts int     // of a matrix
	elements              [3]int  // between neighboring matrices of A, B and C
}

// Limits of the parts of a product that one worker computes: more columns, or rows, share the
// packing of the other factor.
const (
	mostRows    = 512
	mostColumns = 512
	mostOfA     = 1 << 21 // elements of A, which take temporary memory
	fewParts    = 4       // of a product that takes long
)

// isFor reports whether the product has been prepared for inputs of these shapes.
func (p *matrixProduct) isFor(a, b *ops.Tensor) bool {
	return p.shapes[0] != nil && slices.Equal(p.shapes[0], a.Shape()) && slices.Equal(p.shapes[1], b.Shape())
}

// prepare sets everything that follows from the shapes of the inputs.
func (p *matrixProduct) prepare(shapeA, shapeB []int, transA, transB bool) {
	all, m, k, n := matrices(shapeA, shapeB)
	if transA {
		m, k = k, m
	}
	if transB {
		n = shapeB[0]
	}
	*p = matrixProduct{shapes: [2][]int{slices.Clone(shapeA), slices.Clone(shapeB)}, transA: transA, transB: transB, m: m, k: k, n: n, all: all}
	p.elements, p.oneB, p.inputB = [3]int{m * k, k * n, m * n}, numElements(shapeB) == k*n, 1
	if !transA && all.total > 1 && p.oneB && numElements(shapeA) == all.total*m*k {
		p.m, p.all = m*all.total, newNest(nil) // one product with the rows of all matrices
	}
	p.lda, p.ldb, p.ldc, p.size = k, n, n, all.total*m*n
	if transA {
		p.lda = m
	}
	if transB {
		p.ldb = k
	}
	p.divide()
}

// divide sets the sizes of the parts that one worker computes.
func (p *matrixProduct) divide() {
	p.rows = min(p.m, mostRows, max(16, mostOfA/max(1, p.k)))
	p.columns = min(p.n, mostColumns)
	if p.all.total*p.m*p.n < fewParts*p.rows*p.columns && p.m*p.n >= 1<<19/max(1, p.k) { // a part for every worker
		if p.n >= 2*kernel.PanelColumns*fewParts || p.n >= p.m {
			panels := (p.n + kernel.PanelColumns - 1) / kernel.PanelColumns
			p.columns = min(p.columns, max(2, (panels+fewParts-1)/fewParts)*kernel.PanelColumns)
		} else {
			p.rows = min(p.rows, max(16, (p.m+fewParts-1)/fewParts))
		}
	}
	p.rowParts, p.columnParts = (p.m+p.rows-1)/max(1, p.rows), (p.n+p.columns-1)/max(1, p.columns)
}

// runWith computes C. The bias, which may be nil, broadcasts to C.
func (p *matrixProduct) runWith(ctx *ops.Context, a, b, bias, out *ops.Tensor) error {
	var start []float32
	if bias != nil {
		start = bias.Float32s()
		p.bias = [2]int(broadcastStrides(bias.Shape(), 2))
	}
	return p.run(ctx, a.Float32s(), b.Float32s(), out.Float32s(), start)
}

// run computes C. start is the bias, or nil.
func (p *matrixProduct) run(ctx *ops.Context, a, b, c, start []float32) error {
	if len(c) == 0 {
		return nil
	}
	if ctx.Constant(p.inputB) && p.oneB && p.k > 0 {
		if err := ctx.Reserve(kernel.RightBytes(p.k, p.n)); err != nil {
			return err
		}
		if p.right == nil {
			var err error
			if p.right, err = kernel.NewRight(ctx, p.transB, p.k, p.n, b, p.ldb); err != nil {
				return err
			}
		}
	}
	p.ctx, p.a, p.b, p.c, p.start = ctx, a, b, c, start
	defer func() { p.ctx, p.a, p.b, p.c, p.start = nil, nil, nil, nil, nil }()
	parts := p.all.total * p.rowParts * p.columnParts
	return ctx.Do(parts, max(1, grain/max(1, p.rows*p.columns*p.k)), p)
}

// Part implements parallel.Loop over the parts of all matrices.
func (p *matrixProduct) Part(lo, hi int) error {
	for ; lo < hi; lo++ {
		matrix := lo / (p.rowParts * p.columnParts)
		row := lo / p.columnParts % p.rowParts * p.rows
		column := lo % p.columnParts * p.columns
		err := p.all.walk(matrix, matrix+1, func(at [maxOperands]int, _ int) error {
			a, b, c := p.a[at[0]*p.elements[0]:], p.b[at[1]*p.elements[1]:], p.c[at[2]*p.elements[2]:]
			bottom, end := min(row+p.rows, p.m), min(column+p.columns, p.n)
			if err := p.part(a, b, c, row, bottom, column, end); err != nil || p.stages == nil {
				return err
			}
			return p.finish(at[2]*p.elements[2], row, bottom, column, end)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// part computes a part of one matrix.
func (p *matrixProduct) part(a, b, c []float32, row, bottom, column, end int) error {
	if p.start != nil {
		p.addBias(c, row, bottom, column, end)
	}
	x := matrix[float32]{a, p.lda, p.transA}
	c = c[row*p.ldc:]
	if p.right != nil {
		return p.right.Multiply(p.ctx, p.transA, bottom-row, a[x.place(row, 0):], p.lda, column, end, c, p.ldc, p.start != nil)
	}
	y := matrix[float32]{b, p.ldb, p.transB}
	return multiplySingle(p.ctx, c[column:], p.ldc, x, y, row, bottom, column, end, p.k, p.start != nil)
}

// addBias sets a part of C to the bias.
func (p *matrixProduct) addBias(c []float32, row, bottom, column, end int) {
	for i := row; i < bottom; i++ {
		to := c[i*p.ldc+column : i*p.ldc+end]
		switch from := p.start[i*p.bias[0]+column*p.bias[1]:]; p.bias[1] {
		case 1:
			copy(to, from)
		default:
			fill(to, from[0])
		}
	}
}
