package std

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/fourier"
	"github.com/spike-by-spike/sbs/ops"
)

// newDFT returns DFT (opsets 17, 20): the discrete Fourier transform of a signal along one
// axis, float32 or float64. The last dimension of the input is 1 for real numbers, or 2 for
// the real and imaginary parts of complex ones. The optional scalar dft_length (int32 or
// int64) is the length of the transform: a shorter signal is padded with zeros, and of a
// longer one the first numbers are used. Since opset 20 the third input is the axis, an int64
// scalar (default -2).
//
// Attributes: inverse (default 0), onesided (default 0; 1: the transform of a real signal has
// only the numbers 0 to dft_length/2, as the others are their conjugates, and an inverse
// transform takes these and yields real numbers); before opset 20 axis (default 1).
func newDFT(n ops.Node) (operation, error) {
	known := []string{"inverse", "onesided"}
	k := dft{axis: -2}
	if n.Opset < 20 {
		known = append(known, "axis")
		if n.NumInputs > 2 {
			return nil, fmt.Errorf("opset %d: axis must be an attribute, not an input", n.Opset)
		}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	var err error
	if k.inverse, err = flagAttr(n.Attributes, "inverse"); err != nil {
		return nil, err
	}
	if k.onesided, err = flagAttr(n.Attributes, "onesided"); err != nil {
		return nil, err
	}
	if n.Opset < 20 {
		k.axis, err = ops.Attr(n.Attributes, "axis", int64(1))
	}
	return &k, err
}

type dft struct {
	axis              int64
	inverse, onesided bool
}

// onlyInRuns implements runOnly.
func (*dft) onlyInRuns() {}

func (k *dft) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("input", floatTypes...); err != nil {
		return x, err
	}
	last := len(x.Shape) - 1
	if last < 1 || x.Shape[last].Known() && x.Shape[last].Size != 1 && x.Shape[last].Size != 2 {
		return x, fmt.Errorf("%w: input is %v, want at least 2 dimensions, of which the last is 1 (real) or 2 (complex)", ops.ErrShape, x)
	}
	want := 1 // of numbers for which onesided is possible
	if k.inverse {
		want = 2
	}
	if k.onesided && x.Shape[last].Known() && x.Shape[last].Size != want {
		return x, fmt.Errorf("%w: input is %v, and with onesided its last dimension must be %d", ops.ErrShape, x, want)
	}
	if err := checkLength("dft_length", in, 1); err != nil {
		return x, err
	}
	shape := slices.Clone(x.Shape)
	shape[last] = ops.Dim{Size: 2}
	if k.onesided && k.inverse {
		shape[last] = ops.Dim{Size: 1}
	}
	axis, known, err := k.axisIn(in)
	if err != nil || !known {
		for i := range shape[:last] {
			shape[i] = unknown
		}
		return ops.Type{DType: x.DType, Shape: shape}, err
	}
	length, known, err := k.length(in, x.Shape[axis])
	if err != nil {
		return x, err
	}
	switch {
	case !known && len(in) > 1 && in[1] != nil || !known && k.onesided:
		shape[axis] = unknown
	case known && k.onesided && !k.inverse:
		shape[axis] = ops.Dim{Size: length/2 + 1}
	case known:
		shape[axis] = ops.Dim{Size: length}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// checkLength checks the type of an optional scalar that is a length.
func checkLength(name string, in []*ops.Input, i int) error {
	if i >= len(in) || in[i] == nil {
		return nil
	}
	return checkScalar(name, in[i].Type, indexTypes...)
}

// axisIn returns the axis of the transform, and false if it is not known.
func (k *dft) axisIn(in []*ops.Input) (int, bool, error) {
	rank, axis := len(in[0].Shape), k.axis
	if len(in) > 2 && in[2] != nil {
		if err := checkScalar("axis", in[2].Type, ops.Int64); err != nil {
			return 0, false, err
		}
		if in[2].Const == nil {
			return 0, false, nil
		}
		axis = firstElement[int64](in[2].Const)
	}
	at, err := axisOf(axis, rank)
	if err == nil && at == rank-1 {
		err = fmt.Errorf("%w: axis %d is the last dimension of %v, which holds the parts of complex numbers", ops.ErrShape, axis, in[0].Type)
	}
	return at, err == nil, err
}

// length returns the length of the transform of an axis, and false if it is not known.
func (k *dft) length(in []*ops.Input, d ops.Dim) (int, bool, error) {
	if len(in) > 1 && in[1] != nil {
		if in[1].Const == nil {
			return 0, false, nil
		}
		n, err := scalarSize("dft_length", in[1].Const, 1)
		return n, err == nil, err
	}
	if !d.Known() {
		return 0, false, nil
	}
	n := d.Size
	if k.onesided && k.inverse {
		n = 2 * (n - 1)
	}
	if n < 1 {
		return 0, false, fmt.Errorf("%w: input is %v, and a transform of length %d is not possible: set dft_length", ops.ErrShape, in[0].Type, n)
	}
	return n, true, nil
}

func (k *dft) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	known := inputs(in)
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	axis, _, err := k.axisIn(known)
	if err != nil {
		return err
	}
	n, _, err := k.length(known, known[0].Shape[axis])
	if err != nil || out.Len() == 0 {
		return err
	}
	from, to := in[0].Shape(), out.Shape()
	parts, outParts := from[len(from)-1], to[len(to)-1]
	inner := numElements(from[axis+1 : len(from)-1])
	given := min(n, from[axis])
	if k.onesided && k.inverse {
		given = min(n/2+1, from[axis])
	}
	lines := numElements(from[:axis]) * inner
	return transformLines(ctx, n, lines, func(line int, re, im []float64) error {
		start := (line/inner*from[axis]*inner + line%inner) * parts
		if err := loadAll(ctx, re[:given], in[0], start, inner*parts); err != nil {
			return err
		}
		if parts == 2 {
			if err := loadAll(ctx, im[:given], in[0], start+1, inner*parts); err != nil {
				return err
			}
		}
		if k.onesided && k.inverse {
			mirror(re, im, given)
		}
		if k.inverse {
			for i := range re {
				re[i], im[i] = im[i], re[i]
			}
		}
		return nil
	}, func(line int, re, im []float64) error {
		if k.inverse {
			re, im = im, re
			for i := range re {
				re[i] /= float64(n)
				im[i] /= float64(n)
			}
		}
		start := (line/inner*to[axis]*inner + line%inner) * outParts
		if err := storeAll(ctx, out, start, inner*outParts, re[:to[axis]]); err != nil || outParts == 1 {
			return err
		}
		return storeAll(ctx, out, start+1, inner*outParts, im[:to[axis]])
	})
}

// mirror completes a transform of a real signal, of which the first numbers are given. The
// imaginary parts of number 0 and, for an even length, of the middle one do not count.
func mirror(re, im []float64, given int) {
	n := len(re)
	im[0] = 0
	if n%2 == 0 {
		im[n/2] = 0
	}
	for i := 1; i < min(given, (n+1)/2); i++ {
		re[n-i], im[n-i] = re[i], -im[i]
	}
}

// transformLines computes transforms of length n. fill sets the numbers of a line, which are 0
// before, and take gets the transform.
func transformLines(ctx *ops.Context, n, lines int, fill, take func(line int, re, im []float64) error) error {
	if err := ctx.Reserve(fourier.PlanBytes(n)); err != nil {
		return err
	}
	plan, err := fourier.NewPlan(n, (&cancelCheck{ctx: ctx}).after)
	if err != nil {
		return err
	}
	return ctx.For(lines, max(1, grain/n), func(lo, hi int) error {
		t, watching := temporary{ctx: ctx}, cancelCheck{ctx: ctx}
		re, im := bufferOf[float64](&t, n), bufferOf[float64](&t, n)
		workRe, workIm := bufferOf[float64](&t, fourier.WorkLength(n)), bufferOf[float64](&t, fourier.WorkLength(n))
		if t.err != nil {
			return t.err
		}
		for _, v := range [][]float64{re, im, workRe, workIm} {
			defer ops.Free(ctx, v)
		}
		for ; lo < hi; lo++ {
			clear(re)
			clear(im)
			if err := fill(lo, re, im); err != nil {
				return err
			}
			if err := plan.Transform(watching.after, re, im, workRe, workIm); err != nil {
				return err
			}
			if err := take(lo, re, im); err != nil {
				return err
			}
		}
		return nil
	})
}

// newSTFT returns STFT (opset 17): the discrete Fourier transforms of parts of a signal. The
// signal is (batch, length, 1) of real or (batch, length, 2) of complex numbers, float32 or
// float64; a part starts every frame_step numbers (a scalar, int32 or int64). The optional
// window, a vector of the signal's type, is multiplied with each part. The optional scalar
// frame_length is the length of a part; its default is that of the window. The output is
// (batch, frames, bins, 2).
//
// Attributes: onesided (default 1: bins is frame_length/2 + 1, as the other numbers of the
// transform of a real signal are conjugates; 0: bins is frame_length).
func newSTFT(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("onesided"); err != nil {
		return nil, err
	}
	onesided, err := ops.Attr(n.Attributes, "onesided", int64(1))
	return stft{onesided != 0}, err
}

type stft struct{ onesided bool }

// onlyInRuns implements runOnly.
func (stft) onlyInRuns() {}

func (k stft) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("signal", floatTypes...); err != nil {
		return x, err
	}
	complexParts := len(x.Shape) == 3 && x.Shape[2].Size == 2
	if len(x.Shape) < 2 || len(x.Shape) > 3 || len(x.Shape) == 3 && x.Shape[2].Known() && x.Shape[2].Size != 1 && !complexParts {
		return x, fmt.Errorf("%w: signal is %v, want (batch, length, 1) or (batch, length, 2)", ops.ErrShape, x)
	}
	if k.onesided && complexParts {
		return x, fmt.Errorf("%w: signal is %v, and onesided needs real numbers: set onesided to 0", ops.ErrShape, x)
	}
	if err := checkScalar("frame_step", in[1].Type, indexTypes...); err != nil {
		return x, err
	}
	window := unknown
	if len(in) > 2 && in[2] != nil {
		var err error
		if window, err = checkVector("window", in[2], x.DType); err != nil {
			return x, err
		}
	}
	if err := checkLength("frame_length", in, 3); err != nil {
		return x, err
	}
	frames, bins := unknown, unknown
	known := window.Known()
	if len(in) > 3 && in[3] != nil {
		known = in[3].Const != nil
	}
	if known {
		length, err := k.length(in)
		if err != nil {
			return x, err
		}
		bins = ops.Dim{Size: length}
		if k.onesided {
			bins.Size = length/2 + 1
		}
		if in[1].Const != nil && x.Shape[1].Known() {
			step, err := scalarSize("frame_step", in[1].Const, 1)
			if err != nil {
				return x, err
			}
			if length > x.Shape[1].Size {
				return x, fmt.Errorf("%w: signal is %v, which is shorter than frame_length %d", ops.ErrShape, x, length)
			}
			frames = ops.Dim{Size: 1 + (x.Shape[1].Size-length)/step}
		}
	} else if (len(in) < 3 || in[2] == nil) && (len(in) < 4 || in[3] == nil) {
		return x, fmt.Errorf("%w: want a window or frame_length", ops.ErrShape)
	}
	return ops.Type{DType: x.DType, Shape: []ops.Dim{x.Shape[0], frames, bins, {Size: 2}}}, nil
}

// length returns the length of the transforms. The window or frame_length must be known.
func (stft) length(in []*ops.Input) (int, error) {
	if len(in) > 3 && in[3] != nil {
		if in[3].Const == nil {
			return 0, fmt.Errorf("%w: frame_length is not known", ops.ErrShape)
		}
		return scalarSize("frame_length", in[3].Const, 1)
	}
	if n := in[2].Shape[0].Size; n >= 1 {
		return n, nil
	}
	return 0, fmt.Errorf("%w: the window is empty", ops.ErrShape)
}

func (k stft) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil {
		return err
	}
	n, err := k.length(inputs(in))
	if err != nil || out.Len() == 0 {
		return err
	}
	shape, frames, bins := in[0].Shape(), out.Shape()[1], out.Shape()[2]
	step, parts := int(firstElement[int64](in[1])), 1
	if len(shape) == 3 {
		parts = shape[2]
	}
	var window []float64
	t := temporary{ctx: ctx}
	if w := optionalInput(in, 2); w != nil {
		window = elementsOf[float64](&t, w)
	}
	if t.err != nil {
		return t.err
	}
	given := n
	if window != nil {
		given = min(n, len(window))
	}
	return transformLines(ctx, n, shape[0]*frames, func(line int, re, im []float64) error {
		start := (line/frames*shape[1] + line%frames*step) * parts
		if err := loadAll(ctx, re[:given], in[0], start, parts); err != nil {
			return err
		}
		if parts == 2 {
			if err := loadAll(ctx, im[:given], in[0], start+1, parts); err != nil {
				return err
			}
		}
		for i := range window[:min(given, len(window))] {
			re[i] *= window[i]
			im[i] *= window[i]
		}
		return nil
	}, func(line int, re, im []float64) error {
		if err := storeAll(ctx, out, line*bins*2, 2, re[:bins]); err != nil {
			return err
		}
		return storeAll(ctx, out, line*bins*2+1, 2, im[:bins])
	})
}
