package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// benchmark is a node to measure.
type benchmark struct {
	name  string
	op    string
	in    []operand
	attrs map[string]any
	rank  int // of the output; 0 means that of the first input
	outs  int // number of outputs; 0 means one
}

// operand is an input of a node. It is an input of the model if it has a shape, and otherwise a
// constant.
type operand struct {
	dims      []int
	dtype     ops.DType
	low, high float64
	list      []int64   // constant
	number    []float32 // constant scalar or vector
}

// opset is the version of the standard operators.
const opset = 20

// model returns the model of a benchmark and its inputs.
func (c *benchmark) model() ([]byte, map[string]*runtime.Tensor, error) {
	g := &onnxpb.GraphProto{Name: "g"}
	inputs := map[string]*runtime.Tensor{}
	random := rand.New(rand.NewPCG(1, 2))
	var names []string
	for i, in := range c.in {
		name := fmt.Sprint("x", i)
		switch {
		case in.list != nil:
			g.Initializer = append(g.Initializer, onnx.Int64Tensor(name, in.list...))
		case in.number != nil:
			var shape []int
			if len(in.number) > 1 {
				shape = []int{len(in.number)}
			}
			g.Initializer = append(g.Initializer, onnx.Float32Tensor(name, shape, in.number))
		case in.dims == nil:
			name = ""
		default:
			x, err := in.tensor(random)
			if err != nil {
				return nil, nil, err
			}
			inputs[name] = x
			g.Input = append(g.Input, valueInfo(name, x.DType(), x.Shape()))
		}
		names = append(names, name)
	}
	rank := c.rank
	if rank == 0 {
		rank = len(c.in[0].dims)
	}
	g.Initializer = append(g.Initializer, onnx.Int64Tensor("zeros", make([]int64, rank)...), onnx.Int64Tensor("ones", repeated(1, rank)...))
	for i := range copies {
		n := &onnxpb.NodeProto{OpType: c.op, Input: names}
		for k := range max(1, c.outs) {
			y := fmt.Sprintf("y%d_%d", i, k)
			n.Output = append(n.Output, y)
		}
		if err := onnx.SetAttributes(n, c.attrs); err != nil {
			return nil, nil, err
		}
		g.Node = append(g.Node, n)
		for k, y := range n.GetOutput() {
			z := fmt.Sprintf("z%d_%d", i, k)
			g.Node = append(g.Node, &onnxpb.NodeProto{OpType: "Slice", Input: []string{y, "zeros", "ones"}, Output: []string{z}})
			g.Output = append(g.Output, valueInfo(z, c.result(), nil))
		}
	}
	m := &onnxpb.ModelProto{IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: opset}}, Graph: g}
	b, err := onnx.Marshal(m)
	return b, inputs, err
}

// result returns the element type of the output.
func (c *benchmark) result() ops.DType {
	switch c.op {
	case "Less", "Greater", "Equal", "And", "Not", "IsNaN":
		return ops.Bool
	case "ArgMax", "ArgMin":
		return ops.Int64
	case "Cast":
		return ops.DType(c.attrs["to"].(int64))
	case "Where":
		return c.in[1].dtype
	}
	return c.in[0].dtype
}

func valueInfo(name string, d ops.DType, shape []int) *onnxpb.ValueInfoProto {
	t := &onnxpb.TypeProto_Tensor{ElemType: int32(d)}
	if shape != nil {
		t.Shape = &onnxpb.TensorShapeProto{}
		for _, s := range shape {
			t.Shape.Dim = append(t.Shape.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(s)}})
		}
	}
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: t}}}
}

func repeated(v int64, n int) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// tensor returns random elements from low to high.
func (o operand) tensor(random *rand.Rand) (*runtime.Tensor, error) {
	x, err := ops.Zeros(o.dtype, o.dims)
	if err != nil {
		return nil, err
	}
	next := func() float64 { return o.low + (o.high-o.low)*random.Float64() }
	switch v := x.Elements().(type) {
	case []float32:
		for i := range v {
			v[i] = float32(next())
		}
	case []int64:
		for i := range v {
			v[i] = int64(next())
		}
	case []int32:
		for i := range v {
			v[i] = int32(next())
		}
	case []uint8:
		for i := range v {
			v[i] = uint8(next())
		}
	case []bool:
		for i := range v {
			v[i] = random.IntN(2) == 1
		}
	case []ops.F16:
		for i := range v {
			v[i] = ops.F16(0x3000 + random.IntN(0xc00))
		}
	default:
		return nil, fmt.Errorf("no random elements of type %v", o.dtype)
	}
	return x, nil
}

// bytesOf returns the elements of a tensor, little-endian.
func bytesOf(x *runtime.Tensor) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, x.Elements()) // a buffer takes everything
	return b.Bytes()
}
