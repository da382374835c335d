package std

import (
	"slices"
	"sync"

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
		if len(group[i].Types) == 0 || group[i].Types[0] == nil || group[i].rowOperation() == nil {
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
	l.ctx, l.in, l.out = ctx, in, out
	defer func() { l.ctx, l.in, l.out = nil, nil, nil }()
	return ctx.Do(l.blocks, max(1, grain/(l.block*l.length)), l)
}

// rowLoop is a parallel.Loop over blocks of rows of the output of fusedRows. It stays in memory from run
// to run.
type rowLoop struct {
	group  *fusedRows
	fits   bool // whether the shapes do
	length int  // of a row
	rows   int
	block  int // number of rows that are computed at once
	blocks int
	links  []rowLink
	room   int       // number of elements of temporary memory of a goroutine
	states sync.Pool // of *rowState

	ctx *ops.Context // of the run, like the tensors
	in  []*ops.Tensor
	out *ops.Tensor
}

// rowState is the temporary memory of a goroutine.
type rowState struct {
	values   []*ops.Tensor   // a block of the output of each link; the last one is the whole output
	operands [][]*ops.Tensor // of each link
}

// rowLink is a link of a rowLoop.
type rowLink struct {
	span     rowSpan // of the output
	operands []rowOperand
	place    int  // of the output in the temporary memory
	nest     nest // over the blocks of the output and two operands
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
	l.group = f
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
	l.rows = out.Len() / l.length
	l.block = min(max(1, rowBlock/l.length), l.rows)
	l.blocks = (l.rows + l.block - 1) / l.block
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
			a, b := &link.operands[0], &link.operands[1]
			dims := []int{l.blocks, l.block, l.length}
			last := i == len(f.group)-1
			axes := 3
			if link.span == spanNumbers {
				axes = 2
			}
			link.nest = newNest(dims[:axes], l.strides(link.span, last)[:axes], l.strides(a.span, a.link < 0)[:axes], l.strides(b.span, b.link < 0)[:axes])
		}
		l.links = append(l.links, link)
	}
	l.placeOutputs()
}

// strides returns the distances between neighboring blocks, rows and elements of a row in an operand or
// output. If it is not whole, it has one block, which holds the current one.
func (l *rowLoop) strides(s rowSpan, whole bool) []int {
	strides := []int{0, 0, 0}
	switch s {
	case spanRow:
		strides[2] = 1
	case spanNumbers:
		strides[1] = 1
	case spanRows:
		strides[1], strides[2] = l.length, 1
	}
	if whole {
		strides[0] = l.block * strides[1]
	}
	return strides
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

// state returns temporary memory.
func (l *rowLoop) state() (*rowState, error) {
	if s, ok := l.states.Get().(*rowState); ok {
		return s, nil
	}
	memory := make([]float32, l.room)
	s := &rowState{values: make([]*ops.Tensor, len(l.links)), operands: make([][]*ops.Tensor, len(l.links))}
	for i := range l.links {
		link := &l.links[i]
		s.operands[i] = make([]*ops.Tensor, len(link.operands))
		if i == len(l.links)-1 {
			break
		}
		var err error
		n := l.elements(link.span, l.block)
		if s.values[i], err = ops.NewTensor([]int{n}, memory[link.place:][:n]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// elements returns the number of elements of some rows.
func (l *rowLoop) elements(s rowSpan, rows int) int {
	if s == spanRows {
		return rows * l.length
	}
	return rows
}

// Part computes the blocks lo to hi-1.
func (l *rowLoop) Part(lo, hi int) error {
	bytes := 4 * int64(l.room)
	if err := l.ctx.Reserve(bytes); err != nil {
		return err
	}
	defer l.ctx.Release(bytes)
	s, err := l.state()
	if err != nil {
		return err
	}
	defer func() {
		for i := range s.operands {
			clear(s.operands[i])
		}
		s.values[len(l.links)-1] = nil
		l.states.Put(s)
	}()
	for i := range l.links {
		for j, o := range l.links[i].operands {
			if o.link >= 0 {
				s.operands[i][j] = s.values[o.link]
			} else if o.at >= 0 {
				s.operands[i][j] = l.in[o.at]
			}
		}
	}
	s.values[len(l.links)-1] = l.out
	watching := cancelCheck{ctx: l.ctx}
	for ; lo < hi; lo++ {
		count := min(l.block, l.rows-lo*l.block)
		for i := range l.links {
			if err := l.compute(i, s, lo, count); err != nil {
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

// compute computes count rows, those of a block, of the output of link i.
func (l *rowLoop) compute(i int, s *rowState, block, count int) error {
	link, own, out := &l.links[i], s.operands[i], s.values[i]
	n := l.elements(link.span, count)
	first := block * l.elements(link.span, l.block)
	var function func(lo, hi int, out, x *ops.Tensor)
	switch k := l.group.group[i].operation().(type) {
	case unary:
		function = k[ops.Float32]
	case rectifier:
		function = k.unary[ops.Float32]
	case *clip:
		function = k.compute(ops.Float32, own)
	case pow:
		if function = powerWith(float64(own[1].Float32s()[0])); function == nil {
			return singlePowers(&link.nest, first, first+n, out, own[0], own[1])
		}
	case arithmetic:
		return k[ops.Float32](&link.nest, first, first+n, out, own[0], own[1])
	case *reduction:
		x := own[0].Float32s()
		if link.operands[0].link < 0 {
			x = x[block*l.block*l.length:]
		}
		v := out.Float32s()[:count]
		for r := range v {
			v[r] = k.lists.whole(x[r*l.length:][:l.length])
		}
		return nil
	}
	return l.apply(i, function, own[0], out, first, n)
}

// apply computes n elements of the output of link i, a function of the elements in the same place. The
// first one is element first of a whole tensor.
func (l *rowLoop) apply(i int, function func(lo, hi int, out, x *ops.Tensor), x, out *ops.Tensor, first, n int) error {
	wholeX, wholeOut := l.links[i].operands[0].link < 0, i == len(l.links)-1
	var err error
	switch {
	case wholeX && wholeOut:
		function(first, first+n, out, x)
		return nil
	case wholeX:
		x, err = ops.NewTensor([]int{n}, x.Float32s()[first:][:n])
	case wholeOut:
		out, err = ops.NewTensor([]int{n}, out.Float32s()[first:][:n])
	}
	if err == nil {
		function(0, n, out, x)
	}
	return err
}

// singlePowers is the rowFunc of Pow of float32 elements.
func singlePowers(n *nest, lo, hi int, out, a, b *ops.Tensor) error {
	return typedRows(func(out, a, b []float32, stepA, stepB int) error {
		kernel.Pow(out, a, b, stepA, stepB)
		return nil
	})(n, lo, hi, out, a, b)
}
