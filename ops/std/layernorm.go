package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newLayerNormalization returns LayerNormalization (opset 17): (X - mean) / deviation *
// Scale + B, where the mean and the standard deviation are computed over the dimensions
// from the axis on. Scale and the optional B broadcast to the shape of X as for Add. All
// inputs have the same type, float32 or float64. The optional outputs are the mean and
// 1/deviation, in which the dimensions from the axis on have size 1.
//
// Attributes: axis (default -1), epsilon (default 1e-5), stash_type (default 1, float32; the
// type of the optional outputs). The results are at least as precise as those of stash_type.
func newLayerNormalization(n ops.Node) (multiOperation, error) {
	k, stash, err := readRowNormalization(n)
	if err != nil {
		return nil, err
	}
	return &layerNormalization{k, stash}, nil
}

// newRMSNormalization returns RMSNormalization (opset 23): X / rms * scale, where rms is the
// square root of the mean of X*X over the dimensions from the axis on. The scale broadcasts
// to the shape of X as for Add. X and the scale are float32 or float64; the output has the
// type of the scale.
//
// Attributes: axis (default -1), epsilon (default 1e-5), which is added to the mean,
// stash_type (default 1). The results are at least as precise as those of stash_type.
func newRMSNormalization(n ops.Node) (operation, error) {
	k, _, err := readRowNormalization(n)
	return &rmsNormalization{k}, err
}

// rowNormalization is the common part of LayerNormalization and RMSNormalization.
type rowNormalization struct {
	axis    int64
	epsilon float64
}

func readRowNormalization(n ops.Node) (rowNormalization, ops.DType, error) {
	var k rowNormalization
	if err := n.Attributes.Only("axis", "epsilon", "stash_type"); err != nil {
		return k, 0, err
	}
	axis, err := ops.Attr(n.Attributes, "axis", int64(-1))
	if err != nil {
		return k, 0, err
	}
	epsilon, err := ops.Attr(n.Attributes, "epsilon", float32(1e-5))
	if err != nil {
		return k, 0, err
	}
	stash, err := precisionAttr(n.Attributes, "stash_type", ops.Float32)
	return rowNormalization{axis, float64(epsilon)}, stash, err
}

// precisionAttr returns an attribute that is a floating-point type.
func precisionAttr(a ops.Attributes, name string, standard ops.DType) (ops.DType, error) {
	v, err := ops.Attr(a, name, int64(standard))
	if err != nil {
		return 0, err
	}
	for _, d := range slices.Concat(floatTypes, halfTypes) {
		if v == int64(d) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%w: %s %d, want %d (float32), %d (float16), %d (float64) or %d (bfloat16)", ops.ErrAttribute, name, v,
		ops.Float32, ops.Float16, ops.Float64, ops.BFloat16)
}

// check checks X and the inputs after it, which must broadcast to X, and returns the axis.
func (k rowNormalization) check(in []*ops.Input) (int, error) {
	x := in[0].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return 0, err
	}
	axis, err := axisOf(k.axis, len(x.Shape))
	if err != nil {
		return 0, fmt.Errorf("%w: X is %v", err, x)
	}
	for _, other := range in[1:] {
		if other == nil {
			continue
		}
		same := &ops.Input{Type: ops.Type{DType: x.DType, Shape: other.Shape}}
		if _, err := (oneWay{arithmetic{x.DType: nil}}).infer([]*ops.Input{in[0], same}); err != nil {
			return 0, err
		}
	}
	return axis, nil
}

type layerNormalization struct {
	rowNormalization
	stash ops.DType
}

func (k *layerNormalization) inferAll(in []*ops.Input) ([]ops.Type, error) {
	axis, err := k.check(in)
	if err != nil {
		return nil, err
	}
	x := in[0].Type
	for _, other := range in[1:] {
		if other != nil && other.DType != x.DType {
			return nil, fmt.Errorf("%w: X is %v but another input is %v", ops.ErrDType, x, other.Type)
		}
	}
	shape := slices.Clone(x.Shape)
	for i := axis; i < len(shape); i++ {
		shape[i] = ops.Dim{Size: 1}
	}
	t := ops.Type{DType: k.stash, Shape: shape}
	return []ops.Type{x, t, t}, nil
}

func (k *layerNormalization) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	return k.normalize(ctx, in, out[0], true, func(row int, mean, factor float64) {
		if len(out) > 1 {
			store(out[1], row, 1, []float64{mean})
		}
		if len(out) > 2 {
			store(out[2], row, 1, []float64{factor})
		}
	})
}

type rmsNormalization struct{ rowNormalization }

func (k *rmsNormalization) infer(in []*ops.Input) (ops.Type, error) {
	if err := in[1].Type.CheckDType("scale", floatTypes...); err != nil {
		return ops.Type{}, err
	}
	_, err := k.check(in)
	return ops.Type{DType: in[1].DType, Shape: in[0].Shape}, err
}

func (k *rmsNormalization) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return k.normalize(ctx, in, out, false, func(int, float64, float64) {})
}

// normalize computes (X - mean) / sqrt(variance + epsilon) * scale + bias, and calls done for
// every row with its mean and 1/sqrt(variance + epsilon). The mean is 0 if centered is not set.
// The inputs after X are the scale and, optionally, the bias.
func (k rowNormalization) normalize(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor, centered bool, done func(row int, mean, factor float64)) error {
	shape := in[0].Shape()
	axis, err := axisOf(k.axis, len(shape))
	if err != nil {
		return err
	}
	r := rowNormalizing{ctx: ctx, epsilon: k.epsilon, centered: centered, done: done, rows: numElements(shape[:axis]), size: numElements(shape[axis:])}
	t := temporary{ctx: ctx}
	same := true // every row has the same scale and bias
	for _, other := range in[1:] {
		same = same && (other == nil || slices.Equal(withoutOnes(other.Shape()), withoutOnes(shape[axis:])))
	}
	x, y := in[0].Float32s(), out.Float32s()
	lists := x != nil && y != nil
	switch {
	case same && lists:
		r.scales = in[1].Float32s()
		if bias := inputAt(in, 2); bias != nil {
			r.biases = bias.Float32s()
		} else {
			r.biases = bufferOf[float32](&t, min(r.size, stepsPerCheck))
			repeat(r.biases, float32(noBias))
		}
	case same:
		r.scale = elementsOf[float64](&t, in[1])
		if bias := inputAt(in, 2); bias != nil {
			r.bias = elementsOf[float64](&t, bias)
		}
	}
	if t.err != nil {
		return t.err
	}
	if lists {
		err = ctx.For(r.rows, max(1, grain/max(1, r.size)), func(lo, hi int) error { return r.rowsOf(y, x, lo, hi) })
	} else {
		err = r.converted(out, in[0])
	}
	if err != nil || same {
		return err
	}
	return scaleAndShift(ctx, out, in[1:])
}

// rowNormalizing is one run of LayerNormalization or RMSNormalization.
type rowNormalizing struct {
	ctx         *ops.Context
	epsilon     float64
	centered    bool
	done        func(row int, mean, factor float64)
	rows, size  int
	scale, bias []float64 // of every row, nil for none

	scales, biases []float32 // the same for float32 numbers; both or none; stepsPerCheck biases if they are all the same
}

// converted computes all rows for tensors of any type.
func (r *rowNormalizing) converted(out, x *ops.Tensor) error {
	rows, err := x.Reshaped([]int{r.rows, r.size})
	if err != nil {
		return err
	}
	return forEachLine(r.ctx, rows, 1, func(l *line[float64]) error {
		if err := r.normalizeRow(l.number, l.elements); err != nil {
			return err
		}
		return storeAll(r.ctx, out, l.first, l.step, l.elements)
	})
}

// normalizeRow replaces one row.
func (r *rowNormalizing) normalizeRow(row int, x []float64) error {
	measure := meanSquare
	if r.centered {
		measure = meanVariance
	}
	mean, variance, err := measure(r.ctx, x)
	if err != nil {
		return err
	}
	factor := 1 / math.Sqrt(variance+r.epsilon)
	r.done(row, mean, factor)
	return inPieces(r.ctx, r.size, func(lo, hi int) {
		x := x[lo:hi]
		switch {
		case r.scale == nil:
			for i, v := range x {
				x[i] = (v - mean) * factor
			}
		case r.bias == nil:
			for i, s := range r.scale[lo:hi] {
				x[i] = (x[i] - mean) * factor * s
			}
		default:
			scale := r.scale[lo:hi]
			for i, b := range r.bias[lo:hi] {
				x[i] = float64((x[i]-mean)*factor*scale[i]) + b
			}
		}
	})
}

// scaleAndShift multiplies out by the first of the tensors and adds the optional second one.
// They broadcast to out.
func scaleAndShift(ctx *ops.Context, out *ops.Tensor, affine []*ops.Tensor) error {
	shape := out.Shape()
	steps := []func(a, b float64) float64{times[float64], func(a, b float64) float64 { return a + b }}
	strides := rowMajor(shape)
	for i, other := range affine {
		if other == nil {
			continue
		}
		n := newNest(shape, strides, strides, broadcastStrides(other.Shape(), len(shape)))
		l := arithmeticLoop{nest: n, out: out, a: out, b: other, compute: convertedRows(elementPairs(steps[i]))}
		if err := ctx.Do(n.total, grain, &l); err != nil {
			return err
		}
	}
	return nil
}

// withoutOnes returns a shape without the leading dimensions of size 1.
func withoutOnes(shape []int) []int {
	for len(shape) > 0 && shape[0] == 1 {
		shape = shape[1:]
	}
	return shape
}

// newGroupNormalization returns GroupNormalization (opsets 18, 21): scale * (X - mean) /
// sqrt(variance + epsilon) + bias, with the mean and variance of each group of channels of
// each image of X (N, C, ...). The scale and the bias have one number per channel, before
// opset 21 one per group. All types are float32 or float64.
//
// Attributes: num_groups (required; divides C), epsilon (default 1e-5), stash_type (since
// opset 21; default 1). The results are at least as precise as those of stash_type.
func newGroupNormalization(n ops.Node) (operation, error) {
	known := []string{"epsilon", "num_groups"}
	if n.Opset >= 21 {
		known = append(known, "stash_type")
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	if _, err := precisionAttr(n.Attributes, "stash_type", ops.Float32); err != nil {
		return nil, err
	}
	epsilon, err := ops.Attr(n.Attributes, "epsilon", float32(1e-5))
	if err != nil {
		return nil, err
	}
	groups, err := ops.Attr(n.Attributes, "num_groups", int64(0))
	if err != nil {
		return nil, err
	}
	if groups < 1 || groups > ops.MaxElements {
		return nil, fmt.Errorf("%w: num_groups is %d, want the number of groups of channels", ops.ErrAttribute, groups)
	}
	return &groupNormalization{groups: int(groups), perGroup: n.Opset < 21, epsilon: float64(epsilon)}, nil
}

type groupNormalization struct {
	groups   int
	perGroup bool // scale and bias
	epsilon  float64
}

func (k *groupNormalization) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := checkPerChannel(in[:1]); err != nil {
		return x, err
	}
	want := x.Shape[1]
	if want.Known() && want.Size%k.groups != 0 {
		return x, fmt.Errorf("%w: X is %v, but num_groups is %d: it must divide the number of channels", ops.ErrShape, x, k.groups)
	}
	if k.perGroup {
		want = ops.Dim{Size: k.groups}
	}
	for i, name := range []string{"scale", "bias"} {
		d, err := checkVector(name, in[i+1], floatTypes...)
		if err != nil {
			return x, err
		}
		if _, ok := mergeDims(want, d); !ok {
			return x, fmt.Errorf("%w: X is %v and %s is %v, want %d numbers", ops.ErrShape, x, name, in[i+1].Type, want.Size)
		}
	}
	return x, nil
}

func (k *groupNormalization) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape := in[0].Shape()
	t := temporary{ctx: ctx}
	scale, bias := elementsOf[float64](&t, in[1]), elementsOf[float64](&t, in[2])
	if t.err != nil || out.Len() == 0 {
		return t.err
	}
	channels, size := shape[1]/k.groups, numElements(shape[2:])
	place := func(group, channel int) int {
		if k.perGroup {
			return group % k.groups
		}
		return group%k.groups*channels + channel
	}
	if x, y := in[0].Float32s(), out.Float32s(); x != nil && y != nil {
		return normalizePlanes(ctx, y, x, size, channels, k.epsilon, func(group, channel int) (float64, float64) {
			at := place(group, channel)
			return scale[at], bias[at]
		})
	}
	rows, err := in[0].Reshaped([]int{shape[0] * k.groups, channels * size})
	if err != nil {
		return err
	}
	return forEachLine(ctx, rows, 1, func(l *line[float64]) error {
		mean, variance, err := meanVariance(ctx, l.elements)
		if err != nil {
			return err
		}
		factor := 1 / math.Sqrt(variance+k.epsilon)
		for c := range channels {
			at := place(l.number, c)
			if err := shiftAndScale(ctx, l.elements[c*size:][:size], mean, factor*scale[at], bias[at]); err != nil {
				return err
			}
		}
		return storeAll(ctx, out, l.first, l.step, l.elements)
	})
}
