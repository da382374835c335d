package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// quantizedTypes lists the types of quantized numbers.
var quantizedTypes = []ops.DType{ops.Int8, ops.Uint8}

// bytesOf returns the elements of an int8 or uint8 tensor.
func bytesOf(x *ops.Tensor) kernel.Bytes {
	if v, ok := ops.Data[int8](x); ok {
		return kernel.Int8s(v)
	}
	v, _ := ops.Data[uint8](x)
	return kernel.Uint8s(v)
}

// isSigned reports whether quantized numbers are signed.
func isSigned(x *ops.Tensor) bool { return x.DType() == ops.Int8 }

// int32sOf returns the elements of a tensor as int32, or a single 0 if there is no tensor.
func int32sOf(t *temporary, x *ops.Tensor) []int32 {
	if x == nil {
		return []int32{0}
	}
	if v, ok := ops.Data[int32](x); ok {
		return v
	}
	wide := elementsOf[int64](t, x)
	v := bufferOf[int32](t, len(wide))
	for i := range v {
		v[i] = int32(wide[i])
	}
	return v
}

// float32sOf returns the elements of a tensor as float32.
func float32sOf(t *temporary, x *ops.Tensor) []float32 {
	if v := x.Float32s(); v != nil {
		return v
	}
	wide := elementsOf[float64](t, x)
	v := bufferOf[float32](t, len(wide))
	for i := range v {
		v[i] = float32(wide[i])
	}
	return v
}

// optionalInput returns input i, or nil if it is omitted.
func optionalInput[T any](in []*T, i int) *T {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// checkZero checks a quantized input and its zero point, which may be one for all elements or
// as check allows.
func checkZero(name string, in []*ops.Input, x, zero int, check func(x, z ops.Type) bool) error {
	t := in[x].Type
	if err := t.CheckDType(name, quantizedTypes...); err != nil {
		return err
	}
	if zero >= len(in) || in[zero] == nil {
		return nil
	}
	if err := in[zero].Type.CheckDType("the zero point of "+name, t.DType); err != nil {
		return err
	}
	return checkGranularity("zero point", name, t, in[zero].Type, check)
}

// checkGranularity checks the shape of a scale or zero point of x.
func checkGranularity(what, name string, x, z ops.Type, check func(x, z ops.Type) bool) error {
	single := true
	for _, d := range z.Shape {
		single = single && d.Size == 1
	}
	if !single && !check(x, z) {
		return fmt.Errorf("%w: %s is %v but its %s is %v", ops.ErrShape, name, x, what, z)
	}
	return nil
}

// Shapes of scales and zero points that are not the same for all elements.

// perTensor allows none.
func perTensor(ops.Type, ops.Type) bool { return false }

// perFilter allows one for each entry of the first axis of x.
func perFilter(x, z ops.Type) bool {
	if len(z.Shape) != 1 || len(x.Shape) == 0 {
		return false
	}
	_, ok := mergeDims(z.Shape[0], x.Shape[0])
	return ok
}

// isPerRow and isPerColumn report whether z is nil, a single scale or zero point, or one for each row
// or column of the matrices of x: a vector if they are the same for all matrices, or else x's shape with
// the other axis reduced to 1.
func isPerRow(x, z *ops.Tensor) bool {
	return z == nil || z.Len() == 1 || perLine(ops.TypeOf(x), ops.TypeOf(z), 2)
}
func isPerColumn(x, z *ops.Tensor) bool {
	return z == nil || z.Len() == 1 || perLine(ops.TypeOf(x), ops.TypeOf(z), 1)
}

// perLine has an entry for each entry of an axis, counted from the end.
func perLine(x, z ops.Type, axis int) bool {
	rank := len(x.Shape)
	if rank < 2 {
		return false
	}
	if len(z.Shape) == 1 {
		_, ok := mergeDims(z.Shape[0], x.Shape[rank-axis])
		return ok
	}
	if len(z.Shape) != rank {
		return false
	}
	for i, d := range z.Shape {
		want := x.Shape[i]
		if i >= rank-2 && i != rank-axis {
			want = ops.Dim{Size: 1}
		}
		if _, ok := mergeDims(d, want); !ok {
			return false
		}
	}
	return true
}

// lines returns one scale or zero point, or one for each of n lines of count matrices.
func lines[T any](v []T, n, count int) []T {
	if len(v) != n || n == 1 || count == 1 {
		return v
	}
	all := make([]T, 0, n*count)
	for range count {
		all = append(all, v...)
	}
	return all
}

// linesOf returns the part of lines for matrix number i.
func linesOf[T any](v []T, n, i int) []T {
	if len(v) == 1 {
		return v
	}
	return v[i*n:][:n]
}

// quantumOf returns what integers of the type of a zero point stand for.
func quantumOf(zero *ops.Tensor) kernel.Quantum {
	return kernel.Quantum{Zero: int32(firstElement[int64](zero)), Signed: isSigned(zero)}
}

// quantizedData returns the memory of an int8 or uint8 tensor.
func quantizedData(x *ops.Tensor) []uint8 { return bytesOf(x).Data() }
