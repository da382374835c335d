package runtime_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// generated is a random valid model of one node, or of a few.
type generated struct {
	*rand.Rand
	opset     int // of ai.onnx
	graph     *onnxpb.GraphProto
	inputs    map[string]*runtime.Tensor
	values    map[string]*runtime.Tensor // the inputs and the constants
	truncated bool                       // integers may differ by 1: sums are truncated, which rounding may have made less than an integer
	tolerance float64                    // relative to the larger of 1 and the number, 0 for that of the element type
}

func newGenerated(r *rand.Rand, opset int) *generated {
	return &generated{Rand: r, opset: opset, graph: new(onnxpb.GraphProto), inputs: map[string]*runtime.Tensor{}, values: map[string]*runtime.Tensor{}}
}

// model returns the message of the model, whose outputs are those of the last node.
func (g *generated) model() *onnxpb.ModelProto {
	for _, name := range g.graph.GetNode()[len(g.graph.GetNode())-1].GetOutput() {
		if name != "" {
			g.graph.Output = append(g.graph.Output, &onnxpb.ValueInfoProto{Name: name})
		}
	}
	g.graph.Name = "random"
	return &onnxpb.ModelProto{
		IrVersion: 8, Graph: g.graph,
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: int64(g.opset)}, {Domain: "ai.onnx.ml", Version: 3}},
	}
}

// node adds a node. An input is a value, the name of an output of an earlier node, or nil. Values
// after the first are inputs or constants of the model.
func (g *generated) node(operator string, outputs int, inputs ...any) *onnxpb.NodeProto {
	n := &onnxpb.NodeProto{OpType: operator}
	for len(inputs) > 0 && inputs[len(inputs)-1] == nil {
		inputs = inputs[:len(inputs)-1]
	}
	for i, in := range inputs {
		switch in := in.(type) {
		case nil:
			n.Input = append(n.Input, "")
		case string:
			n.Input = append(n.Input, in)
		case *runtime.Tensor:
			n.Input = append(n.Input, g.value(in, i > 0 && g.yes()))
		}
	}
	for i := range outputs {
		n.Output = append(n.Output, fmt.Sprintf("y%d.%d", len(g.graph.Node), i))
	}
	g.graph.Node = append(g.graph.Node, n)
	return n
}

// value adds an input or a constant to the model, and returns its name.
func (g *generated) value(x *runtime.Tensor, constant bool) string {
	name := fmt.Sprint("x", len(g.values))
	g.values[name] = x
	if constant && x.DType() != ops.String {
		g.graph.Initializer = append(g.graph.Initializer, &onnxpb.TensorProto{
			Name: name, DataType: int32(x.DType()), Dims: dimsOf(x.Shape()), RawData: encoded(x),
		})
		return name
	}
	dims := dimsOf(x.Shape())
	for i := range dims {
		if len(dims) > 1 && g.IntN(8) == 0 { // but not the length of a list of sizes
			dims[i] = -1
		}
	}
	g.graph.Input = append(g.graph.Input, typed(name, x.DType(), dims...))
	g.inputs[name] = x
	return name
}

func dimsOf(shape []int) []int64 {
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	return dims
}

// set adds an attribute to a node.
func set(n *onnxpb.NodeProto, name string, v any) *onnxpb.NodeProto {
	a := &onnxpb.AttributeProto{Name: name}
	switch v := v.(type) {
	case int:
		a.Type, a.I = onnxpb.AttributeProto_INT, proto.Int64(int64(v))
	case bool:
		a.Type, a.I = onnxpb.AttributeProto_INT, proto.Int64(0)
		if v {
			a.I = proto.Int64(1)
		}
	case float64:
		a.Type, a.F = onnxpb.AttributeProto_FLOAT, proto.Float32(float32(v))
	case string:
		a.Type, a.S = onnxpb.AttributeProto_STRING, []byte(v)
	case []int:
		a.Type, a.Ints = onnxpb.AttributeProto_INTS, dimsOf(v)
	case []float64:
		a.Type = onnxpb.AttributeProto_FLOATS
		for _, f := range v {
			a.Floats = append(a.Floats, float32(f))
		}
	case []string:
		a.Type = onnxpb.AttributeProto_STRINGS
		for _, s := range v {
			a.Strings = append(a.Strings, []byte(s))
		}
	case *runtime.Tensor:
		a.Type = onnxpb.AttributeProto_TENSOR
		a.T = &onnxpb.TensorProto{DataType: int32(v.DType()), Dims: dimsOf(v.Shape()), RawData: encoded(v)}
	default:
		panic(fmt.Sprintf("attribute %s has the type %T", name, v))
	}
	n.Attribute = append(n.Attribute, a)
	return n
}

// maybe adds an attribute to every second node.
func (g *generated) maybe(n *onnxpb.NodeProto, name string, v any) *onnxpb.NodeProto {
	if g.yes() {
		set(n, name, v)
	}
	return n
}

func (g *generated) yes() bool { return g.IntN(2) == 0 }

// between returns an integer from lo to hi.
func (g *generated) between(lo, hi int) int { return lo + g.IntN(hi-lo+1) }

// list returns n integers from lo to hi.
func (g *generated) list(n, lo, hi int) []int {
	l := make([]int, n)
	for i := range l {
		l[i] = g.between(lo, hi)
	}
	return l
}

// shape returns a shape with lo to hi dimensions. A dimension is sometimes longer than a vector.
func (g *generated) shape(lo, hi int) []int {
	s := g.list(g.between(lo, hi), 1, 4)
	if len(s) > 0 && g.IntN(3) == 0 {
		s[g.IntN(len(s))] = g.between(5, 40)
	}
	return s
}

// axis returns an axis of a rank, which may be counted from the end.
func (g *generated) axis(rank int) int { return g.between(-rank, rank-1) }

// axes returns different axes.
func (g *generated) axes(rank int) []int {
	list := g.Perm(rank)[:g.between(1, rank)]
	for i, a := range list {
		if g.yes() {
			list[i] = a - rank
		}
	}
	return list
}

func oneOf[T any](g *generated, of ...T) T { return of[g.IntN(len(of))] }

// The element types of operators. The first of them is the most frequent one.
var (
	floatTypes   = []ops.DType{ops.Float32, ops.Float64, ops.Float16}
	numberTypes  = []ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64, ops.Float16, ops.Uint8, ops.Int8, ops.Uint32}
	integerTypes = []ops.DType{ops.Int32, ops.Int64, ops.Uint8, ops.Int8, ops.Uint32, ops.Uint64, ops.Int16, ops.Uint16}
	allDTypes    = []ops.DType{ops.Float32, ops.Int64, ops.Uint8, ops.Bool, ops.Float64, ops.Int32, ops.Float16, ops.Int8, ops.Int16}
)

func (g *generated) dtype(of []ops.DType) ops.DType {
	if g.IntN(3) == 0 {
		return of[0]
	}
	return oneOf(g, of...)
}

// filled returns a tensor with the given elements.
func filled(d ops.DType, shape []int, f func(i int) float64) *runtime.Tensor {
	x, err := ops.Zeros(d, shape)
	if err != nil {
		panic(err)
	}
	v := reflect.ValueOf(x.Elements())
	for i := range v.Len() {
		n := f(i)
		switch e := v.Index(i); {
		case d == ops.Float16:
			e.SetUint(uint64(ops.ToF16(n)))
		case d == ops.String:
			e.SetString(fmt.Sprint(n))
		case e.CanFloat():
			e.SetFloat(n)
		case e.CanInt():
			e.SetInt(int64(n))
		case e.CanUint():
			e.SetUint(uint64(n))
		default:
			e.SetBool(n != 0)
		}
	}
	return x
}

// within returns a tensor with elements from lo to hi, which are integers for integer types.
func (g *generated) within(d ops.DType, lo, hi float64, shape ...int) *runtime.Tensor {
	return filled(d, shape, func(int) float64 {
		v := lo + g.Float64()*(hi-lo)
		if d != ops.Float32 && d != ops.Float64 && d != ops.Float16 {
			v = math.Floor(lo + g.Float64()*(hi-lo+1))
		}
		return v
	})
}

// tensor returns a tensor with elements near 0 of any sign.
func (g *generated) tensor(d ops.DType, shape ...int) *runtime.Tensor {
	switch d {
	case ops.Bool:
		return g.within(d, 0, 1, shape...)
	case ops.Uint8, ops.Uint16, ops.Uint32, ops.Uint64:
		return g.within(d, 0, 12, shape...)
	case ops.Float16, ops.Float32, ops.Float64:
		return filled(d, shape, func(int) float64 { return g.NormFloat64() })
	}
	return g.within(d, -6, 6, shape...)
}

// special returns a tensor that may have special numbers, such as NaN.
func (g *generated) special(d ops.DType, shape ...int) *runtime.Tensor {
	x := g.tensor(d, shape...)
	if (d == ops.Float32 || d == ops.Float64) && g.IntN(4) == 0 {
		v := reflect.ValueOf(x.Elements())
		for i := range v.Len() {
			if g.IntN(3) == 0 {
				v.Index(i).SetFloat(oneOf(g, 0, math.Copysign(0, -1), 1, -1, 0.5, -2.5, math.Inf(1), math.Inf(-1), math.NaN(), 1e-40, 88, -90, 1e30, 3e9))
			}
		}
	}
	return x
}

// ints returns an int64 vector.
func ints(v ...int) *runtime.Tensor {
	return filled(ops.Int64, []int{len(v)}, func(i int) float64 { return float64(v[i]) })
}

func scalarOf(d ops.DType, v float64) *runtime.Tensor {
	return filled(d, nil, func(int) float64 { return v })
}

// broadcastable returns shapes that broadcast to a shape.
func (g *generated) broadcastable(n int) [][]int {
	out := g.shape(0, 4)
	shapes := make([][]int, n)
	for k := range shapes {
		s := append([]int(nil), out...)
		for i := range s {
			if g.IntN(4) == 0 {
				s[i] = 1
			}
		}
		if g.IntN(3) == 0 {
			s = s[g.IntN(len(s)+1):]
		}
		shapes[k] = s
	}
	return shapes
}
