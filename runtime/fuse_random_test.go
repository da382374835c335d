package runtime_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/runtime"
)

// randomOperands is a model whose inputs and constants broadcast with each other in many ways.
type randomOperands struct {
	r       *rand.Rand
	sizes   []int  // of the axes of the largest operand, for the next run
	known   []bool // by axis: whether the file states the size
	message *onnxpb.ModelProto
	shapes  map[string][]int // of inputs: the axes, or -1 for a size of 1
	list    nodes
	values  []string // names
}

func newRandomOperands(r *rand.Rand) *randomOperands {
	g := &randomOperands{r: r, shapes: map[string][]int{}}
	for range 1 + r.IntN(4) {
		g.sizes, g.known = append(g.sizes, 0), append(g.known, r.IntN(2) == 0)
	}
	g.choose(true)
	var inputs []*onnxpb.ValueInfoProto
	for i := range 1 + r.IntN(3) {
		name := fmt.Sprint("x", i)
		g.shapes[name] = g.axes(i > 0)
		v := info(name, make([]int64, len(g.shapes[name]))...)
		for i, axis := range g.shapes[name] {
			d := &onnxpb.TensorShapeProto_Dimension{}
			switch {
			case axis < 0:
				d.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 1}
			case g.known[axis]:
				d.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(g.sizes[axis])}
			case r.IntN(3) > 0:
				d.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: fmt.Sprint("n", axis)}
			}
			v.GetType().GetTensorType().GetShape().Dim[i] = d
		}
		inputs, g.values = append(inputs, v), append(g.values, name)
	}
	g.message = network(inputs, "", nil)
	g.message.Graph.Initializer = append(g.message.Graph.Initializer, scalarFloat("half", 0.5), scalarFloat("twice", 2), scalarFloat("thrice", 3), scalarFloat("minus", -1),
		onnx.Int64Tensor("last", -1))
	for i := range 3 {
		name := fmt.Sprint("c", i)
		var shape []int
		for _, axis := range g.axes(true) {
			if axis < 0 || !g.known[axis] {
				shape = append(shape, 1)
			} else {
				shape = append(shape, g.sizes[axis])
			}
		}
		g.message.Graph.Initializer = append(g.message.Graph.Initializer, onnx.Float32Tensor(name, shape, g.numbers(product(shape))))
	}
	return g
}

// choose chooses the sizes that the file does not state, or all.
func (g *randomOperands) choose(all bool) {
	for i := range g.sizes {
		if !all && g.known[i] {
			continue
		}
		g.sizes[i] = []int{1, 1, 2, 3, 5, 17}[g.r.IntN(6)]
		if i == len(g.sizes)-1 {
			g.sizes[i] = []int{1, 2, 7, 16, 33, 70, 600, 5000}[g.r.IntN(8)]
		}
		if g.r.IntN(30) == 0 {
			g.sizes[i] = 0
		}
	}
}

// axes returns the axes of an operand. smaller allows sizes of 1 and fewer axes.
func (g *randomOperands) axes(smaller bool) []int {
	axes := []int{}
	for i := range g.sizes {
		axes = append(axes, i)
	}
	if smaller {
		switch g.r.IntN(5) {
		case 0: // a row
			for i := range axes[:len(axes)-1] {
				axes[i] = -1
			}
		case 1: // a number for each row
			axes[len(axes)-1] = -1
		case 2:
			for i := range axes {
				if g.r.IntN(2) == 0 {
					axes[i] = -1
				}
			}
		}
		if g.r.IntN(3) == 0 {
			axes = axes[g.r.IntN(len(axes)+1):]
		}
	}
	return axes
}

func (g *randomOperands) numbers(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		switch v[i] = 4*g.r.Float32() - 2; g.r.IntN(300) {
		case 0:
			v[i] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1)), 0, 1e30, 1e-40}[g.r.IntN(7)]
		}
	}
	return v
}

// add adds a random node.
func (g *randomOperands) add(name string) {
	r := g.r
	pick := func() string {
		recent := g.values[max(0, len(g.values)-3):]
		switch r.IntN(6) {
		case 0:
			return g.values[r.IntN(len(g.values))]
		case 1:
			return recent[r.IntN(len(recent))]
		}
		return g.values[len(g.values)-1]
	}
	number := func() string { return []string{"half", "twice", "thrice", "minus", "c0"}[r.IntN(5)] }
	last, noKeep := intsAttr("axes", -1), []*onnxpb.AttributeProto{}
	if r.IntN(12) == 0 {
		noKeep = append(noKeep, intAttr("keepdims", 0))
	}
	var n *onnxpb.NodeProto
	switch r.IntN(16) {
	case 0, 1, 2:
		of := strings.Fields("ReduceMean ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp ReduceLogSum ReduceProd")
		n = op(fmt.Sprintf("%s = %s(%s)", name, of[r.IntN(len(of))], pick()), append(noKeep, last)...)
	case 3:
		n = op(fmt.Sprintf("%s = ReduceSum(%s, last)", name, pick()), noKeep...)
	case 4:
		n = op(fmt.Sprintf("%s = Pow(%s, %s)", name, pick(), number()))
	case 5:
		n = op(fmt.Sprintf("%s = MatMul(%s, %s)", name, pick(), pick()))
	case 6:
		n = op(fmt.Sprintf("%s = Clip(%s%s)", name, pick(), []string{"", ", minus", ", , half", ", minus, half"}[r.IntN(4)]))
	case 7, 8, 9:
		of := strings.Fields("Relu Sqrt Tanh Exp Neg Sigmoid Erf Abs Reciprocal LeakyRelu Log HardSwish")
		n = op(fmt.Sprintf("%s = %s(%s)", name, of[r.IntN(len(of))], pick()))
	default:
		a, b := pick(), pick()
		if r.IntN(2) == 0 {
			b = []string{number(), "c1", "c2", "x0"}[r.IntN(4)]
		}
		if r.IntN(2) == 0 {
			a, b = b, a
		}
		n = op(fmt.Sprintf("%s = %s(%s, %s)", name, strings.Fields("Add Sub Mul Div")[r.IntN(4)], a, b))
	}
	g.list, g.values = append(g.list, n), append(g.values, name)
}

// TestFusion_OfRandomShapesHasTheSameBits compares random graphs of operands of many shapes with and
// without fusion. Some shapes differ from run to run.
func TestFusion_OfRandomShapesHasTheSameBits(t *testing.T) {
	const seeds = 40
	together, rows := 0, 0
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 53))
		g := newRandomOperands(r)
		for i := 0; i < 60 && len(g.list) < 3+r.IntN(14); i++ { // nodes whose shapes fit
			before := *g
			g.add(fmt.Sprint("v", i))
			g.message.Graph.Node = g.list
			g.message.Graph.Output = []*onnxpb.ValueInfoProto{{Name: g.values[len(g.values)-1]}}
			m, err := runtime.New(marshal(t, g.message), runtime.WithoutFusion())
			if err != nil {
				g.list, g.values = before.list, before.values
				continue
			}
			require.NoError(t, m.Close())
		}
		if len(g.list) == 0 {
			continue
		}
		g.message.Graph.Node = g.list
		outputs := map[string]bool{g.list[len(g.list)-1].Output[0]: true}
		if r.IntN(3) == 0 {
			outputs[g.list[r.IntN(len(g.list))].Output[0]] = true
		}
		g.message.Graph.Output = nil
		for name := range outputs {
			g.message.Graph.Output = append(g.message.Graph.Output, &onnxpb.ValueInfoProto{Name: name})
		}
		plain := load(t, g.message, runtime.WithoutFusion())
		fused := load(t, g.message, runtime.Workers(1+r.IntN(2)))
		for run := range 3 {
			if run > 0 {
				g.choose(false)
			}
			in := values{}
			for name, axes := range g.shapes {
				shape := []int{}
				for _, axis := range axes {
					if axis < 0 {
						shape = append(shape, 1)
					} else {
						shape = append(shape, g.sizes[axis])
					}
				}
				in[name] = f32(shape, g.numbers(product(shape))...)
			}
			text := fmt.Sprintf("seed %d, run %d, %v: %v", seed, run, g.shapes, g.list)
			want, err := plain.Run(t.Context(), in)
			var names []string
			got, fusedErr := fused.Run(t.Context(), in, runtime.Profile(func(n runtime.NodeProfile) { names = append(names, n.Operator) }))
			if err != nil {
				require.Error(t, fusedErr, text)
				continue
			}
			require.NoError(t, fusedErr, text)
			steps := strings.Join(names, ", ")
			together += strings.Count(steps, "+")
			if strings.Contains(steps, "+Reduce") {
				rows++
			}
			for name := range outputs {
				require.Equal(t, want[name].Shape(), got[name].Shape(), text)
				requireSameBits(t, want[name], got[name], text+": "+steps)
			}
		}
		require.NoError(t, plain.Close())
		require.NoError(t, fused.Close())
	}
	require.Greater(t, together, seeds)
	require.Greater(t, rows, seeds/10)
}
