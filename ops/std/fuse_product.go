package std

import "github.com/spike-by-spike/sbs/ops"

// isProduct reports whether a link is a product of float32 matrices to which nothing is added but a
// bias: MatMul, or Gemm without factors.
func isProduct(l *Link) bool {
	if l.continues() || !l.single(0) || !l.single(1) {
		return false
	}
	switch k := l.operation().(type) {
	case matMul:
		return true
	case *gemm:
		return k.alpha == 1 && (k.beta == 1 || !l.has(2)) && (!l.has(2) || l.single(2))
	}
	return false
}

// has reports whether the link has an input that can be omitted.
func (l *Link) has(input int) bool { return input < len(l.Inputs) && l.Inputs[input] != Omitted }

// fusedProduct computes a product of matrices. Each part of it passes the other links while it is in
// the caches.
type fusedProduct struct{ chain []Link }

// Run implements Fused.
func (f *fusedProduct) Run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	l := &f.chain[0]
	own := l.inputsOf(in, nil)
	for _, x := range own {
		if x != nil && x.DType() != ops.Float32 || out.DType() != ops.Float32 {
			return inTurn(ctx, f.chain, in, out)
		}
	}
	p := ops.Scratch[matrixProduct](ctx)
	k, isGemm := l.operation().(*gemm)
	if !p.isFor(own[0], own[1]) {
		p.prepare(own[0].Shape(), own[1].Shape(), isGemm && k.transA, isGemm && k.transB)
		p.inputB = l.Inputs[1]
	}
	if out.Len() != p.size { // the product broadcasts in a later link
		return inTurn(ctx, f.chain, in, out)
	}
	stages, ok := stagesOf(ctx, f.chain[1:], in, out, false)
	if !ok {
		return inTurn(ctx, f.chain, in, out)
	}
	p.stages = stages
	defer func() { p.stages = nil }()
	var bias *ops.Tensor
	if isGemm {
		bias = optionalInput(own, 2)
	}
	return p.runWith(ctx, own[0], own[1], bias, out)
}

// finish passes a part of a matrix of the output through the stages. The matrix begins at element
// first of the output.
func (p *matrixProduct) finish(first, row, bottom, column, end int) error {
	watching := cancelCheck{ctx: p.ctx}
	if end-column == p.ldc {
		return apply(&watching, p.stages, first+row*p.ldc, first+bottom*p.ldc)
	}
	for i := row; i < bottom; i++ {
		if err := apply(&watching, p.stages, first+i*p.ldc+column, first+i*p.ldc+end); err != nil {
			return err
		}
	}
	return nil
}
