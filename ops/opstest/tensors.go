package opstest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"reflect"

	"github.com/spike-by-spike/sbs/ops"
)

// Tensor returns a tensor of the given shape and values; a nil shape makes a scalar. It
// panics if the shape does not fit the number of values: such a test is wrong.
func Tensor[T ops.Element](shape []int, values ...T) *ops.Tensor {
	t, err := ops.NewTensor(shape, values)
	if err != nil {
		panic(err)
	}
	return t
}

// F32 returns a float32 tensor; a nil shape makes a scalar.
func F32(shape []int, values ...float32) *ops.Tensor { return Tensor(shape, values...) }

// F64 returns a float64 tensor; a nil shape makes a scalar.
func F64(shape []int, values ...float64) *ops.Tensor { return Tensor(shape, values...) }

// I32 returns an int32 tensor; a nil shape makes a scalar.
func I32(shape []int, values ...int32) *ops.Tensor { return Tensor(shape, values...) }

// I64 returns an int64 tensor; a nil shape makes a scalar.
func I64(shape []int, values ...int64) *ops.Tensor { return Tensor(shape, values...) }

// Ints returns an int64 vector, the form in which most operators take shapes and
// indices.
func Ints(values ...int64) *ops.Tensor { return Tensor([]int{len(values)}, values...) }

// Random returns a float32 tensor of random numbers in [-1, 1), which depend on the seed
// and the shape alone. It panics if the shape is not valid.
func Random(seed uint64, shape ...int) *ops.Tensor {
	n, err := ops.Len(shape)
	if err != nil {
		panic(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	values := make([]float32, n)
	for i := range values {
		values[i] = 2*float32(r.Float32()) - 1
	}
	return Tensor(shape, values...)
}

// elements returns the memory of a tensor.
func elements(t *ops.Tensor) reflect.Value { return reflect.ValueOf(t.Elements()) }

// entriesOf returns a copy of some entries of the first dimension.
func entriesOf(t *ops.Tensor, order []int) *ops.Tensor {
	shape := append([]int{len(order)}, t.Shape()[1:]...)
	part, err := ops.Zeros(t.DType(), shape)
	if err != nil {
		panic(err) // it is not larger than t
	}
	size := part.Len() / len(order)
	for to, from := range order {
		reflect.Copy(elements(part).Slice(to*size, (to+1)*size), elements(t).Slice(from*size, (from+1)*size))
	}
	return part
}

// snapshot holds the type and the bits of a tensor, to compare it bit for bit.
type snapshot struct {
	ops.Type
	bits []uint64
}

// snapshotOf returns the snapshot of a tensor; the snapshot of a nil tensor has no type.
func snapshotOf(t *ops.Tensor) snapshot {
	if t == nil {
		return snapshot{}
	}
	v := elements(t)
	s := snapshot{Type: ops.TypeOf(t), bits: make([]uint64, v.Len())}
	for i := range s.bits {
		switch e := v.Index(i); {
		case e.CanFloat():
			s.bits[i] = math.Float64bits(e.Float())
		case e.CanInt():
			s.bits[i] = uint64(e.Int())
		case e.CanUint():
			s.bits[i] = e.Uint()
		case e.Kind() == reflect.String: // as good as the bits
			h := fnv.New64a()
			_, _ = h.Write([]byte(e.String()))
			s.bits[i] = h.Sum64()
		case e.Bool():
			s.bits[i] = 1
		}
	}
	return s
}

// same returns an error unless t has the type and the bits of the snapshot.
func (s snapshot) same(t *ops.Tensor) error {
	if err := s.Check(t); err != nil {
		return err
	}
	for i, b := range snapshotOf(t).bits {
		if b != s.bits[i] {
			return fmt.Errorf("element %d of %v is %v, bits %#x, want %#x", i, s.Type, elements(t).Index(i), b, s.bits[i])
		}
	}
	return nil
}

// near returns an error unless got equals want. Floating-point numbers may differ by the
// tolerance, multiplied by the wanted number if that is larger than 1.
func near(got, want *ops.Tensor, tolerance float64) error {
	if err := ops.TypeOf(want).Check(got); err != nil {
		return err
	}
	g, w := elements(got), elements(want)
	for i := range w.Len() {
		a, b := g.Index(i), w.Index(i)
		if a.Equal(b) {
			continue
		}
		if a.CanFloat() {
			x, y := a.Float(), b.Float()
			within := math.Abs(x-y) <= tolerance*max(1, math.Abs(y)) && !math.IsInf(y, 0)
			if within || math.IsNaN(x) && math.IsNaN(y) {
				continue
			}
		}
		return fmt.Errorf("element %d of %v is %v, want %v (tolerance %g)\n got %v\nwant %v",
			i, ops.TypeOf(want), a, b, tolerance, head(g), head(w))
	}
	return nil
}

// head returns the first elements, for an error message.
func head(v reflect.Value) any { return v.Slice(0, min(v.Len(), 64)) }
