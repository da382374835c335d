package std

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// Link is one node of a chain that Fuse combines. The first output of each node is an input of the
// next one, and nothing else uses it.
type Link struct {
	Op ops.Op

	// Inputs has an entry for each input of the node: an index in the inputs of the whole
	// chain, Before, Omitted or, in a group for FuseRows, a result of Earlier.
	Inputs []int

	// Types are the types of these inputs, as far as they are known. The chain also computes
	// inputs of other types, but may take longer then.
	Types []*ops.Input

	kept *keptValues
}

// keptValues holds what a link computes from constants, for all later runs.
type keptValues struct{ normalization keptNormalization }

// Entries of Link.Inputs that are not an index.
const (
	Omitted = -1 - iota
	Before  // the output of the link before
)

// Earlier returns the entry of Link.Inputs for the output of a link, given by its number, that is not
// the link before.
func Earlier(link int) int { return Before - 1 - link }

// Source returns the number of the link whose output is an input of link number link, given the entry
// of Link.Inputs, or -1 if the input is none.
func Source(entry, link int) int {
	switch {
	case entry == Before:
		return link - 1
	case entry < Before:
		return Before - 1 - entry
	}
	return -1
}

// Fused computes a chain of nodes, as ops.Op.Run does for one node: in are the inputs of the chain,
// and out is the output of the last link. The caller has inferred the types of all links.
type Fused interface {
	Run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error
}

// Fuse returns a way to compute a chain of at least two nodes that is faster than one node after
// the other, and gives the same bits. It returns nil if it knows none. A chain begins with any of
// the patterns, and continues with nodes that compute each element of their output from the
// element in the same place.
func Fuse(chain []Link) Fused {
	i := slices.IndexFunc(patterns, func(p pattern) bool { return p.begins(&chain[0]) })
	if i < 0 || slices.ContainsFunc(chain[1:], func(l Link) bool { return !l.continues() }) {
		return nil
	}
	rest := chain[1:]
	if p := patterns[i]; p.ends != nil && p.ends(chain) {
		rest = rest[:len(rest)-1]
	}
	if slices.ContainsFunc(rest, func(l Link) bool { return !l.pointwise() }) {
		return nil
	}
	for i := range chain {
		chain[i].kept = new(keptValues)
	}
	return patterns[i].fuse(chain)
}

// pattern is a family of chains.
type pattern struct {
	begins func(first *Link) bool
	ends   func(chain []Link) bool // whether the last link is one that needs not be pointwise; nil for none
	fuse   func(chain []Link) Fused
}

// patterns are tried in their order.
var patterns = []pattern{
	{begins: isConvolution, ends: endsWithPool, fuse: func(chain []Link) Fused { return &fusedConvolution{chain} }},
	{begins: isProduct, fuse: func(chain []Link) Fused { return &fusedProduct{chain} }},
	{begins: func(l *Link) bool { return l.pointwise() && !l.continues() }, fuse: func(chain []Link) Fused { return &fusedPointwise{chain} }},
}

// continues reports whether the output of the link before is an input.
func (l *Link) continues() bool { return slices.Contains(l.Inputs, Before) }

// constant reports whether inputs of the link are constants of the model.
func (l *Link) constant(ctx *ops.Context, inputs ...int) bool {
	return !slices.ContainsFunc(inputs, func(i int) bool { return l.Inputs[i] < 0 || !ctx.Constant(l.Inputs[i]) })
}

// operation returns the operation of a link, nil for an operator of another package.
func (l *Link) operation() any {
	o, ok := l.Op.(*op)
	if d, is := l.Op.(*differentiable); is {
		o, ok = d.op, true
	}
	switch {
	case !ok || o.containers:
		return nil
	case o.multi != nil:
		return o.multi
	}
	return o.single
}

// inputsOf returns the inputs of a link, given those of the chain and the output of the link before.
func (l *Link) inputsOf(in []*ops.Tensor, before *ops.Tensor) []*ops.Tensor {
	own := make([]*ops.Tensor, len(l.Inputs))
	for i, at := range l.Inputs {
		switch {
		case at == Before:
			own[i] = before
		case at >= 0:
			own[i] = in[at]
		}
	}
	return own
}

// inTurn computes the links one after the other. It is for types that the types of the links did
// not tell.
func inTurn(ctx *ops.Context, chain []Link, in []*ops.Tensor, out *ops.Tensor) error {
	results := make([]*ops.Tensor, len(chain))
	last := lastUses(chain)
	for i := range chain {
		l := &chain[i]
		own := make([]*ops.Tensor, len(l.Inputs))
		for j, at := range l.Inputs {
			if from := Source(at, i); from >= 0 {
				own[j] = results[from]
			} else if at >= 0 {
				own[j] = in[at]
			}
		}
		if results[i] = out; i < len(chain)-1 {
			types, err := l.Op.Infer(inputs(own))
			if err != nil {
				return err
			}
			shape, _ := types[0].Sizes()
			if results[i], err = temporaryTensor(ctx, types[0].DType, shape); err != nil {
				return err
			}
		}
		part := ops.Context{Context: ctx.Context, Pool: ctx.Pool, Memory: ctx.Memory}
		if err := l.Op.Run(&part, own, []*ops.Tensor{results[i]}); err != nil {
			return err
		}
		for j, v := range results[:i] {
			if last[j] == i {
				ctx.Release(int64(v.Len()) * int64(v.DType().Size()))
				results[j] = nil
			}
		}
	}
	return nil
}
