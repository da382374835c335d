package std

import (
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newMatMulInteger returns MatMulInteger (opset 10): the product of A and B, int8 or uint8,
// as int32. See newMatMul. The optional zero points are subtracted first. They are scalars, or
// vectors with one number per row of A and per column of B, or have the dimensions of A or B,
// or 1. There are no attributes.
func newMatMulInteger(n ops.Node) (operation, error) { return matMulInteger{}, n.Attributes.Only() }

type matMulInteger struct{}

func (matMulInteger) infer(in []*ops.Input) (ops.Type, error) {
	if err := checkZeroPoint("A", in, 0, 2, -2); err != nil {
		return ops.Type{}, err
	}
	if err := checkZeroPoint("B", in, 1, 3, -1); err != nil {
		return ops.Type{}, err
	}
	return matMulType(ops.Int32, in[0].Type, in[1].Type)
}

func (matMulInteger) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	if !isPerRow(in[0], optionalInput(in, 2)) || !isPerColumn(in[1], optionalInput(in, 3)) {
		a, b := subtractZeroPoint(&t, in[0], optionalInput(in, 2), -2), subtractZeroPoint(&t, in[1], optionalInput(in, 3), -1)
		if t.err != nil {
			return t.err
		}
		return matrixProducts(ctx, in[0].Shape(), in[1].Shape(), a, b, func(at int, c []int64) { store(out, at, 1, c) })
	}
	zeros := kernel.Zeros{A: int32sOf(&t, optionalInput(in, 2)), B: int32sOf(&t, optionalInput(in, 3))}
	if t.err != nil {
		return t.err
	}
	to, _ := ops.Data[int32](out)
	p := integerProduct{a: in[0], b: in[1], zeros: zeros, constant: ctx.Constant(1)}
	return p.run(ctx, func(_, _, at int, sums []int32) { copy(to[at:], sums) })
}

// runQuantized computes products of integers with scales and zero points for rows and columns.
func (qLinearMatMul) runQuantized(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	zeros := kernel.Zeros{A: int32sOf(&t, in[2]), B: int32sOf(&t, in[5])}
	scalesA, scalesB := float32sOf(&t, in[1]), float32sOf(&t, in[4])
	if t.err != nil {
		return t.err
	}
	p := integerProduct{a: in[0], b: in[3], zeros: zeros, constant: ctx.Constant(3)}
	p.prepare()
	scalesA, scalesB = lines(scalesA, p.given[1], p.given[0]), lines(scalesB, p.n, p.countB)
	y, quantum, to := firstElement[float64](in[6]), quantumOf(in[7]), quantizedData(out)
	// As in other runtimes, the factors are rounded to float32 one after the other.
	factors := func(row, column, n int) []float32 {
		a, b := scalesA[0], scalesB
		if len(scalesA) > 1 {
			a = scalesA[row]
		}
		if len(b) > 1 {
			b = b[column:][:n]
		}
		f := make([]float32, len(b))
		for i, s := range b {
			f[i] = float32(a*s) / float32(y)
		}
		return f
	}
	var same []float32
	if len(scalesA) == 1 && len(scalesB) == 1 {
		same = factors(0, 0, 0)
	}
	return p.run(ctx, func(row, column, at int, sums []int32) {
		f := same
		if f == nil {
			f = factors(row, column, len(sums))
		}
		kernel.Requantize(to[at:][:len(sums)], sums, f, quantum)
	})
}

// integerProduct is a product of arrays of quantized matrices, minus their zero points.
type integerProduct struct {
	a, b     *ops.Tensor
	zeros    kernel.Zeros
	constant bool // whether b is a constant

	all            nest // of the matrices
	m, k, n        int
	countA, countB int    // numbers of matrices
	given          [2]int // number and rows of the matrices of a, which prepare may take for one
}

// integerMatrices holds the operands of an integerProduct in the layout of the kernel. They are kept
// from run to run.
type integerMatrices struct {
	rows    []*kernel.IntegerRows
	columns []*kernel.IntegerColumns
	ready   bool // whether columns is a constant and complete
}

// prepare finds the matrices to multiply. If B is a single matrix, those of A are taken for one.
func (p *integerProduct) prepare() {
	shapeA, shapeB := p.a.Shape(), p.b.Shape()
	p.countA, p.countB = numElements(shapeA[:max(0, len(shapeA)-2)]), numElements(shapeB[:max(0, len(shapeB)-2)])
	p.all, p.m, p.k, p.n = matrices(shapeA, shapeB)
	p.given = [2]int{p.countA, p.m}
	p.zeros = kernel.Zeros{A: lines(p.zeros.A, p.m, p.countA), B: lines(p.zeros.B, p.n, p.countB)}
	if len(shapeB) <= 2 && p.countA > 1 {
		p.all, p.m, _, _ = matrices([]int{p.countA * p.m, p.k}, shapeB)
		p.countA = 1
	}
}

// run calls done with parts of the rows of the product: of the row and the column, which count through
// all matrices of A and B, at which they begin, and of their place in the output.
func (p *integerProduct) run(ctx *ops.Context, done func(row, column, at int, sums []int32)) error {
	if p.all.sizes == nil {
		p.prepare()
	}
	if p.all.total*p.m*p.n == 0 || p.countA*p.countB == 0 {
		return nil
	}
	s := ops.Scratch[integerMatrices](ctx)
	if err := p.pack(ctx, s); err != nil {
		return err
	}
	const most = 8 // panels in a part
	rows := 2 * kernel.Tiling().Rows
	panels := s.columns[0].Panels()
	partsM := (p.m + rows - 1) / rows
	// Even one row is divided into several parts.
	width := min(max(1, panels*partsM*p.all.total/16), most, panels)
	partsN := (panels + width - 1) / width
	parts := partsM * partsN
	work := min(rows, p.m) * width * kernel.IntegerRoom * max(1, p.k)
	return ctx.For(p.all.total*parts, max(1, integerGrain/work), func(lo, hi int) error {
		t := integerTiles.Get().(*integerTile)
		defer integerTiles.Put(t)
		ldc := width * kernel.IntegerRoom
		t.grow(rows * ldc)
		for ; lo < hi; lo++ {
			number, part := lo/parts, lo%parts
			i0, p0 := part/partsN*rows, part%partsN*width
			i1, p1 := min(i0+rows, p.m), min(p0+width, panels)
			err := p.all.walk(number, number+1, func(at [maxOperands]int, _ int) error {
				a, b := at[0], at[1]
				zeros := kernel.Zeros{A: linesOf(p.zeros.A, p.m, a), B: linesOf(p.zeros.B, p.n, b)}
				if err := s.columns[b].Multiply(ctx, &t.scratch, s.rows[a], i0, i1, p0, p1, zeros, t.sums, ldc); err != nil {
					return err
				}
				first := p0 * kernel.IntegerRoom
				n := min(p1*kernel.IntegerRoom, p.n) - first
				for i := i0; i < i1; i++ {
					done(a*p.m+i, b*p.n+first, (number*p.m+i)*p.n+first, t.sums[(i-i0)*ldc:][:n])
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// integerGrain is the number of products of integers that make one call from a parallel loop
// worthwhile.
const integerGrain = 1 << 20

// integerTile is temporary memory for a part of a product.
type integerTile struct {
	scratch kernel.IntegerScratch
	sums    []int32
	bytes   []uint8
}

var integerTiles = sync.Pool{New: func() any { return new(integerTile) }}

func (t *integerTile) grow(n int) {
	if cap(t.sums) < n {
		t.sums = make([]int32, n)
	}
	t.sums = t.sums[:cap(t.sums)]
}

// pack copies the operands into the layout of the kernel.
func (p *integerProduct) pack(ctx *ops.Context, s *integerMatrices) error {
	err := ctx.Reserve(int64(p.countA)*kernel.IntegerRowsBytes(p.m, p.k, 1) + int64(p.countB)*kernel.IntegerColumnsBytes(p.k, p.n))
	if err != nil {
		return err
	}
	if s.rows == nil {
		for range p.countA {
			s.rows = append(s.rows, kernel.NewIntegerRows(p.m, p.k, 1, isSigned(p.a)))
		}
		for range p.countB {
			s.columns = append(s.columns, kernel.NewIntegerColumns(p.k, p.n, isSigned(p.b)))
		}
	}
	a, b := bytesOf(p.a), bytesOf(p.b)
	err = ctx.For(p.countA*p.m, max(1, 8*grain/max(1, p.k)), func(lo, hi int) error {
		for ; lo < hi; lo++ {
			s.rows[lo/p.m].Set(lo%p.m, a.Slice(lo*p.k, (lo+1)*p.k))
		}
		return nil
	})
	if err != nil || s.ready {
		return err
	}
	panels := s.columns[0].Panels()
	err = ctx.For(p.countB*panels, max(1, 4*grain/(kernel.IntegerRoom*max(1, p.k))), func(lo, hi int) error {
		for ; lo < hi; lo++ {
			i := lo / panels
			if err := s.columns[i].Set(ctx, lo%panels, b.Slice(i*p.k*p.n, (i+1)*p.k*p.n)); err != nil {
				return err
			}
		}
		return nil
	})
	s.ready = err == nil && p.constant
	return err
}
