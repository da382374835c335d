package std

import (
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// FuseRows returns a way to compute a group of at least three nodes, each of which uses outputs of
// others, row by row: a normalization as exporters write it, or a pointwise function that uses a value
// twice. Nothing outside the group uses an output but that of the last node, whose rows lie along the
// last axis. The bits are those of one node after the other. FuseRows returns nil if it knows no faster
// way.
func FuseRows(group []Link) Fused {
	if len(group) < 3 {
		return nil
	}
	for i := range group {
		if group[i].Types[0] == nil || group[i].rowOperation() == nil {
			return nil
		}
	}
	last := &group[len(group)-1]
	types, err := last.Op.Infer(last.Types)
	if err != nil || len(types) != 1 {
		return nil
	}
	f := &fusedRows{group}
	shapes := func(i, input int) []ops.Dim { return group[i].Types[input].Shape }
	if _, ok := f.spans(types[0].Shape, shapes); !ok {
		return nil
	}
	return f
}

// fusedRows computes a group of nodes for some rows at a time, which stay in the caches.
type fusedRows struct{ group []Link }

// rowOperation returns the operation of a link if it is float32 and can be part of fusedRows.
func (l *Link) rowOperation() any {
	for i, t := range l.Types {
		if t == nil && l.Inputs[i] != Omitted {
			return nil
		}
	}
	if !l.single(0) {
		return nil
	}
	switch k := l.operation().(type) {
	case unary, rectifier:
		return k
	case *clip:
		if !slices.ContainsFunc(l.Inputs[1:], func(at int) bool { return at <= Before }) {
			return k
		}
	case arithmetic:
		if l.single(1) {
			return k
		}
	case pow:
		if l.single(1) && l.Inputs[1] >= 0 {
			return k
		}
	case *reduction:
		if l.reducesRows(k) {
			return k
		}
	}
	return nil
}

// reducesRows reports whether a reduction has one result for each row along the last axis, which it
// keeps.
func (l *Link) reducesRows(k *reduction) bool {
	if k.lists == nil || !k.keep {
		return false
	}
	axes := k.axes
	if len(l.Types) > 1 && l.Inputs[1] != Omitted {
		if l.Types[1].Const == nil {
			return false
		}
		axes = l.Types[1].Const.Int64s()
	}
	rank := len(l.Types[0].Shape)
	reduced, err := k.reduced(axes, rank)
	return err == nil && rank > 0 && slices.Index(reduced, true) == rank-1
}

// rowSpan says what part of an operand belongs to a row of the output.
type rowSpan int

const (
	spanNone    rowSpan = iota // operands with which rows cannot be computed
	spanNumber                 // the same number for all rows
	spanRow                    // the same row for all rows
	spanNumbers                // a number for each row
	spanRows                   // a row for each row
)

// spanOf returns the span of an operand for an output of the shape all.
func spanOf(shape, all []ops.Dim) rowSpan {
	if len(shape) > len(all) {
		return spanNone
	}
	width := ops.Dim{Size: 1}
	ones, same := true, len(shape) == len(all)
	for i, d := range shape {
		if i == len(shape)-1 {
			width = d
			break
		}
		ones = ones && d.Size == 1
		same = same && d == all[len(all)-len(shape)+i]
	}
	switch length := all[len(all)-1]; {
	case ones && width.Size == 1:
		return spanNumber
	case same && width == length:
		return spanRows
	case same && width.Size == 1:
		return spanNumbers
	case ones && width == length:
		return spanRow
	}
	return spanNone
}

// spans returns the spans of the outputs of all links for an output of the shape all, or false if the
// shapes do not fit. shape returns the shape of an input that is not an output of the group.
func (f *fusedRows) spans(all []ops.Dim, shape func(link, input int) []ops.Dim) ([]rowSpan, bool) {
	if len(all) == 0 || all[len(all)-1].Size == 1 || all[len(all)-1].Size > stepsPerCheck {
		return nil, false
	}
	results := make([]rowSpan, len(f.group))
	for i := range f.group {
		l := &f.group[i]
		operand := func(input int) rowSpan { return f.spanOfInput(i, input, all, results, shape) }
		var s rowSpan
		switch k := l.rowOperation(); k.(type) {
		case unary, rectifier:
			s = operand(0)
		case *clip:
			s = operand(0)
		case pow:
			if s = operand(0); operand(1) != spanNumber {
				return nil, false
			}
		case *reduction:
			if operand(0) != spanRows {
				return nil, false
			}
			s = spanNumbers
		case arithmetic:
			a, b := operand(0), operand(1)
			s = max(a, b)
			switch {
			case a == spanNone || b == spanNone:
				return nil, false
			case s == spanNumbers && min(a, b) == spanRow:
				s = spanRows
			}
		}
		if s != spanNumbers && s != spanRows {
			return nil, false
		}
		results[i] = s
	}
	return results, results[len(results)-1] == spanRows
}

// spanOfInput returns the span of an input of link i.
func (f *fusedRows) spanOfInput(i, input int, all []ops.Dim, results []rowSpan, shape func(link, input int) []ops.Dim) rowSpan {
	if from := Source(f.group[i].Inputs[input], i); from >= 0 {
		return results[from]
	}
	return spanOf(shape(i, input), all)
}

// Run implements Fused.
func (f *fusedRows) Run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	l := ops.Scratch[rowLoop](ctx)
	if l.group == nil {
		l.prepare(f, in, out)
	}
	if !l.fits {
		return inTurn(ctx, f.group, in, out)
	}
	l.ctx, l.in, l.out = ctx, in, out.Float32s()
	defer func() { l.ctx, l.in, l.out = nil, nil, nil }()
	return ctx.Do(len(l.out)/l.length, max(l.block, grain/l.length), l)
}

// rowLoop is a parallel.Loop over the rows of the output of fusedRows. It stays in memory from run to
// run.
type rowLoop struct {
	group  *fusedRows
	fits   bool // whether the shapes do
	length int  // of a row
	block  int  // number of rows that are computed at once
	links  []rowLink
	room   int // number of elements of temporary memory of a goroutine

	ctx *ops.Context // of the run, like the arrays
	in  []*ops.Tensor
	out []float32
}

// rowLink is a link of a rowLoop.
type rowLink struct {
	span     rowSpan // of the output
	operands []rowOperand
	place    int // of the output in the temporary memory
	nest     nest
}

// rowOperand is an input of a rowLink.
type rowOperand struct {
	span rowSpan
	link int // whose output it is, or -1
	at   int // the index in the inputs of the group, if it is none of the outputs
}

// rowBlock is the number of elements of a value that are computed at once.
const rowBlock = 1 << 12

// prepare sets everything that follows from the shapes of the inputs.
func (l *rowLoop) prepare(f *fusedRows, in []*ops.Tensor, out *ops.Tensor) {
	*l = rowLoop{group: f}
	if slices.ContainsFunc(append([]*ops.Tensor{out}, in...), func(x *ops.Tensor) bool {
		return x != nil && x.DType() != ops.Float32 && x.DType() != ops.Int64 // as axes
	}) {
		return
	}
	all := inputs([]*ops.Tensor{out})[0].Shape
	shape := func(i, input int) []ops.Dim { return inputs([]*ops.Tensor{in[f.group[i].Inputs[input]]})[0].Shape }
	results, ok := f.spans(all, shape)
	if !ok || out.DType() != ops.Float32 {
		return
	}
	l.fits, l.length = true, all[len(all)-1].Size
	l.block = min(max(1, rowBlock/l.length), out.Len()/l.length)
	for i := range f.group {
		link := rowLink{span: results[i]}
		for input, at := range f.group[i].Inputs {
			o := rowOperand{link: Source(at, i), at: at}
			if at != Omitted {
				o.span = f.spanOfInput(i, input, all, results, shape)
			}
			link.operands = append(link.operands, o)
		}
		if len(link.operands) > 1 {
			link.nest = l.nestOf(&link)
		}
		l.links = append(l.links, link)
	}
	l.placeOutputs()
}

// nestOf returns the loops over a block of the output and two operands of a link.
func (l *rowLoop) nestOf(link *rowLink) nest {
	if link.span == spanNumbers {
		return newNest([]int{l.block}, []int{1}, link.operands[0].span.strides(1)[:1], link.operands[1].span.strides(1)[:1])
	}
	return newNest([]int{l.block, l.length}, spanRows.strides(l.length), link.operands[0].span.strides(l.length), link.operands[1].span.strides(l.length))
}

// strides returns the distances between rows, of the given length, and between the elements of a row.
func (s rowSpan) strides(length int) []int {
	switch s {
	case spanRow:
		return []int{0, 1}
	case spanNumbers:
		return []int{1, 0}
	case spanRows:
		return []int{length, 1}
	}
	return []int{0, 0}
}

// placeOutputs gives the outputs of all links but the last one a place in the temporary memory. An
// output may have the place of one that is not used any more.
func (l *rowLoop) placeOutputs() {
	lastUse := lastUses(l.group.group)
	var free []int // places of rows
	for i := range len(l.links) - 1 {
		link := &l.links[i]
		switch {
		case link.span == spanNumbers:
			link.place, l.room = l.room, l.room+l.block
		case len(free) > 0:
			link.place, free = free[len(free)-1], free[:len(free)-1]
		default:
			link.place, l.room = l.room, l.room+l.block*l.length
		}
		for j := range i {
			if lastUse[j] == i && l.links[j].span == spanRows {
				free = append(free, l.links[j].place)
			}
		}
	}
}

// lastUses returns, for each link of a group, the last link that uses its output.
func lastUses(group []Link) []int {
	last := make([]int, len(group))
	for i := range group {
		for _, at := range group[i].Inputs {
			if from := Source(at, i); from >= 0 {
				last[from] = i
			}
		}
	}
	return last
}

// Part computes the rows lo to hi-1.
func (l *rowLoop) Part(lo, hi int) error {
	memory, err := ops.Temporary[float32](l.ctx, l.room)
	if err != nil {
		return err
	}
	defer ops.Free(l.ctx, memory)
	watching := cancelCheck{ctx: l.ctx}
	values := make([]*ops.Tensor, len(l.links))
	for ; lo < hi; lo += l.block {
		count := min(l.block, hi-lo)
		for i := range l.links {
			link := &l.links[i]
			v := l.out[lo*l.length:]
			if i < len(l.links)-1 {
				v = memory[link.place:]
			}
			if values[i], err = l.part(v, link.span, 0, count); err != nil {
				return err
			}
			if err := l.compute(i, values, lo, count); err != nil {
				return err
			}
			const slowest = 4 // as in apply
			if err := watching.after(slowest * count * l.length); err != nil {
				return err
			}
		}
	}
	return nil
}

// part returns the elements that belong to count rows, the first of which is row first.
func (l *rowLoop) part(v []float32, s rowSpan, first, count int) (*ops.Tensor, error) {
	if s == spanRows {
		first, count = first*l.length, count*l.length
	}
	return ops.NewTensor([]int{count}, v[first:][:count])
}

// compute computes count rows of the output of link i, beginning with row first of the whole output.
func (l *rowLoop) compute(i int, values []*ops.Tensor, first, count int) error {
	link, out := &l.links[i], values[i]
	own := make([]*ops.Tensor, len(link.operands))
	for j, o := range link.operands {
		switch {
		case o.link >= 0:
			own[j] = values[o.link]
		case o.at < 0: // omitted
		case o.span == spanRows || o.span == spanNumbers:
			var err error
			if own[j], err = l.part(l.in[o.at].Float32s(), o.span, first, count); err != nil {
				return err
			}
		default:
			own[j] = l.in[o.at]
		}
	}
	n := out.Len()
	switch k := l.group.group[i].operation().(type) {
	case unary:
		k[ops.Float32](0, n, out, own[0])
	case rectifier:
		k.unary[ops.Float32](0, n, out, own[0])
	case *clip:
		k.compute(ops.Float32, own)(0, n, out, own[0])
	case arithmetic:
		return k[ops.Float32](&link.nest, 0, n, out, own[0], own[1])
	case pow:
		exponent, err := l.part(own[1].Float32s(), spanNumbers, 0, 1)
		if err != nil {
			return err
		}
		if compute := powerOf([]*ops.Tensor{own[0], exponent}); compute != nil {
			compute(0, n, out, own[0])
			return nil
		}
		return singlePowers(&link.nest, 0, n, out, own[0], own[1])
	case *reduction:
		v, x := out.Float32s(), own[0].Float32s()
		for r := range v {
			v[r] = k.lists.whole(x[r*l.length:][:l.length])
		}
	}
	return nil
}

// singlePowers is the rowFunc of Pow of float32 elements.
func singlePowers(n *nest, lo, hi int, out, a, b *ops.Tensor) error {
	return typedRows(func(out, a, b []float32, stepA, stepB int) error {
		kernel.Pow(out, a, b, stepA, stepB)
		return nil
	})(n, lo, hi, out, a, b)
}
