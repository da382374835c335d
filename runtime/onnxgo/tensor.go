package onnxgo

import (
	"errors"
	"fmt"
	"reflect"

	"gorgonia.org/tensor"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// dtypes holds the element types that tensors of gorgonia and of this module have in
// common. int becomes int64.
var dtypes = map[reflect.Kind]ops.DType{
	reflect.Float32: ops.Float32, reflect.Float64: ops.Float64, reflect.Bool: ops.Bool,
	reflect.Int: ops.Int64, reflect.Int8: ops.Int8, reflect.Int16: ops.Int16, reflect.Int32: ops.Int32, reflect.Int64: ops.Int64,
	reflect.Uint8: ops.Uint8, reflect.Uint16: ops.Uint16, reflect.Uint32: ops.Uint32, reflect.Uint64: ops.Uint64,
}

// typeOf returns the type of a tensor, or an error if it cannot be an input.
func typeOf(t tensor.Tensor) (ops.Type, error) {
	d, ok := t.(*tensor.Dense)
	switch {
	case !ok || d == nil:
		return ops.Type{}, errors.New("the tensor is missing, or is not a *tensor.Dense")
	case !d.IsNativelyAccessible():
		return ops.Type{}, errors.New("the tensor is not in memory that Go can read")
	case d.IsMasked():
		return ops.Type{}, errors.New("a tensor with a mask cannot be used")
	}
	if d.Dtype().Type == nil || dtypes[d.Dtype().Kind()] == 0 {
		return ops.Type{}, fmt.Errorf("%w: %v%v", ops.ErrDType, d.Dtype(), d.Shape())
	}
	return ops.Type{DType: dtypes[d.Dtype().Kind()], Shape: ops.Dims(d.Shape()...)}, nil
}

// fromGorgonia returns a tensor with the elements of d, for which typeOf returns no error.
// It shares the memory of d if the elements are in row-major order there.
func fromGorgonia(d *tensor.Dense) (*ops.Tensor, error) {
	data, err := elements(d)
	if err != nil {
		return nil, err
	}
	if ints, ok := data.([]int); ok {
		wide := make([]int64, len(ints))
		for i, v := range ints {
			wide[i] = int64(v)
		}
		data = wide
	}
	return ops.FromSlice(d.Shape(), data)
}

// elements returns the elements of d as a slice in row-major order.
func elements(d *tensor.Dense) (any, error) {
	plain := d.DataOrder().IsRowMajor() && d.DataOrder().IsContiguous() && !d.DataOrder().IsTransposed() && !d.RequiresIterator()
	if plain && !d.IsScalar() {
		return d.Data(), nil
	}
	n, err := ops.Len(d.Shape())
	if err != nil {
		return nil, err
	}
	out := reflect.MakeSlice(reflect.SliceOf(d.Dtype().Type), n, n)
	if d.IsScalar() {
		out.Index(0).Set(reflect.ValueOf(d.Data()))
		return out.Interface(), nil
	}
	at := make([]int, d.Dims())
	for i := range n {
		for rest, k := i, len(at)-1; k >= 0; k-- {
			at[k], rest = rest%d.Shape()[k], rest/d.Shape()[k]
		}
		v, err := d.At(at...)
		if err != nil {
			return nil, err
		}
		out.Index(i).Set(reflect.ValueOf(v))
	}
	return out.Interface(), nil
}

// toGorgonia returns a tensor that shares the memory of t. It returns nil if t has no
// elements, because gorgonia panics for such a tensor.
func toGorgonia(t *ops.Tensor) *tensor.Dense {
	if t.Len() == 0 {
		return nil
	}
	return tensor.New(tensor.WithShape(t.Shape()...), tensor.WithBacking(t.Elements()))
}

// slice returns the elements of a tensor of a known type.
func slice[T ops.Element](t *ops.Tensor) []T {
	data, _ := ops.Data[T](t)
	return data
}

// constant returns the message of a constant. It supports the types that onnx-go reads.
func constant(name string, t tensor.Tensor) (*onnxpb.TensorProto, error) {
	if _, err := typeOf(t); err != nil {
		return nil, err
	}
	x, err := fromGorgonia(t.(*tensor.Dense))
	if err != nil {
		return nil, err
	}
	p := &onnxpb.TensorProto{Name: name, DataType: int32(x.DType())}
	for _, d := range x.Shape() {
		p.Dims = append(p.Dims, int64(d))
	}
	switch x.DType() {
	case ops.Float32:
		p.FloatData = slice[float32](x)
	case ops.Float64:
		p.DoubleData = slice[float64](x)
	case ops.Int64:
		p.Int64Data = slice[int64](x)
	case ops.Int32:
		p.Int32Data = slice[int32](x)
	case ops.Bool:
		for _, v := range slice[bool](x) {
			bit := int32(0)
			if v {
				bit = 1
			}
			p.Int32Data = append(p.Int32Data, bit)
		}
	default:
		return nil, fmt.Errorf("%w: %v", ops.ErrDType, ops.TypeOf(x))
	}
	return p, nil
}
