package std

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// einsumProduct computes an Einsum of two inputs in float32 as products of matrices. It stays in memory
// from run to run. A label that both inputs and the output have counts the matrices. The labels that
// the output shares with A only are those of the rows, and with B only, those of the columns; the sums
// run over the others. Matrices are read and written where they are if a stride describes their rows
// and another one their columns, and copied otherwise.
type einsumProduct struct {
	shapes  [2][]int // of the inputs
	fits    bool     // whether there is such a product
	first   int      // the number of the input that is A
	product matrixProduct
	copies  [3]copying // of A and B from the inputs, and of C to the output
	lengths [3]int     // of what is copied, 0 if it is not
}

// einsumLabels are the labels of a product, without those of size 1.
type einsumLabels struct {
	sizes                       map[string]int
	batch, rows, columns, depth []string
}

func (l *einsumLabels) size(labels []string) int {
	n := 1
	for _, name := range labels {
		n *= l.sizes[name]
	}
	return n
}

// stridesOf returns the strides of an array by label, or nil if a label occurs twice. It omits
// dimensions of size 1.
func (l *einsumLabels) stridesOf(term []string, shape []int) map[string]int {
	strides := map[string]int{}
	for d, stride := range rowMajor(shape) {
		if shape[d] == 1 {
			continue
		}
		if strides[term[d]] != 0 {
			return nil
		}
		strides[term[d]] = stride
	}
	return strides
}

// stride returns the stride with which some labels run through an array, or 0 if there is not one. For
// no labels, it is 1.
func (l *einsumLabels) stride(labels []string, strides map[string]int) int {
	if len(labels) == 0 {
		return 1
	}
	last := len(labels) - 1
	stride, n := strides[labels[last]], 1
	for _, name := range slices.Backward(labels) {
		if strides[name] != stride*n {
			return 0
		}
		n *= l.sizes[name]
	}
	return stride
}

// matrix returns how rows and columns lie in an array: the stride from row to row or, if transposed is
// set, from column to column; the other stride is 1. The stride is 0 if they do not lie like that.
func (l *einsumLabels) matrix(rows, columns []string, strides map[string]int) (stride int, transposed bool) {
	m, n, row, column := l.size(rows), l.size(columns), l.stride(rows, strides), l.stride(columns, strides)
	switch {
	case column == 1 && m == 1:
		return n, false
	case column == 1 && row >= n:
		return row, false
	case row == 1 && n == 1:
		return m, true
	case row == 1 && column >= m:
		return column, true
	}
	return 0, false
}

// take sets the labels of the product of two arrays, and reports whether it is a product of matrices.
func (l *einsumLabels) take(a, b map[string]int, terms [][]string, output []string) bool {
	seen := map[string]bool{}
	for _, name := range slices.Concat(output, terms[0], terms[1]) {
		if l.sizes[name] == 1 || seen[name] {
			continue
		}
		seen[name] = true
		kept := slices.Contains(output, name)
		switch inA, inB := a[name] != 0, b[name] != 0; {
		case inA && inB && kept:
			l.batch = append(l.batch, name)
		case inA && inB:
			l.depth = append(l.depth, name)
		case !kept:
			return false // sums of elements of one array
		case inA:
			l.rows = append(l.rows, name)
		default:
			l.columns = append(l.columns, name)
		}
	}
	return true
}

// prepare sets everything that follows from the shapes of the inputs, which have elements. shape is
// that of the output.
func (p *einsumProduct) prepare(terms [][]string, output []string, sizes map[string]ops.Dim, shapes [2][]int, shape []int) {
	*p = einsumProduct{shapes: [2][]int{slices.Clone(shapes[0]), slices.Clone(shapes[1])}}
	l := &einsumLabels{sizes: map[string]int{}}
	for name, d := range sizes {
		l.sizes[name] = d.Size
	}
	strides := [3]map[string]int{l.stridesOf(terms[0], shapes[0]), l.stridesOf(terms[1], shapes[1]), l.stridesOf(output, shape)}
	if strides[0] == nil || strides[1] == nil || !l.take(strides[0], strides[1], terms, output) {
		return
	}
	p.fits = true
	// The columns of C are those that are next to each other in the output.
	if l.stride(l.columns, strides[2]) != 1 || len(l.columns) == 0 && len(l.rows) > 0 {
		p.first = 1
		l.rows, l.columns = l.columns, l.rows
		strides[0], strides[1] = strides[1], strides[0]
	}
	q := &p.product
	q.m, q.n, q.k, q.oneB, q.inputB, q.elements = l.size(l.rows), l.size(l.columns), l.size(l.depth), len(l.batch) == 0, 1-p.first, [3]int{1, 1, 1}
	for i, side := range [3][2][]string{{l.rows, l.depth}, {l.depth, l.columns}, {l.rows, l.columns}} {
		stride, transposed := l.matrix(side[0], side[1], strides[i])
		if stride == 0 || i == 2 && transposed {
			p.lengths[i] = p.copyMatrices(i, l, slices.Concat(l.batch, side[0], side[1]), &strides)
			stride, transposed = l.size(side[1]), false
		}
		switch i {
		case 0:
			q.lda, q.transA = stride, transposed
		case 1:
			q.ldb, q.transB = stride, transposed
		default:
			q.ldc = stride
		}
	}
	var all [3][]int
	var counts []int
	for _, name := range l.batch {
		counts = append(counts, l.sizes[name])
		for i := range all {
			all[i] = append(all[i], strides[i][name])
		}
	}
	q.all = newNest(counts, all[:]...)
	q.divide()
}

// copyMatrices prepares a copy of an array in which its labels lie in the given order. It replaces the
// strides of the array and returns the length of the copy.
func (p *einsumProduct) copyMatrices(i int, l *einsumLabels, order []string, strides *[3]map[string]int) int {
	var sizes, there []int
	for _, name := range order {
		sizes, there = append(sizes, l.sizes[name]), append(there, strides[i][name])
	}
	here := rowMajor(sizes)
	to, from := here, there
	if i == 2 {
		to, from = there, here
	}
	c := &p.copies[i]
	c.nest = newNest(sizes, to, from)
	c.tiles = newTransposing(&c.nest)
	strides[i] = map[string]int{}
	for d, name := range order {
		strides[i][name] = here[d]
	}
	return l.size(order)
}

// run computes the output, or returns false if it is not a product of matrices.
func (p *einsumProduct) run(ctx *ops.Context, k *einsum, in []*ops.Tensor, out *ops.Tensor) (bool, error) {
	shapes := [2][]int{in[0].Shape(), in[1].Shape()}
	if p.shapes[0] == nil || !slices.Equal(p.shapes[0], shapes[0]) || !slices.Equal(p.shapes[1], shapes[1]) {
		terms, output, sizes, err := k.plan([][]ops.Dim{ops.TypeOf(in[0]).Shape, ops.TypeOf(in[1]).Shape})
		if err != nil {
			return true, err
		}
		p.prepare(terms, output, sizes, shapes, out.Shape())
	}
	if !p.fits {
		return false, nil
	}
	arrays := [3]*ops.Tensor{in[p.first], in[1-p.first], out}
	for i, n := range p.lengths {
		if n == 0 {
			continue
		}
		memory, err := ops.Temporary[float32](ctx, n)
		if err != nil {
			return true, err
		}
		defer ops.Free(ctx, memory)
		from := arrays[i]
		if arrays[i], err = ops.NewTensor([]int{n}, memory); err != nil {
			return true, err
		}
		if i < 2 {
			if err := p.copies[i].run(ctx, arrays[i], from); err != nil {
				return true, err
			}
		}
	}
	if err := p.product.run(ctx, arrays[0].Float32s(), arrays[1].Float32s(), arrays[2].Float32s(), nil); err != nil {
		return true, err
	}
	if p.lengths[2] > 0 {
		return true, p.copies[2].run(ctx, out, arrays[2])
	}
	return true, nil
}
