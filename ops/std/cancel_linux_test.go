package std

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// polled is a context that measures the longest time between two looks at its error.
type polled struct {
	context.Context

	last, longest time.Duration
}

func (p *polled) Err() error {
	now := threadTime()
	p.longest = max(p.longest, now-p.last)
	p.last = now
	return p.Context.Err()
}

// threadTime returns the time for which the current thread has computed. Unlike the time on
// the clock, it does not include the time of other processes.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// longNode is a node whose run takes long, because of its inputs in has.
type longNode struct {
	operator string
	name     string // of the case, if the operator has several
	attrs    ops.Attributes
	outputs  int
	in       []*ops.Tensor
}

// floats returns a float32 tensor of different numbers between 0 and 1.
func floats(shape ...int) *ops.Tensor {
	v := make([]float32, numElements(shape))
	state := uint32(1)
	for i := range v {
		state = state*1664525 + 1013904223
		v[i] = float32(state>>8) / (1 << 24)
	}
	return opstest.F32(shape, v...)
}

// words returns a vector of strings.
func words(n int) *ops.Tensor {
	return opstest.Tensor([]int{n}, slices.Repeat([]string{"aab abba c", "x", "Abc"}, n/3+1)[:n]...)
}

// longNodes returns at least one node of every operator that computes something. Where an
// operator works along axes, one axis is as long as possible: the loop over it is inside one
// part of a parallel loop.
func longNodes() []longNode {
	const many = 1 << 21
	x := floats(many)
	y := floats(many)
	image := floats(1, 1, 1024, 2048)
	flags := typed(ops.Bool, 1, x)
	numbers := typed(ops.Int64, 1000, x)
	bytes := typed(ops.Uint8, 200, x)
	row := floats(1, many)
	nodes := []longNode{
		{operator: "AveragePool", name: "pairs", attrs: attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}}, in: tensors{floats(1, 1, 2048, 4096)}},
		{operator: "AveragePool", name: "one window", attrs: attrs{"kernel_shape": []int64{2048, 4096}}, in: tensors{floats(1, 1, 2048, 4096)}},
		{operator: "AveragePool", name: "3-D", attrs: attrs{"kernel_shape": []int64{8, 8, 8}}, in: tensors{floats(1, 1, 24, 24, 24)}},
		{operator: "BatchNormalization", in: tensors{image, f32(1), f32(0), f32(0), f32(1)}},
		{operator: "BatchNormalization", name: "training", attrs: attrs{"training_mode": int64(1)}, outputs: 3, in: tensors{image, f32(1), f32(0), f32(0), f32(1)}},
		{operator: "Bernoulli", in: tensors{x}},
		{operator: "BitCast", attrs: attrs{"to": int64(ops.Int32)}, in: tensors{x}},
		{operator: "BitwiseAnd", in: tensors{bytes, bytes}}, {operator: "BitwiseOr", in: tensors{bytes, bytes}}, {operator: "BitwiseXor", in: tensors{bytes, bytes}},
		{operator: "BitwiseNot", in: tensors{bytes}},
		{operator: "BitShift", attrs: attrs{"direction": "LEFT"}, in: tensors{typed(ops.Uint32, 9, x), typed(ops.Uint32, 9, y)}},
		{operator: "Crop", attrs: attrs{"border": []int64{1, 1, 1, 1}}, in: tensors{image}},
		{operator: "ConstantFill", attrs: attrs{"shape": []int64{1 << 24}}}, {operator: "DynamicSlice", in: tensors{x, opstest.Ints(1), opstest.Ints(many - 1)}},
		{operator: "GivenTensorFill", attrs: attrs{"shape": []int64{many}, "values": x.Float32s()}}, {operator: "ImageScaler", in: tensors{image}},
		{operator: "Cast", attrs: attrs{"to": int64(ops.Int8)}, in: tensors{x}},
		{operator: "Cast", name: "to string", attrs: attrs{"to": int64(ops.String)}, in: tensors{floats(1 << 17)}},
		{operator: "CastLike", in: tensors{x, opstest.Ints(1)}},
		{operator: "Clip", in: tensors{x, opstest.F32(nil, 0.2), opstest.F32(nil, 0.5)}},
		{operator: "Compress", in: tensors{x, flags}},
		{operator: "ConcatFromSequence", attrs: attrs{"axis": int64(0)}, in: tensors{opstest.Sequence(ops.Float32, floats(4*many), floats(4*many))}},
		{operator: "Concat", attrs: attrs{"axis": int64(0)}, in: tensors{x, y}},
		{operator: "ConstantOfShape", in: tensors{opstest.Ints(1 << 24)}},
		{operator: "Conv", name: "large image", in: tensors{floats(1, 1, 2048, 1024), floats(4, 1, 3, 3)}},
		{operator: "Conv", name: "many filters", in: tensors{floats(1, 512, 8, 8), floats(512, 512, 3, 3)}},
		{operator: "Conv", name: "padding", attrs: attrs{"pads": []int64{150, 150, 150, 150}}, in: tensors{floats(1, 1, 9, 9), floats(1, 1, 200, 200)}},
		{operator: "Conv", name: "3-D", in: tensors{floats(1, 8, 24, 24, 24), floats(4, 8, 3, 3, 3)}},
		{operator: "Conv", name: "long row of float64", in: tensors{typed(ops.Float64, 1, floats(1, 1, many)), typed(ops.Float64, 1, floats(1, 1, 16))}},
		{operator: "ConvInteger", in: tensors{typed(ops.Uint8, 9, floats(1, 4, 256, 256)), typed(ops.Uint8, 9, floats(2, 4, 5, 5))}},
		{operator: "ConvTranspose", in: tensors{floats(1, 4, 128, 128), floats(4, 2, 5, 5)}},
		{operator: "CumProd", in: tensors{x, opstest.Tensor(nil, int64(0))}},
		{operator: "CumSum", in: tensors{x, opstest.Tensor(nil, int64(0))}},
		{operator: "DepthToSpace", attrs: attrs{"blocksize": int64(2)}, in: tensors{floats(1, 4, 1024, 512)}},
		{operator: "DequantizeLinear", in: tensors{bytes, opstest.F32(nil, 0.5)}},
		{operator: "Det", in: tensors{floats(400, 400)}},
		{operator: "Dropout", outputs: 2, in: tensors{x, opstest.F32(nil, 0.5), opstest.Tensor(nil, true)}},
		{operator: "DynamicQuantizeLinear", outputs: 3, in: tensors{x}},
		{operator: "Einsum", attrs: attrs{"equation": "ij,jk->ik"}, in: tensors{floats(1, many), floats(many, 1)}},
		{operator: "Expand", in: tensors{floats(1, 4096), opstest.Ints(4096, 4096)}},
		{operator: "EyeLike", in: tensors{floats(1024, 2048)}},
		{operator: "Flatten", in: tensors{floats(2, 8*many)}},
		{operator: "GRU", attrs: attrs{"hidden_size": int64(256)}, in: tensors{floats(16, 1, 512), floats(1, 768, 512), floats(1, 768, 256)}},
		{operator: "Gather", in: tensors{x, typed(ops.Int32, 1000, x)}},
		{operator: "Gather", name: "large blocks", in: tensors{row, opstest.Ints(0, 0, 0, 0, 0, 0, 0, 0)}},
		{operator: "GatherElements", in: tensors{x, typed(ops.Int32, 1000, x)}},
		{operator: "GatherND", in: tensors{x, typed(ops.Int64, 1000, floats(many, 1))}},
		{operator: "Gemm", in: tensors{floats(1, 4096), floats(4096, 4096), floats(4096)}},
		{operator: "Gemm", name: "integers", in: tensors{typed(ops.Int32, 9, floats(1, 1024)), typed(ops.Int32, 9, floats(1024, 4096))}},
		{operator: "Gemm", name: "transposed", attrs: attrs{"transA": int64(1), "transB": int64(1)}, in: tensors{floats(2048, 64), floats(1024, 2048)}},
		{operator: "GlobalAveragePool", in: tensors{image}}, {operator: "GlobalLpPool", in: tensors{image}}, {operator: "GlobalMaxPool", in: tensors{image}},
		{operator: "GridSample", in: tensors{floats(1, 1, 512, 512), floats(1, 512, 512, 2)}},
		{operator: "InstanceNormalization", in: tensors{image, f32(1), f32(0)}},
		{operator: "IsInf", in: tensors{x}}, {operator: "IsNaN", in: tensors{x}},
		{operator: "LRN", attrs: attrs{"size": int64(3000)}, in: tensors{floats(1, 8192)}},
		{operator: "LSTM", attrs: attrs{"hidden_size": int64(256)}, in: tensors{floats(16, 1, 512), floats(1, 1024, 512), floats(1, 1024, 256)}},
		{operator: "LayerNormalization", in: tensors{x, y, y}},
		{operator: "LpNormalization", in: tensors{x}},
		{operator: "LpPool", attrs: attrs{"kernel_shape": []int64{1024, 1024}}, in: tensors{floats(1, 1, 1024, 1024)}},
		{operator: "MatMul", in: tensors{floats(64, 2048), floats(2048, 1024)}},
		{operator: "MatMul", name: "long row", in: tensors{floats(1, 1<<22), floats(1<<22, 2)}},
		{operator: "MatMul", name: "float64", in: tensors{typed(ops.Float64, 1, floats(1, 2048)), typed(ops.Float64, 1, floats(2048, 2048))}},
		{operator: "MatMulInteger", in: tensors{typed(ops.Uint8, 9, floats(8, 1024)), typed(ops.Uint8, 9, floats(1024, 1024))}},
		{operator: "Max", in: tensors{x, y}}, {operator: "Mean", in: tensors{x, y}}, {operator: "Min", in: tensors{x, y}}, {operator: "Sum", in: tensors{x, y}},
		{operator: "MaxPool", attrs: attrs{"kernel_shape": []int64{7, 7}}, in: tensors{floats(1, 1, 512, 512)}},
		{operator: "MaxPool", name: "one window", attrs: attrs{"kernel_shape": []int64{2048, 4096}}, in: tensors{floats(1, 1, 2048, 4096)}},
		{operator: "MaxPool", name: "indices", attrs: attrs{"kernel_shape": []int64{1024, 1024}}, outputs: 2, in: tensors{floats(1, 1, 1024, 1024)}},
		{operator: "MaxUnpool", attrs: attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}}, in: tensors{floats(1, 1, 512, 512), typed(ops.Int64, 512*512, floats(1, 1, 512, 512))}},
		{operator: "MeanVarianceNormalization", in: tensors{image}},
		{operator: "Mod", in: tensors{numbers, typed(ops.Int64, 1, ones(ops.Float32, many))}},
		{operator: "Multinomial", attrs: attrs{"sample_size": int64(1000)}, in: tensors{row}},
		{operator: "NegativeLogLikelihoodLoss", in: tensors{floats(many, 1), typed(ops.Int32, 0, x)}},
		{operator: "NonMaxSuppression", name: "sorting", in: tensors{floats(1, 1<<18, 4), floats(1, 1, 1<<18), opstest.Tensor(nil, int64(1))}},
		{operator: "NonMaxSuppression", name: "comparing", in: tensors{floats(1, 6000, 4), floats(1, 1, 6000), opstest.Tensor(nil, int64(6000)), opstest.F32(nil, 1)}},
		{operator: "NonZero", in: tensors{x}}, {operator: "Not", in: tensors{flags}},
		{operator: "OneHot", in: tensors{typed(ops.Int32, 8, floats(1<<18)), opstest.Tensor(nil, int64(8)), f32(0, 1)}},
		{operator: "PRelu", in: tensors{x, y}}, {operator: "Pad", in: tensors{x, opstest.Ints(many, many)}},
		{operator: "QLinearConv", in: tensors{
			typed(ops.Uint8, 9, floats(1, 4, 256, 256)), opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0)), typed(ops.Uint8, 9, floats(2, 4, 3, 3)), opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0)),
			opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0)),
		}},
		{operator: "QLinearMatMul", in: tensors{
			typed(ops.Uint8, 9, floats(8, 1024)), opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0)), typed(ops.Uint8, 9, floats(1024, 1024)), opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0)),
			opstest.F32(nil, 1), opstest.Tensor(nil, uint8(0)),
		}},
		{operator: "Optional", in: tensors{floats(many)}}, {operator: "OptionalGetElement", in: tensors{opstest.Optional(ops.Type{DType: ops.Float32}, floats(many))}},
		{operator: "QuantizeLinear", in: tensors{x, opstest.F32(nil, 0.01)}},
		{operator: "RNN", attrs: attrs{"hidden_size": int64(512)}, in: tensors{floats(16, 1, 1024), floats(1, 512, 1024), floats(1, 512, 512)}},
		{operator: "RandomNormal", attrs: attrs{"shape": []int64{many / 4}}}, {operator: "RandomNormalLike", in: tensors{floats(many / 4)}},
		{operator: "RandomUniform", attrs: attrs{"shape": []int64{many}}}, {operator: "RandomUniformLike", in: tensors{x}},
		{operator: "Range", in: tensors{opstest.Tensor(nil, int64(0)), opstest.Tensor(nil, int64(2*many)), opstest.Tensor(nil, int64(1))}},
		{operator: "RegexFullMatch", attrs: attrs{"pattern": "(a|b)+c*"}, in: tensors{words(1 << 16)}},
		{operator: "Reshape", in: tensors{floats(8 * many), opstest.Ints(2, -1)}},
		{operator: "Resize", name: "nearest", in: tensors{floats(1, 1, 512, 512), nil, f32(1, 1, 2, 4)}},
		{operator: "Resize", name: "linear", attrs: attrs{"mode": "linear"}, in: tensors{floats(1, 1, 256, 512), nil, f32(1, 1, 2, 4)}},
		{operator: "Resize", name: "long axis", attrs: attrs{"mode": "cubic"}, in: tensors{floats(1 << 17), nil, f32(4)}},
		{operator: "Resize", name: "antialias", attrs: attrs{"mode": "linear", "antialias": int64(1)}, in: tensors{floats(1 << 21), nil, nil, opstest.Ints(3)}},
		{operator: "ReverseSequence", in: tensors{floats(2, many), typed(ops.Int64, 2, ones(ops.Float32, many))}},
		{operator: "RoiAlign", attrs: attrs{"output_height": int64(16), "output_width": int64(16), "sampling_ratio": int64(32)}, in: tensors{floats(1, 8, 64, 64), opstest.F32([]int{1, 4}, 0, 0, 50, 50), opstest.Ints(0)}},
		{operator: "Scatter", in: tensors{x, typed(ops.Int32, 1000, x), y}}, {operator: "ScatterElements", in: tensors{x, typed(ops.Int32, 1000, x), y}},
		{operator: "ScatterND", in: tensors{row, opstest.I64([]int{4, 1}, 0, 0, 0, 0), floats(4, many)}},
		{operator: "SequenceAt", in: tensors{opstest.Sequence(ops.Float32, floats(many)), opstest.I64(nil, 0)}},
		{operator: "SequenceConstruct", in: tensors{floats(4 * many), floats(4 * many)}},
		{operator: "SequenceInsert", in: tensors{opstest.Sequence(ops.Float32), floats(many)}},
		{operator: "Shrink", in: tensors{x}}, {operator: "Slice", in: tensors{floats(8 * many), opstest.Ints(1), opstest.Ints(8*many - 1)}},
		{operator: "SoftmaxCrossEntropyLoss", name: "many classes", outputs: 2, in: tensors{row, opstest.Ints(5)}},
		{operator: "SoftmaxCrossEntropyLoss", name: "many images", in: tensors{floats(many, 1), typed(ops.Int32, 0, x)}},
		{operator: "SpaceToDepth", attrs: attrs{"blocksize": int64(2)}, in: tensors{floats(1, 1, 2048, 1024)}},
		{operator: "SplitToSequence", in: tensors{floats(1<<17, 2)}},
		{operator: "StringConcat", in: tensors{words(1 << 18), words(1 << 18)}},
		{operator: "StringNormalizer", attrs: attrs{"case_change_action": "UPPER", "stopwords": []string{"x"}}, in: tensors{words(1 << 17)}},
		{operator: "StringSplit", in: tensors{words(1 << 16)}},
		{operator: "TfIdfVectorizer", attrs: attrs{
			"mode": "TF", "min_gram_length": int64(1), "max_gram_length": int64(1), "max_skip_count": int64(0),
			"ngram_counts": []int64{0}, "ngram_indexes": []int64{0, 1}, "pool_int64s": []int64{1, 2},
		}, in: tensors{numbers}},
		{operator: "Split", outputs: 2, in: tensors{floats(8 * many)}}, {operator: "Squeeze", in: tensors{floats(1, 8*many)}},
		{operator: "TensorScatter", in: tensors{floats(1, 4, many), floats(1, 4, many)}},
		{operator: "Tile", in: tensors{x, opstest.Ints(8)}},
		{operator: "TopK", outputs: 2, in: tensors{floats(1 << 18), opstest.Ints(1 << 17)}},
		{operator: "Transpose", in: tensors{floats(2048, 2048)}}, {operator: "Trilu", in: tensors{floats(2048, 1024)}},
		{operator: "Unique", outputs: 4, in: tensors{floats(1 << 17)}},
		{operator: "Unique", name: "first occurrence", attrs: attrs{"sorted": int64(0)}, outputs: 4, in: tensors{typed(ops.Int32, 1<<18, floats(1<<17))}},
		{operator: "Unique", name: "long entries", attrs: attrs{"axis": int64(0)}, in: tensors{ones(ops.Float32, 3, 1<<20)}},
		{operator: "Unsqueeze", in: tensors{floats(8 * many), opstest.Ints(0)}},
		{operator: "Upsample", in: tensors{floats(1, 1, 512, 512), f32(1, 1, 2, 4)}}, {operator: "Where", in: tensors{flags, x, y}},
	}
	for _, name := range []string{
		"Abs", "Affine", "ParametricSoftplus", "Scale", "ScaledTanh", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Identity",
		"LeakyRelu", "Log", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu",
		// Along the only axis:
		"ArgMax", "ArgMin", "Hardmax", "LogSoftmax", "Softmax",
		"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
	} {
		nodes = append(nodes, longNode{operator: name, in: tensors{x}})
	}
	nodes = append(nodes, longAttentionNodes()...)
	for _, name := range []string{"Add", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mul", "Pow", "Sub"} {
		nodes = append(nodes, longNode{operator: name, in: tensors{x, y}})
	}
	for _, name := range []string{"And", "Or", "Xor"} {
		nodes = append(nodes, longNode{operator: name, in: tensors{flags, flags}})
	}
	nodes = append(nodes, longImageNodes()...)
	return nodes
}

// longAttentionNodes returns long nodes of the operators of transformers.
func longAttentionNodes() []longNode {
	x := floats(1 << 21)
	image := floats(1, 1, 1024, 2048)
	heads, long := floats(1, 1, 64, 64), floats(1, 1, 1<<15, 64)
	double := func(x *ops.Tensor) *ops.Tensor { return typed(ops.Float64, 1, x) }
	return []longNode{
		{operator: "Attention", in: tensors{heads, long, long}},
		{operator: "Attention", name: "one query", attrs: attrs{"softcap": float32(2), "is_causal": int64(1)}, in: tensors{
			floats(1, 1, 1, 8), floats(1, 1, 1<<19, 8), floats(1, 1, 1<<19, 8), nil, floats(1, 1, 1<<19, 8), floats(1, 1, 1<<19, 8),
		}},
		{operator: "Attention", name: "mask and scores", outputs: 4, attrs: attrs{"qk_matmul_output_mode": int64(3)}, in: tensors{heads, long, long, floats(64, 1<<15)}},
		{operator: "Attention", name: "float64", in: tensors{double(heads), double(long), double(long)}},
		{operator: "CausalConvWithState", outputs: 2, attrs: attrs{"activation": "silu"}, in: tensors{floats(1, 1, 1<<19), floats(1, 1, 8), f32(1)}},
		{operator: "Gelu", in: tensors{x}}, {operator: "Gelu", name: "tanh", attrs: attrs{"approximate": "tanh"}, in: tensors{x}},
		{operator: "GroupNormalization", attrs: attrs{"num_groups": int64(1)}, in: tensors{image, f32(1), f32(0)}},
		{operator: "LinearAttention", outputs: 2, attrs: attrs{"q_num_heads": int64(1), "kv_num_heads": int64(1), "update_rule": "delta"}, in: tensors{
			floats(1, 512, 512), floats(1, 512, 512), floats(1, 512, 64), nil, nil, floats(1, 512, 1),
		}},
		{operator: "Mish", in: tensors{x}}, {operator: "Swish", in: tensors{x}},
		{operator: "RMSNormalization", in: tensors{x, x}},
		{operator: "RotaryEmbedding", in: tensors{floats(1, 1, 4096, 512), floats(1, 4096, 256), floats(1, 4096, 256)}},
	}
}

// short lists the operators that do almost no work.
var short = []string{"Constant", "ImageDecoder", "OptionalHasElement", "SequenceEmpty", "SequenceErase", "SequenceLength", "Shape", "Size"}

// TestEveryOperator_ChecksTheContext runs a long node of every operator with one worker. It
// does not cancel it: the time between two checks of the context is the time for which a
// canceled node goes on. The limit is a part of the time that the node takes, so that it
// holds on slow machines too. Something else may delay the test itself, but hardly in each
// of some tries.
func TestEveryOperator_ChecksTheContext(t *testing.T) {
	const (
		tries  = 5
		always = 2 * time.Millisecond // a time between checks that is short enough for any node
	)
	have := map[string]bool{}
	for _, n := range longNodes() {
		have[n.operator] = true
		t.Run(n.operator+" "+n.name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			opset := max(17, versions[n.operator][0])
			switch n.operator {
			case "RegexFullMatch", "StringConcat", "StringSplit":
				opset = 20
			case "Upsample", "Scatter":
				opset = 9
			case "Resize": // antialias
				opset = 18
			case "Split":
				opset = 13
			}
			op, err := find(t, n.operator).New(ops.Node{Name: "n", Opset: opset, Attributes: n.attrs, NumInputs: len(n.in), NumOutputs: max(1, n.outputs)})
			require.NoError(t, err)
			var total, longest time.Duration
			for range tries {
				types, err := op.Infer(inputs(n.in))
				require.NoError(t, err)
				out := make([]*ops.Tensor, len(types))
				for i, o := range types {
					if shape, known := o.Sizes(); known {
						out[i] = ones(o.DType, shape...) // the runtime makes the outputs
					}
				}
				runtime.GC() // not during the measurement
				start := threadTime()
				p := &polled{Context: t.Context(), last: start}
				require.NoError(t, op.Run(&ops.Context{Context: p}, n.in, out))
				_ = p.Err()
				total, longest = p.last-start, p.longest
				if longest <= max(always, total/4) {
					return
				}
			}
			t.Errorf("the node takes %v, and up to %v between two checks of the context", total, longest)
		})
	}
	for _, name := range short {
		have[name] = true
	}
	for _, o := range Operators() {
		require.True(t, have[o.Name], "add a long node of %s to longNodes", o.Name)
	}
}
