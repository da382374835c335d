package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newShape returns Shape (opsets 1, 13, 15, 19, 21, 23 to 25): the sizes of the dimensions of a tensor of any
// type, as an int64 vector.
//
// Attributes (since opset 15): start (default 0) and end (default: the rank), the range of
// dimensions. Negative values count from the end, and values out of range are clamped.
func newShape(n ops.Node) (operation, error) {
	var known []string
	if n.Opset >= 15 {
		known = []string{"start", "end"}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	start, err := ops.Attr(n.Attributes, "start", int64(0))
	if err != nil {
		return nil, err
	}
	end, err := ops.Attr(n.Attributes, "end", int64(ops.MaxElements))
	return shapeOf{start, end}, err
}

type shapeOf struct{ start, end int64 }

func (k shapeOf) dims(t ops.Type) []ops.Dim {
	s := newSection(k.start, k.end, 1, len(t.Shape))
	return t.Shape[s.start:][:s.count]
}

func (k shapeOf) infer(in []*ops.Input) (ops.Type, error) {
	return ops.Type{DType: ops.Int64, Shape: ops.Dims(len(k.dims(in[0].Type)))}, nil
}

func (k shapeOf) run(_ *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	for i, d := range k.dims(ops.TypeOf(in[0])) {
		out.Int64s()[i] = int64(d.Size)
	}
	return nil
}

func (k shapeOf) fold(in []*ops.Input) *ops.Tensor {
	dims := k.dims(in[0].Type)
	sizes := make([]int64, len(dims))
	for i, d := range dims {
		if !d.Known() {
			return nil
		}
		sizes[i] = int64(d.Size)
	}
	return mustTensor([]int{len(sizes)}, sizes)
}

// newSize returns Size (opsets 1, 13, 19, 21, 23 to 25): the number of elements of a tensor of any type, as
// an int64 scalar. There are no attributes.
func newSize(n ops.Node) (operation, error) { return sizeOf{}, n.Attributes.Only() }

type sizeOf struct{}

func (sizeOf) infer([]*ops.Input) (ops.Type, error) { return ops.Type{DType: ops.Int64}, nil }

func (sizeOf) run(_ *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	out.Int64s()[0] = int64(in[0].Len())
	return nil
}

func (sizeOf) fold(in []*ops.Input) *ops.Tensor {
	n := dimProduct(in[0].Shape)
	if !n.Known() {
		return nil
	}
	return mustTensor(nil, []int64{int64(n.Size)})
}

// newConstant returns Constant (opsets 1, 9, 11 to 13, 19, 21, 23 to 25): a tensor that is an
// attribute.
//
// Attributes: exactly one of value and, since opset 12, value_float, value_floats, value_int,
// value_ints, value_string and value_strings. Sparse tensors are not supported.
func newConstant(n ops.Node) (operation, error) {
	known := []string{"value"}
	if n.Opset >= 12 {
		known = append(known, "value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings")
	}
	if _, ok := n.Attributes["sparse_value"]; ok {
		return nil, fmt.Errorf("%w: sparse_value is not supported: use a dense tensor", ops.ErrAttribute)
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	if len(n.Attributes) != 1 {
		return nil, fmt.Errorf("%w: want exactly one of %v", ops.ErrAttribute, known)
	}
	value, err := ops.Attr[*ops.Tensor](n.Attributes, "value", nil)
	if err != nil {
		return nil, err
	}
	switch {
	case value != nil:
	case n.Attributes["value_float"] != nil:
		v, e := ops.Attr(n.Attributes, "value_float", float32(0))
		value, err = scalarOf(v, e)
	case n.Attributes["value_int"] != nil:
		v, e := ops.Attr(n.Attributes, "value_int", int64(0))
		value, err = scalarOf(v, e)
	case n.Attributes["value_string"] != nil:
		v, e := ops.Attr(n.Attributes, "value_string", "")
		value, err = scalarOf(v, e)
	case n.Attributes["value_strings"] != nil:
		v, e := ops.Attr[[]string](n.Attributes, "value_strings", nil)
		value, err = vectorOf(v, e)
	case n.Attributes["value_floats"] != nil:
		v, e := ops.Attr[[]float32](n.Attributes, "value_floats", nil)
		value, err = vectorOf(v, e)
	default:
		v, e := ops.Attr[[]int64](n.Attributes, "value_ints", nil)
		value, err = vectorOf(v, e)
	}
	return constant{value}, err
}

func scalarOf[T ops.Element](v T, err error) (*ops.Tensor, error) {
	if err != nil {
		return nil, err
	}
	return ops.NewTensor(nil, []T{v})
}

func vectorOf[T ops.Element](v []T, err error) (*ops.Tensor, error) {
	if err != nil {
		return nil, err
	}
	return ops.NewTensor([]int{len(v)}, v)
}

type constant struct{ value *ops.Tensor }

func (k constant) infer([]*ops.Input) (ops.Type, error) { return ops.TypeOf(k.value), nil }

func (k constant) run(ctx *ops.Context, _ []*ops.Tensor, out *ops.Tensor) error {
	return copyAll(ctx, out, k.value)
}

func (k constant) fold([]*ops.Input) *ops.Tensor { return k.value }

// newConstantOfShape returns ConstantOfShape (opsets 9, 20, 21, 23 to 25): a tensor whose elements are all
// equal. The shape is the input, an int64 vector.
//
// Attributes: value (default: float32 0), a tensor with one element of any type.
func newConstantOfShape(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("value"); err != nil {
		return nil, err
	}
	zero, err := ops.Zeros(ops.Float32, []int{1})
	if err != nil {
		return nil, err
	}
	value, err := ops.Attr(n.Attributes, "value", zero)
	if err != nil {
		return nil, err
	}
	if value.Len() != 1 || value.DType().Size() == 0 {
		return nil, fmt.Errorf("%w: value is %v, want one element", ops.ErrAttribute, ops.TypeOf(value))
	}
	return constantOfShape{value}, nil
}

type constantOfShape struct{ value *ops.Tensor }

func (k constantOfShape) infer(in []*ops.Input) (ops.Type, error) {
	list, number, err := shapeVector("shape", in[0])
	if err != nil {
		return ops.Type{}, err
	}
	shape := make([]ops.Dim, number)
	for i := range shape {
		shape[i] = unknown
		if list != nil {
			shape[i] = ops.Dim{Size: int(list[i])}
		}
	}
	return ops.Type{DType: k.value.DType(), Shape: shape}, nil
}

func (k constantOfShape) run(ctx *ops.Context, _ []*ops.Tensor, out *ops.Tensor) error {
	size := []int{out.Len()}
	c := copying{nest: newNest(size, rowMajor(size), []int{0})}
	return c.run(ctx, out, k.value)
}

// mustTensor returns a tensor whose shape is known to fit.
func mustTensor(shape []int, v []int64) *ops.Tensor {
	t, err := ops.NewTensor(shape, v)
	if err != nil {
		panic(err)
	}
	return t
}
