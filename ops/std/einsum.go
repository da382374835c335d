package std

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// newEinsum returns Einsum (opset 12): products of elements of the inputs, summed over the
// dimensions that the output does not have. The inputs have the same type, any but bool.
// The number of operations is the product of the sizes of all labels. Products of two inputs in float32
// that are products of matrices are computed as MatMul computes them, others in float64.
//
// Attributes: equation (required): a label (a letter) for each dimension of each input and
// of the output, as in numpy: "ij,jk->ik". The dimensions of "..." broadcast as for Add.
// Without "->" the output has the dimensions of "...", then the labels that occur once, in
// alphabetical order.
func newEinsum(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("equation"); err != nil {
		return nil, err
	}
	equation, err := ops.Attr(n.Attributes, "equation", "")
	if err != nil {
		return nil, err
	}
	equation = strings.ReplaceAll(equation, " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	k := &einsum{inputs: strings.Split(left, ","), output: right}
	for _, s := range append(slices.Clone(k.inputs), right) {
		letters := strings.Replace(s, "...", "", 1)
		if strings.Trim(letters, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return nil, fmt.Errorf("%w: equation %q: labels must be letters", ops.ErrAttribute, equation)
		}
	}
	if !explicit {
		k.output = implicitOutput(left)
	}
	for i, c := range k.output {
		if c != '.' && (!strings.ContainsRune(left, c) || strings.ContainsRune(k.output[i+1:], c)) {
			return nil, fmt.Errorf("%w: equation %q: output label %q must be in an input, and only once in the output", ops.ErrAttribute, equation, c)
		}
	}
	if len(k.inputs) != n.NumInputs {
		return nil, fmt.Errorf("%w: equation %q does not fit the number of inputs, %d", ops.ErrAttribute, equation, n.NumInputs)
	}
	return k, nil
}

// implicitOutput returns the output of an equation without "->".
func implicitOutput(left string) string {
	var once []rune
	for _, c := range left {
		if c != '.' && c != ',' && strings.Count(left, string(c)) == 1 {
			once = append(once, c)
		}
	}
	slices.Sort(once)
	if strings.Contains(left, "...") {
		return "..." + string(once)
	}
	return string(once)
}

type einsum struct {
	inputs []string
	output string
}

// onlyInRuns implements runOnly: there can be far more products than elements.
func (*einsum) onlyInRuns() {}

// termLabels returns a label for each dimension of an input. The dimensions of "..." get
// numbers, counted from the last.
func termLabels(term string, rank int) ([]string, error) {
	before, after, dots := strings.Cut(term, "...")
	more := rank - len(before) - len(after)
	if more < 0 || more > 0 && !dots {
		return nil, fmt.Errorf("%w: term %q of the equation does not fit rank %d", ops.ErrShape, term, rank)
	}
	names := make([]string, 0, rank)
	for _, c := range before {
		names = append(names, string(c))
	}
	for i := range more {
		names = append(names, fmt.Sprint(more-i))
	}
	for _, c := range after {
		names = append(names, string(c))
	}
	return names, nil
}

// plan returns the labels of the dimensions of the inputs and the output, and the sizes of
// the labels.
func (k *einsum) plan(shapes [][]ops.Dim) (terms [][]string, output []string, sizes map[string]ops.Dim, err error) {
	sizes = map[string]ops.Dim{}
	broad := 0
	for i, shape := range shapes {
		names, err := termLabels(k.inputs[i], len(shape))
		if err != nil {
			return nil, nil, nil, err
		}
		terms = append(terms, names)
		for d, name := range names {
			old, ok := sizes[name]
			if !ok {
				old = ops.Dim{Size: 1}
			}
			size, err := broadcast([]ops.Dim{old}, []ops.Dim{shape[d]})
			if err != nil {
				return nil, nil, nil, fmt.Errorf("%w: label %q of the equation has size %v and size %v", ops.ErrShape, name, old, shape[d])
			}
			sizes[name] = size[0]
		}
		if strings.Contains(k.inputs[i], "...") {
			broad = max(broad, len(shape)-len(k.inputs[i])+3)
		}
	}
	rank := len(k.output)
	if strings.Contains(k.output, "...") {
		rank += broad - 3
	}
	output, err = termLabels(k.output, rank)
	return terms, output, sizes, err
}

func (k *einsum) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].Type
	if err := t.CheckDType("input 0", numericTypes...); err != nil {
		return t, err
	}
	shapes := make([][]ops.Dim, len(in))
	for i, x := range in {
		if shapes[i] = x.Shape; x.DType != t.DType {
			return t, fmt.Errorf("%w: input 0 is %v but input %d is %v", ops.ErrDType, t, i, x.Type)
		}
	}
	_, output, sizes, err := k.plan(shapes)
	if err != nil {
		return t, err
	}
	t.Shape = make([]ops.Dim, len(output))
	for i, name := range output {
		t.Shape[i] = sizes[name]
	}
	return t, nil
}

func (k *einsum) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	d := out.DType()
	if d == ops.Float32 && len(in) == 2 && in[0].Len() > 0 && in[1].Len() > 0 {
		if done, err := ops.Scratch[einsumProduct](ctx).run(ctx, k, in, out); done {
			return err
		}
	}
	switch {
	case isFloat(d):
		return einsumOf[float64](ctx, k, in, out)
	case d == ops.Uint64:
		return einsumOf[uint64](ctx, k, in, out)
	}
	return einsumOf[int64](ctx, k, in, out)
}

func einsumOf[W wide](ctx *ops.Context, k *einsum, in []*ops.Tensor, out *ops.Tensor) error {
	kept, summed, err := k.loops(in)
	if err != nil || out.Len() == 0 {
		return err
	}
	t, elements := temporary{ctx: ctx}, make([][]W, len(in))
	for i, x := range in {
		elements[i] = elementsOf[W](&t, x)
	}
	if t.err != nil {
		return t.err
	}
	products := numElements(summed.sizes) // per element of the output
	return ctx.For(out.Len(), max(1, grain/max(1, products)), func(lo, hi int) error {
		outer, inner := kept.start(len(in)), summed.start(len(in))
		outer.skip(lo)
		for i := lo; i < hi; i++ {
			var sum W
			inner.restart(outer.places)
			for j := range products {
				if j%(1<<16) == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				p := W(1)
				for x, place := range inner.places {
					p *= elements[x][place]
				}
				sum += p
				inner.next()
			}
			store(out, i, 1, []W{sum})
			outer.next()
		}
		return nil
	})
}

// loops returns the loops over the dimensions of the output, and the loops over the
// dimensions that are summed over.
func (k *einsum) loops(in []*ops.Tensor) (kept, summed *operandLoops, err error) {
	shapes := make([][]ops.Dim, len(in))
	for i, x := range in {
		shapes[i] = ops.TypeOf(x).Shape
	}
	terms, output, named, err := k.plan(shapes)
	if err != nil {
		return nil, nil, err
	}
	names := slices.Clone(output)
	for _, term := range terms {
		for _, name := range term {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	all := &operandLoops{sizes: make([]int, len(names)), strides: make([][]int, len(names))}
	for i, name := range names {
		all.sizes[i], all.strides[i] = named[name].Size, make([]int, len(in))
	}
	for x, term := range terms {
		shape := in[x].Shape()
		for d, stride := range rowMajor(shape) {
			if shape[d] > 1 {
				all.strides[slices.Index(names, term[d])][x] += stride
			}
		}
	}
	// The limit keeps a small model from asking for endless work.
	if _, err := ops.Len(all.sizes); err != nil {
		return nil, nil, fmt.Errorf("the number of products: %w", err)
	}
	n := len(output)
	kept = &operandLoops{sizes: all.sizes[:n], strides: all.strides[:n]}
	return kept, &operandLoops{sizes: all.sizes[n:], strides: all.strides[n:]}, nil
}

// operandLoops is a nest of loops that walks through any number of operands at once. An
// iteration of loop i moves the place in operand x by strides[i][x].
type operandLoops struct {
	sizes   []int
	strides [][]int
}

// operandPlaces is one iteration of operandLoops.
type operandPlaces struct {
	loops  *operandLoops
	at     []int // index of each loop
	places []int // in each operand
}

// start returns the first iteration.
func (l *operandLoops) start(operands int) operandPlaces {
	return operandPlaces{loops: l, at: make([]int, len(l.sizes)), places: make([]int, operands)}
}

// restart returns to the first iteration. The places count from the given ones.
func (p *operandPlaces) restart(places []int) {
	clear(p.at)
	copy(p.places, places)
}

// skip moves from the first iteration to the given one.
func (p *operandPlaces) skip(iteration int) {
	p.at = coordinatesAt(iteration, p.loops.sizes).at
	for i, at := range p.at {
		p.move(i, at)
	}
}

// move moves the places by a number of iterations of loop i.
func (p *operandPlaces) move(i, iterations int) {
	for x, stride := range p.loops.strides[i] {
		p.places[x] += iterations * stride
	}
}

// next moves to the next iteration, and from the last one to the first.
func (p *operandPlaces) next() {
	for i := len(p.at) - 1; i >= 0; i-- {
		if p.at[i]++; p.at[i] < p.loops.sizes[i] {
			p.move(i, 1)
			return
		}
		p.at[i] = 0
		p.move(i, 1-p.loops.sizes[i])
	}
}
