package runtime_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// fusion is a model and the steps that run after fusion.
type fusion struct {
	name  string
	steps string // the operators that run, and those of a chain joined by +
	list  nodes
	size  []int64 // of the images, (8, 9) unless given
}

// fusions returns models with the input x, images with 4 channels, and the output y.
func fusions() []fusion {
	pads := intsAttr("pads", 1, 1, 1, 1)
	last := intsAttr("axes", -1)
	halves := []*onnxpb.AttributeProto{intsAttr("kernel_shape", 2, 2), intsAttr("strides", 2, 2)}
	return []fusion{
		{name: "activation", steps: "Conv+Relu", list: nodes{op("a = Conv(x, w9, b12)", pads), op("y = Relu(a)")}},
		{name: "few taps", steps: "Conv+Relu", list: nodes{op("a = Conv(x, w1, b12)"), op("y = Relu(a)")}},
		{name: "one position", steps: "Conv+Relu", list: nodes{op("a = Conv(x, wall)"), op("y = Relu(a)")}},
		{name: "normalization", steps: "Conv+BatchNormalization+Clip", list: nodes{
			op("a = Conv(x, w9)", intsAttr("strides", 2, 1)), op("c = BatchNormalization(a, s12, b12, m12, v12)"), op("y = Clip(c, zero, one)")}},
		{name: "depthwise", steps: "Conv+BatchNormalization+LeakyRelu", list: nodes{
			op("a = Conv(x, wd)", intAttr("group", 4), pads), op("c = BatchNormalization(a, s4, b4, b4, v4)"), op("y = LeakyRelu(c)")}},
		{name: "residual", steps: "Conv+Add+Relu", list: nodes{
			op("a = Conv(x, w4, b4)", pads), op("c = Add(x, a)"), op("y = Relu(c)")}},
		{name: "bias of another node", steps: "Conv+Add+HardSwish", list: nodes{
			op("a = Conv(x, w9)"), op("c = Add(a, bias12)"), op("y = HardSwish(c)")}},
		{name: "one number", steps: "Conv+Mul+Tanh", list: nodes{op("a = Conv(x, w9)"), op("c = Mul(ten, a)"), op("y = Tanh(c)")}},
		{name: "pool", steps: "Conv+Relu+MaxPool", list: nodes{
			op("a = Conv(x, w9, b12)", pads), op("c = Relu(a)"), op("y = MaxPool(c)", halves...)}},
		{name: "pool of large images", steps: "Conv+Relu+MaxPool", size: []int64{7, 300}, list: nodes{
			op("a = Conv(x, w9, b12)", pads), op("c = Relu(a)"), op("y = MaxPool(c)", halves...)}},
		{name: "pool after few taps", steps: "Conv+Relu, MaxPool", list: nodes{
			op("a = Conv(x, w1, b12)"), op("c = Relu(a)"), op("y = MaxPool(c)", halves...)}},
		{name: "pool of other windows", steps: "Conv+Relu, MaxPool", list: nodes{
			op("a = Conv(x, w9, b12)"), op("c = Relu(a)"), op("y = MaxPool(c)", intsAttr("kernel_shape", 2, 2))}},
		{name: "pool without Relu", steps: "Conv, MaxPool", list: nodes{op("a = Conv(x, w9, b12)", pads), op("y = MaxPool(a)", halves...)}},
		{name: "swish", steps: "Conv, Sigmoid+Mul", list: nodes{op("a = Conv(x, w9)"), op("s = Sigmoid(a)"), op("y = Mul(a, s)")}},
		{name: "gelu", steps: "Div+Erf+Add+Mul+Mul", list: nodes{
			op("a = Div(x, ten)"), op("e = Erf(a)"), op("p = Add(e, one)"), op("q = Mul(x, p)"), op("y = Mul(q, half)")}},
		{name: "broadcast at the beginning", steps: "Sub+Relu+BatchNormalization", list: nodes{
			op("a = Sub(row9, x)"), op("r = Relu(a)"), op("y = BatchNormalization(r, s4, b4, b4, v4)")}},
		{name: "normalization at the beginning", steps: "BatchNormalization+Relu", list: nodes{
			op("a = BatchNormalization(x, s4, b4, b4, v4)"), op("y = Relu(a)")}},
		{name: "parameters that are computed", steps: "Conv+BatchNormalization+Relu", list: nodes{
			op("a = Conv(x, w9)"), op("s = Abs(b12)"), op("c = BatchNormalization(a, s, b12, s, v12)"), op("y = Relu(c)")}},
		{name: "weights that are computed", steps: "Conv+Relu", list: nodes{
			op("w = Neg(w9)"), op("a = Conv(x, w)"), op("y = Relu(a)")}},
		{name: "product", steps: "MatMul+Add+Relu", list: nodes{
			op("a = MatMul(x, p9)"), op("c = Add(b12, a)"), op("y = Relu(c)")}},
		{name: "product with many columns", steps: "MatMul+Add+Elu", list: nodes{
			op("a = MatMul(x, wide)"), op("c = Add(a, b1100)"), op("y = Elu(c)")}},
		{name: "product with a vector", steps: "MatMul+Sub+Sigmoid", list: nodes{
			op("a = MatMul(x, row9)"), op("c = Sub(one, a)"), op("y = Sigmoid(c)")}},
		{name: "product of two values", steps: "Transpose, MatMul+Div+Tanh", list: nodes{
			op("t = Transpose(x)", intsAttr("perm", 0, 1, 3, 2)), op("a = MatMul(x, t)"), op("c = Div(a, ten)"), op("y = Tanh(c)")}},
		{name: "product and residual", steps: "Transpose, MatMul, MatMul+Add+Add", list: nodes{
			op("t = Transpose(x)", intsAttr("perm", 0, 1, 3, 2)), op("a = MatMul(x, t)"), op("c = MatMul(a, x)"), op("d = Add(c, row9)"), op("y = Add(x, d)")}},
		{name: "one matrix for many", steps: "MatMul+Mul", list: nodes{op("a = MatMul(p8, x)"), op("y = Mul(a, half)")}},
		{name: "fully connected", steps: "Flatten, Gemm+LeakyRelu", list: nodes{
			op("f = Flatten(x)"), op("a = Gemm(f, full, b12)", intAttr("transB", 1)), op("y = LeakyRelu(a)")}},
		{name: "fully connected without bias", steps: "Flatten, Gemm+BatchNormalization+Clip", list: nodes{
			op("f = Flatten(x)"), op("a = Gemm(f, full)", intAttr("transB", 1)), op("c = BatchNormalization(a, s12, b12, m12, v12)"), op("y = Clip(c, zero, one)")}},
		{name: "factor of a product", steps: "Flatten, Gemm, Relu", list: nodes{
			op("f = Flatten(x)"), op("a = Gemm(f, full, b12)", intAttr("transB", 1), &onnxpb.AttributeProto{Name: "alpha", Type: onnxpb.AttributeProto_FLOAT, F: proto.Float32(0.5)}), op("y = Relu(a)")}},

		{name: "normalization of rows", steps: "ReduceMean+Sub+Pow+ReduceMean+Add+Sqrt+Div+Mul+Add", list: rowNormalization("q = Pow(d, two)")},
		{name: "normalization with a product", steps: "ReduceMean+Sub+Mul+ReduceMean+Add+Sqrt+Div+Mul+Add", list: rowNormalization("q = Mul(d, d)")},
		{name: "normalization of long rows", steps: "ReduceMean+Sub+Pow+ReduceMean+Add+Sqrt+Div+Mul+Add", size: []int64{3, 5000}, list: rowNormalization("q = Pow(d, two)")},
		{name: "normalization whose difference is an output", steps: "ReduceMean, Sub, Pow+ReduceMean+Add+Sqrt+Div+Mul+Add, Identity",
			list: append(rowNormalization("q = Pow(d, two)"), op("also = Identity(d)"))},
		{name: "root mean square", steps: "Pow+ReduceMean+Add+Sqrt+Div+Mul", list: nodes{
			op("q = Pow(x, two)"), op("v = ReduceMean(q)", last), op("e = Add(half, v)"), op("s = Sqrt(e)"), op("n = Div(x, s)"), op("y = Mul(row9, n)")}},
		{name: "axes as an input", steps: "Abs+ReduceSum+Div", list: nodes{op("a = Abs(x)"), op("s = ReduceSum(a, three)"), op("y = Div(a, s)")}},
		{name: "softmax in nodes", steps: "ReduceMax+Sub+Exp+ReduceSum+Div", list: nodes{
			op("m = ReduceMax(x)", last), op("d = Sub(x, m)"), op("e = Exp(d)"), op("s = ReduceSum(e, three)"), op("y = Div(e, s)")}},
		{name: "gelu after a bias", steps: "Add+Div+Erf+Add+Mul+Mul", list: nodes{
			op("b = Add(x, row9)"), op("a = Div(b, ten)"), op("e = Erf(a)"), op("p = Add(e, one)"), op("q = Mul(b, p)"), op("y = Mul(q, half)")}},
		{name: "approximate gelu", steps: "Pow+Mul+Add+Mul+Tanh+Add+Mul+Mul", list: nodes{
			op("c = Pow(x, threes)"), op("d = Mul(c, half)"), op("e = Add(x, d)"), op("f = Mul(e, two)"), op("g = Tanh(f)"), op("h = Add(g, one)"), op("i = Mul(x, h)"), op("y = Mul(i, half)")}},
		{name: "other powers", steps: "Abs+Pow+Add", list: nodes{op("a = Abs(x)"), op("p = Pow(a, s1)"), op("y = Add(a, p)")}},
		{name: "power for each row", steps: "Abs, ReduceMean, Pow, Add", list: nodes{
			op("a = Abs(x)"), op("m = ReduceMean(a)", last), op("p = Pow(a, m)"), op("y = Add(a, p)")}},
		{name: "mean of another axis", steps: "ReduceMean, Sub, Mul+Relu", list: nodes{
			op("m = ReduceMean(x)", intsAttr("axes", 1)), op("d = Sub(x, m)"), op("q = Mul(d, d)"), op("y = Relu(q)")}},

		{name: "used twice", steps: "Conv, Relu+Add", list: nodes{op("a = Conv(x, w9)"), op("r = Relu(a)"), op("y = Add(a, r)")}},
		{name: "both inputs", steps: "Conv, Add", list: nodes{op("a = Conv(x, w9)"), op("y = Add(a, a)")}},
		{name: "output of the model", steps: "Conv, Relu, Identity", list: nodes{op("a = Conv(x, w9)"), op("y = Relu(a)"), op("also = Identity(a)")}},
		{name: "larger operand", steps: "GlobalMaxPool, Relu, Add", list: nodes{op("m = GlobalMaxPool(x)"), op("a = Relu(m)"), op("y = Add(a, x)")}},
		{name: "used by a subgraph", steps: "Conv, Add, Identity", list: nodes{
			op("a = Conv(x, w9)"), op("y = Add(a, one)"), op("also = If(true)", subgraph("then_branch", "", "t", nodes{op("t = Identity(a)")}), subgraph("else_branch", "", "e", nodes{op("e = Identity(a)")}))}},
		{name: "statistics of the batch", steps: "Conv, BatchNormalization, Relu", list: nodes{
			op("a = Conv(x, w9)"), op("c, n, o = BatchNormalization(a, s12, b12, m12, v12)", intAttr("training_mode", 1)), op("y = Relu(c)")}},
	}
}

// rowNormalization returns LayerNormalization as nodes with a node that squares d.
func rowNormalization(square string) nodes {
	last := intsAttr("axes", -1)
	return nodes{
		op("m = ReduceMean(x)", last), op("d = Sub(x, m)"), op(square), op("v = ReduceMean(q)", last), op("e = Add(v, half)"), op("s = Sqrt(e)"),
		op("n = Div(d, s)"), op("g = Mul(n, row9)"), op("y = Add(g, row9)"),
	}
}

// fusionModel returns the message of a fusion.
func fusionModel(f fusion) *onnxpb.ModelProto {
	r := rand.New(rand.NewPCG(1, 50))
	size := f.size
	if size == nil {
		size = []int64{8, 9}
	}
	m := network([]*onnxpb.ValueInfoProto{info("x", -1, 4, size[0], size[1])}, "y", f.list)
	if slices.ContainsFunc(f.list, func(n *onnxpb.NodeProto) bool { return n.Output[0] == "also" }) {
		m.Graph.Output = append(m.Graph.Output, &onnxpb.ValueInfoProto{Name: "also"})
	}
	add := func(name string, low, high float32, shape ...int) {
		v := make([]float32, product(shape))
		for i := range v {
			v[i] = low + (high-low)*r.Float32()
		}
		m.Graph.Initializer = append(m.Graph.Initializer, onnx.Float32Tensor(name, shape, v))
	}
	add("w9", -1, 1, 12, 4, 3, 3)
	add("w1", -1, 1, 12, 4, 1, 1)
	add("wall", -1, 1, 12, 4, int(size[0]), int(size[1]))
	add("wd", -1, 1, 4, 1, 3, 3)
	add("w4", -1, 1, 4, 4, 3, 3)
	for _, n := range []int{4, 12} {
		add(fmt.Sprint("s", n), 0.5, 2, n)
		add(fmt.Sprint("b", n), -1, 1, n)
		add(fmt.Sprint("m", n), -1, 1, n)
		add(fmt.Sprint("v", n), 0.5, 2, n)
	}
	add("bias12", -1, 1, 1, 12, 1, 1)
	add("p9", -1, 1, int(size[1]), 12)
	add("p8", -1, 1, 5, int(size[0]))
	add("row8", -1, 1, int(size[0]))
	add("wide", -1, 1, int(size[1]), 1100)
	add("b1100", -1, 1, 1100)
	add("full", -1, 1, 12, 4*int(size[0]*size[1]))
	add("row9", -1, 1, int(size[1]))
	m.Graph.Initializer = append(m.Graph.Initializer, scalarFloat("zero", 0), scalarFloat("half", 0.5), scalarFloat("two", 2), scalarFloat("threes", 3), onnx.Int64Tensor("three", 3))
	add("s1", 1.5, 2, 1)
	return m
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// operatorsOf returns the operators that a run executes.
func operatorsOf(t *testing.T, m *runtime.Model, in values) (string, map[string]*runtime.Tensor) {
	var names []string
	out, err := m.Run(t.Context(), in, runtime.Profile(func(n runtime.NodeProfile) { names = append(names, n.Operator) }))
	require.NoError(t, err)
	return strings.Join(slices.DeleteFunc(names, func(n string) bool { return n == "If" }), ", "), out
}

// TestFusion_ChangesNoBit compares models with and without fusion, for several batches and on all
// tiers.
func TestFusion_ChangesNoBit(t *testing.T) {
	for _, f := range fusions() {
		t.Run(f.name, func(t *testing.T) {
			message := fusionModel(f)
			for _, tier := range kernel.Tiers() {
				undo := kernel.Use(tier)
				for workers := 1; workers <= 2; workers++ {
					fused, single := load(t, message, runtime.Workers(workers)), load(t, message, runtime.WithoutFusion())
					for _, batch := range []int{1, 3, 0} {
						in := values{"x": fusionInput(message, batch)}
						steps, got := operatorsOf(t, fused, in)
						plain, want := operatorsOf(t, single, in)
						require.Equal(t, f.steps, steps)
						require.NotContains(t, plain, "+")
						for name, w := range want {
							require.Equal(t, w.Shape(), got[name].Shape())
							requireSameBits(t, w, got[name], fmt.Sprintf("%v, %d workers, batches of %d: %s", tier, workers, batch, name))
						}
					}
					fused.Close()
					single.Close()
				}
				undo()
			}
		})
	}
}

// TestFusion_RandomGraphsHaveTheSameBits compares random graphs, whose nodes often use a value twice.
func TestFusion_RandomGraphsHaveTheSameBits(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 50))
	last := intsAttr("axes", -1)
	together := 0
	for range 300 {
		values := []string{"x"}
		pick := func(others ...string) string {
			if recent := values[max(0, len(values)-2):]; len(others) == 0 || r.IntN(3) > 0 {
				return recent[r.IntN(len(recent))]
			}
			return others[r.IntN(len(others))]
		}
		var list nodes
		count := 4 + r.IntN(8)
		for i := range count {
			name := fmt.Sprint("v", i)
			if i == count-1 {
				name = "y"
			}
			var n *onnxpb.NodeProto
			switch r.IntN(12) {
			case 0, 1:
				n = op(fmt.Sprintf("%s = %s(%s)", name, []string{"ReduceMean", "ReduceMax", "ReduceL2"}[r.IntN(3)], pick()), last)
			case 2:
				n = op(fmt.Sprintf("%s = Pow(%s, %s)", name, pick(), []string{"two", "half", "s1", "threes"}[r.IntN(4)]))
			case 3:
				n = op(fmt.Sprintf("%s = MatMul(%s, square)", name, pick()))
			case 4, 5, 6:
				n = op(fmt.Sprintf("%s = %s(%s)", name, strings.Fields("Relu Sqrt Tanh Exp Neg Sigmoid Erf")[r.IntN(7)], pick()))
			default:
				a, b := pick(), pick("row9", "half", "x", "ten")
				if r.IntN(2) == 0 {
					a, b = b, a
				}
				n = op(fmt.Sprintf("%s = %s(%s, %s)", name, strings.Fields("Add Sub Mul Div")[r.IntN(4)], a, b))
			}
			list, values = append(list, n), append(values, name)
		}
		m := fusionModel(fusion{list: list})
		m.Graph.Initializer = append(m.Graph.Initializer, onnx.Float32Tensor("square", []int{9, 9}, fusionInput(m, 1).Float32s()[100:181]))
		plain, err := runtime.New(marshal(t, m), runtime.WithoutFusion())
		if err != nil {
			continue // a product of rows that a reduction has made short
		}
		in := map[string]*runtime.Tensor{"x": fusionInput(m, 2)}
		steps, got := operatorsOf(t, load(t, m, runtime.Workers(1+r.IntN(2))), in)
		_, want := operatorsOf(t, plain, in)
		require.NoError(t, plain.Close())
		together += strings.Count(steps, "+")
		require.Equal(t, want["y"].Shape(), got["y"].Shape())
		requireSameBits(t, want["y"], got["y"], steps)
	}
	require.Greater(t, together, 100)
}

// fusionInput returns images with numbers of both signs, NaN and infinity.
func fusionInput(m *onnxpb.ModelProto, batch int) *runtime.Tensor {
	r := rand.New(rand.NewPCG(uint64(batch), 51))
	shape := []int{batch}
	for _, d := range m.Graph.Input[0].GetType().GetTensorType().GetShape().Dim[1:] {
		shape = append(shape, int(d.GetDimValue()))
	}
	v := make([]float32, product(shape))
	for i := range v {
		v[i] = 4*r.Float32() - 2
	}
	if len(v) > 100 {
		v[20], v[90] = float32(math.NaN()), float32(math.Inf(1))
	}
	return f32(shape, v...)
}

// TestFusion_DividesLongChains has a chain that would take long to find as a whole.
func TestFusion_DividesLongChains(t *testing.T) {
	var list nodes
	const count = 150
	value := "x"
	for i := range count {
		next := fmt.Sprint("value", i)
		list, value = append(list, op(fmt.Sprintf("%s = Sub(ten, %s)", next, value))), next
	}
	m := fusionModel(fusion{list: append(list, op(fmt.Sprintf("y = Neg(%s)", value)))})
	in := values{"x": fusionInput(m, 2)}
	steps, got := operatorsOf(t, load(t, m), in)
	_, want := operatorsOf(t, load(t, m, runtime.WithoutFusion()), in)
	require.Equal(t, 2, strings.Count(steps, ", "))
	require.Equal(t, count+1-3, strings.Count(steps, "+"))
	requireSameBits(t, want["y"], got["y"], "y")
}

// TestFusion_ObserveSeesEveryValue checks that a run with Observe has all intermediate values.
func TestFusion_ObserveSeesEveryValue(t *testing.T) {
	message := fusionModel(fusions()[3])
	m := load(t, message)
	in := values{"x": fusionInput(message, 2)}
	var seen []string
	observed, err := m.Run(t.Context(), in, runtime.Observe(func(name string, _ *runtime.Tensor) { seen = append(seen, name) }))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "c", "y"}, seen)
	out, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	requireSameBits(t, observed["y"], out["y"], "y")
}

// requireSameBits compares the bits of numbers, except those of NaN.
func requireSameBits(t *testing.T, want, got *runtime.Tensor, name string) {
	t.Helper()
	for i, w := range want.Float32s() {
		g := got.Float32s()[i]
		require.True(t, math.Float32bits(w) == math.Float32bits(g) || w != w && g != g, "%s: number %d: want %v, got %v", name, i, w, g)
	}
}

func TestFusion_ErrorsNameTheNode(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", 1, 1, -1, -1)}, "y", nodes{op("a = Conv(x, w)"), op("r = Relu(a)"), op("y = MaxPool(r)", intsAttr("kernel_shape", 2, 2), intsAttr("strides", 2, 2))})
	m.Graph.Initializer = append(m.Graph.Initializer, onnx.Float32Tensor("w", []int{9, 1, 4, 4}, make([]float32, 9*16)))
	r := load(t, m)
	run := func(size int) error {
		_, err := r.Run(t.Context(), values{"x": f32([]int{1, 1, size, size}, make([]float32, size*size)...)})
		return err
	}
	require.NoError(t, run(5))
	for size, want := range map[int]runtime.NodeError{3: {Node: "a", Operator: "Conv"}, 4: {Node: "y", Operator: "MaxPool"}} {
		var node *runtime.NodeError
		err := run(size)
		require.ErrorAs(t, err, &node)
		require.Equal(t, want.Node+want.Operator, node.Node+node.Operator)
		require.ErrorIs(t, err, ops.ErrShape)
	}
}

// TestFusion_OtherShapesThanExpected checks a chain whose shapes turn out not to fit.
func TestFusion_OtherShapesThanExpected(t *testing.T) {
	m := network([]*onnxpb.ValueInfoProto{info("x", -1, 3), info("z", -1, 3)}, "y", nodes{op("a = Neg(x)"), op("b = Add(a, z)"), op("y = Relu(b)")})
	r := load(t, m)
	for _, batches := range [][2]int{{2, 2}, {1, 2}, {2, 1}} {
		x, z := make([]float32, 3*batches[0]), make([]float32, 3*batches[1])
		for i := range x {
			x[i] = -float32(i)
		}
		for i := range z {
			z[i] = float32(10 * i)
		}
		out, err := r.Run(t.Context(), values{"x": f32([]int{batches[0], 3}, x...), "z": f32([]int{batches[1], 3}, z...)})
		require.NoError(t, err)
		rows := max(batches[0], batches[1])
		require.Equal(t, []int{rows, 3}, out["y"].Shape())
		for i, v := range out["y"].Float32s() {
			require.Equal(t, float32(i%len(x))+float32(10*(i%len(z))), v)
		}
	}
}

// TestFusion_BroadcastsLater checks chains in which a later node has a larger output than the first
// one, which only a run can tell.
func TestFusion_BroadcastsLater(t *testing.T) {
	images := func(shape ...int) *runtime.Tensor {
		v := make([]float32, product(shape))
		for i := range v {
			v[i] = float32(i%13) - 5
		}
		return f32(shape, v...)
	}
	open := []*onnxpb.ValueInfoProto{info("x", -1, -1, -1, -1), info("q", -1, -1, -1, -1), info("z", -1, -1, -1, -1)}
	added := nodes{op("a = Conv(x, w9)"), op("y = Add(a, z)")}
	normalized := nodes{op("a = Add(x, q)"), op("b = BatchNormalization(a, ones, ones, ones, ones)"), op("y = Add(b, z)")}
	for _, c := range []struct {
		name    string
		inputs  []*onnxpb.ValueInfoProto
		list    nodes
		x, q, z []int
	}{
		{name: "batch", inputs: []*onnxpb.ValueInfoProto{info("x", -1, 4, 8, 9), info("z", -1, 12, 6, 7)}, list: added, x: []int{1, 4, 8, 9}, z: []int{3, 12, 6, 7}},
		{name: "rows", inputs: []*onnxpb.ValueInfoProto{info("x", 1, 4, -1, -1), info("z", 1, 12, -1, -1)}, list: added, x: []int{1, 4, 3, 9}, z: []int{1, 12, 6, 7}},
		{name: "columns", inputs: []*onnxpb.ValueInfoProto{info("x", 1, 4, -1, -1), info("z", 1, 12, -1, -1)}, list: added, x: []int{1, 4, 8, 3}, z: []int{1, 12, 6, 7}},
		{name: "product", inputs: []*onnxpb.ValueInfoProto{info("x", -1, 4, 8, 9), info("z", -1, 4, 8, 12)}, list: nodes{op("a = MatMul(x, p9)"), op("y = Add(a, z)")},
			x: []int{1, 4, 8, 9}, z: []int{3, 4, 8, 12}},
		{name: "channels", inputs: open, list: normalized, x: []int{1, 1, 3, 3}, q: []int{1, 1, 3, 3}, z: []int{2, 4, 3, 3}},
		{name: "sums of rows and columns", inputs: open, list: normalized, x: []int{1, 1, 3, 1}, q: []int{1, 1, 1, 3}, z: []int{1, 1, 3, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fusionModel(fusion{list: c.list})
			m.Graph.Input = c.inputs
			m.Graph.Initializer = append(m.Graph.Initializer, onnx.Float32Tensor("ones", []int{1}, []float32{1}))
			in := values{"x": images(c.x...), "z": images(c.z...)}
			if c.q != nil {
				in["q"] = images(c.q...)
			}
			steps, got := operatorsOf(t, load(t, m), in)
			require.Contains(t, steps, "+Add")
			_, want := operatorsOf(t, load(t, m, runtime.WithoutFusion()), in)
			require.Equal(t, want["y"].Shape(), got["y"].Shape())
			requireSameBits(t, want["y"], got["y"], "y")
		})
	}
}

// TestFusion_ComputesInPlace checks functions that read their input where they write their output.
func TestFusion_ComputesInPlace(t *testing.T) {
	functions := strings.Fields("Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish Neg " +
		"Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu")
	var expressions []string
	for _, f := range functions {
		expressions = append(expressions, f+"(a)")
	}
	for _, f := range []string{"Add", "Div", "Mul", "Sub"} {
		for _, operand := range []string{"z", "row", "column", "ten"} {
			expressions = append(expressions, fmt.Sprintf("%s(a, %s)", f, operand), fmt.Sprintf("%s(%s, a)", f, operand))
		}
	}
	const rows, columns = 3, 23
	r := rand.New(rand.NewPCG(1, 52))
	numbers := func(shape ...int) *runtime.Tensor {
		v := make([]float32, product(shape))
		for i := range v {
			if v[i] = 6*r.Float32() - 3; i%5 == 0 {
				v[i] *= float32(math.Exp(40 * r.Float64())) // also angles too large for vectors
			}
		}
		return f32(shape, v...)
	}
	in := values{"x": numbers(rows, columns), "z": numbers(rows, columns), "row": numbers(columns), "column": numbers(rows, 1)}
	for _, e := range expressions {
		m := fusionModel(fusion{list: nodes{op("a = Mul(x, ten)"), op("y = " + e)}})
		m.OpsetImport[0].Version = 24
		m.Graph.Input = []*onnxpb.ValueInfoProto{info("x", rows, columns), info("z", rows, columns), info("row", columns), info("column", rows, 1)}
		fused, single := load(t, m), load(t, m, runtime.WithoutFusion())
		for _, tier := range kernel.Tiers() {
			undo := kernel.Use(tier)
			steps, got := operatorsOf(t, fused, in)
			_, want := operatorsOf(t, single, in)
			undo()
			require.Contains(t, steps, "Mul+")
			requireSameBits(t, want["y"], got["y"], fmt.Sprint(tier, ": ", e))
		}
	}
}
