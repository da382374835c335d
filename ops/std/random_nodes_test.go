package std

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// nodeGenerator generates random nodes. Most of them are invalid.
type nodeGenerator struct {
	*rand.Rand
	attributes map[string]func() any
}

func newNodeGenerator(seed uint64) *nodeGenerator {
	r := &nodeGenerator{Rand: rand.New(rand.NewPCG(seed, 2))}
	number := func() any { return r.list(1)[0] }
	small := func() any { return int64(r.IntN(4)) }
	list := func() any {
		if r.IntN(8) == 0 {
			return []int64(nil) // an empty list in a file
		}
		return r.list(r.IntN(4))
	}
	fraction := func() any { return []float32{0, 1, -1, 0.5, 2, 1e30, float32(inf), -float32(inf)}[r.IntN(8)] }
	text := func(of ...string) func() any {
		return func() any { return append(of, "x")[r.IntN(len(of)+1)] }
	}
	dtype := func() any { return []int64{1, 6, 7, 9, 11, 2, 0, 10, 99, -1}[r.IntN(10)] }
	r.attributes = map[string]func() any{
		"auto_pad": text("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""),
		"pads": func() any {
			return append([]int64(nil), []int64{r.Int64N(3), r.Int64N(3), r.Int64N(3), r.Int64N(3)}[:r.IntN(3)*2]...)
		},
		"border":                         func() any { return []int64{r.Int64N(2), r.Int64N(2), r.Int64N(3) - 1, 0}[:3+r.IntN(2)] },
		"mode":                           text("constant", "edge", "reflect", "DCR", "CRD", "nearest", "linear", "cubic", "bilinear", "bicubic", "avg", "max"),
		"value":                          func() any { return r.tensor(false) },
		"equation":                       text("ij,jk->ik", "ii->i", "ij->", "...i,...i->...", "ij", "i,i", "", "ij,j", "bij, bjk"),
		"seed":                           fraction,
		"direction":                      text("LEFT", "RIGHT", "forward", "reverse", "bidirectional"),
		"activations":                    func() any { return []string{"Relu", "Tanh", "Sigmoid", "Affine", "y"}[:r.IntN(6)] },
		"reduction":                      text("none", "add", "mul", "max", "min", "sum", "mean"),
		"coordinate_transformation_mode": text("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "output_half_pixel"),
		"nearest_mode":                   text("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
		"padding_mode":                   text("zeros", "border", "reflection"),
		"to":                             dtype, "dtype": dtype, "output_datatype": dtype,
	}
	for _, name := range []string{
		"axes", "kernel_shape", "strides", "dilations", "output_shape", "output_padding", "perm", "split", "shape", "value_ints", "scales", "pooled_shape",
	} {
		r.attributes[name] = list
	}
	for _, name := range []string{
		"axis", "keepdims", "noop_with_empty_axes", "allowzero", "group", "ceil_mode", "storage_order", "batch_dims", "start", "end",
		"k", "largest", "sorted", "select_last_index", "exclusive", "reverse", "p", "upper", "batch_axis", "time_axis", "fmod",
		"detect_negative", "detect_positive", "transA", "transB", "training_mode", "spatial", "sample_size", "size", "ignore_index",
		"center_point_box", "align_corners", "inverse", "onesided", "periodic", "output_height", "output_width", "sampling_ratio",
		"exclude_outside", "value_int",
	} {
		r.attributes[name] = number
	}
	for _, name := range []string{"blocksize", "hidden_size", "layout", "linear_before_reset", "input_forget", "count_include_pad"} {
		r.attributes[name] = small
	}
	for _, name := range []string{
		"alpha", "beta", "gamma", "bias", "lambd", "epsilon", "momentum", "min", "max", "low", "high", "mean", "scale", "ratio", "clip",
		"extrapolation_value", "cubic_coeff_a", "spatial_scale", "value_float",
	} {
		r.attributes[name] = fraction
	}
	return r
}

// list returns n integers, often with special meanings or out of range.
func (r *nodeGenerator) list(n int) []int64 {
	numbers := []int64{0, 1, 1, 1, 2, 2, 3, -1, -2, 5, 1 << 31, 1<<63 - 1, -1 << 63}
	l := make([]int64, n)
	for i := range l {
		l[i] = numbers[r.IntN(len(numbers))]
	}
	return l
}

// tensor returns a random tensor. If broken is set, it may also be nil or have no element
// type.
func (r *nodeGenerator) tensor(broken bool) *ops.Tensor {
	shape := make([]int, r.IntN(6))
	for i := range shape {
		shape[i] = []int{0, 1, 1, 2, 3, 4}[r.IntN(6)]
	}
	switch r.IntN(10) {
	case 0:
		if broken {
			return nil
		}
	case 1:
		if broken {
			return &ops.Tensor{}
		}
	case 2:
		return opstest.Ints(r.list(r.IntN(4))...)
	case 3, 4:
		x, err := ops.Zeros(allTypes[r.IntN(len(allTypes))], shape)
		if err != nil {
			panic(err)
		}
		store(x, 0, 1, r.list(x.Len()))
		return x
	case 5:
		return opstest.Tensor(nil, r.list(1)[0])
	}
	return opstest.Random(r.Uint64(), shape...)
}

// plain returns a tensor of ones that most often has the given type.
func (r *nodeGenerator) plain(dtype ops.DType) *ops.Tensor {
	if r.IntN(3) == 0 {
		dtype = []ops.DType{ops.Int64, ops.Int64, ops.Bool, ops.Float32}[r.IntN(4)]
	}
	return ones(dtype, [][]int{{}, {1}, {1}, {1, 1}, {1, 2}, {1, 1, 1, 1}}[r.IntN(6)]...)
}

// newest is the newest opset.
const newest = 27

// validInputs holds valid inputs for operators that reject almost all random inputs.
var validInputs = map[string][]*ops.Tensor{
	"BatchNormalization":        {ones(ops.Float32, 2, 1, 3), ones(ops.Float32, 1), ones(ops.Float32, 1), ones(ops.Float32, 1), ones(ops.Float32, 1)},
	"ConvTranspose":             {ones(ops.Float32, 1, 2, 3, 3), ones(ops.Float32, 2, 1, 2, 2), ones(ops.Float32, 1)},
	"ConvInteger":               {ones(ops.Uint8, 1, 1, 3, 3), ones(ops.Uint8, 1, 1, 2, 2)},
	"Crop":                      {ones(ops.Float32, 1, 1, 3, 3)},
	"GatherND":                  {ones(ops.Float32, 2, 2, 3), ones(ops.Int64, 2, 2)},
	"GRU":                       {ones(ops.Float32, 2, 1, 3), ones(ops.Float32, 1, 6, 3), ones(ops.Float32, 1, 6, 2), ones(ops.Float32, 1, 12), ones(ops.Int32, 1)},
	"GridSample":                {ones(ops.Float32, 1, 2, 3, 3), ones(ops.Float32, 1, 2, 2, 2)},
	"LSTM":                      {ones(ops.Float32, 2, 1, 3), ones(ops.Float32, 1, 8, 3), ones(ops.Float32, 1, 8, 2), ones(ops.Float32, 1, 16), ones(ops.Int32, 1)},
	"MaxUnpool":                 {ones(ops.Float32, 1, 1, 2, 2), ones(ops.Int64, 1, 1, 2, 2)},
	"NegativeLogLikelihoodLoss": {ones(ops.Float32, 2, 3), ones(ops.Int64, 2), ones(ops.Float32, 3)},
	"NonMaxSuppression":         {ones(ops.Float32, 1, 3, 4), ones(ops.Float32, 1, 2, 3), ones(ops.Int64), ones(ops.Float32), ones(ops.Float32)},
	"OneHot":                    {ones(ops.Int64, 2, 2), ones(ops.Int64), ones(ops.Float32, 2)},
	"Pad":                       {ones(ops.Float32, 3), ones(ops.Int64, 2), ones(ops.Float32)},
	"QLinearConv": {
		ones(ops.Uint8, 1, 1, 3, 3), ones(ops.Float32), ones(ops.Uint8), ones(ops.Uint8, 2, 1, 2, 2), ones(ops.Float32, 2), ones(ops.Uint8, 2),
		ones(ops.Float32), ones(ops.Uint8), ones(ops.Int32, 2),
	},
	"QLinearMatMul": {
		ones(ops.Uint8, 2, 3), ones(ops.Float32), ones(ops.Uint8), ones(ops.Uint8, 3, 2), ones(ops.Float32), ones(ops.Uint8), ones(ops.Float32), ones(ops.Uint8),
	},
	"Resize":                  {ones(ops.Float32, 1, 1, 3, 3), ones(ops.Float32, 8), ones(ops.Float32, 4)},
	"ReverseSequence":         {ones(ops.Float32, 2, 1, 2), ones(ops.Int64, 1)},
	"RNN":                     {ones(ops.Float32, 2, 1, 3), ones(ops.Float32, 1, 2, 3), ones(ops.Float32, 1, 2, 2), ones(ops.Float32, 1, 4), ones(ops.Int32, 1)},
	"RoiAlign":                {ones(ops.Float32, 2, 2, 3, 3), ones(ops.Float32, 1, 4), ones(ops.Int64, 1)},
	"ScatterElements":         {ones(ops.Float32, 3, 3), ones(ops.Int64, 2, 2), ones(ops.Float32, 2, 2)},
	"Scatter":                 {ones(ops.Float32, 3, 3), ones(ops.Int64, 2, 2), ones(ops.Float32, 2, 2)},
	"ScatterND":               {ones(ops.Float32, 3, 2), ones(ops.Int64, 1, 1), ones(ops.Float32, 1, 2)},
	"Slice":                   {ones(ops.Float32, 3, 3), ones(ops.Int64, 1), ones(ops.Int64, 1), ones(ops.Int64, 1), ones(ops.Int64, 1)},
	"SoftmaxCrossEntropyLoss": {ones(ops.Float32, 2, 3, 2), ones(ops.Int64, 2, 2), ones(ops.Float32, 3)},
	"TensorScatter":           {ones(ops.Float32, 2, 3, 2), ones(ops.Float32, 2, 1, 2), ones(ops.Int64, 2)},
	"TopK":                    {ones(ops.Float32, 2, 3), ones(ops.Int64, 1)},
}

// ones returns a tensor of ones.
func ones(dtype ops.DType, shape ...int) *ops.Tensor {
	x, err := ops.Zeros(dtype, shape)
	if err != nil {
		panic(err)
	}
	store(x, 0, 1, slices.Repeat([]int64{1}, x.Len()))
	return x
}

// accepted returns the names of the attributes that an operator accepts.
func (r *nodeGenerator) accepted(o ops.Operator) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.attributes)) {
		for _, opset := range []int{max(8, versions[o.Name][0]), max(17, versions[o.Name][0]), newest} {
			_, err := o.New(ops.Node{Opset: opset, NumInputs: o.MinInputs, Attributes: ops.Attributes{name: r.attributes[name]()}})
			if err == nil || !strings.Contains(err.Error(), "unknown "+name) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// TestRandomNodes_NeverPanic runs random nodes of every operator. The outputs of a node
// that runs must have the inferred types.
func TestRandomNodes_NeverPanic(t *testing.T) {
	r := newNodeGenerator(1)
	pool := parallel.New(2)
	var never []string
	for _, o := range Operators() {
		ran := 0
		names := r.accepted(o)
		for try := 0; try < 300 || ran == 0 && try < 3000; try++ {
			if r.nodeOf(t, o, names, pool) {
				ran++
			}
		}
		if ran == 0 {
			never = append(never, o.Name)
		}
	}
	require.Empty(t, never, "no random node of these operators was valid: add valid inputs to validInputs")
}

// nodeOf runs a random node of an operator and reports whether it succeeded.
func (r *nodeGenerator) nodeOf(t *testing.T, o ops.Operator, names []string, pool *parallel.Pool) bool {
	in := make([]*ops.Tensor, r.IntN(6))
	if r.IntN(4) != 0 { // otherwise few nodes have enough inputs
		in = make([]*ops.Tensor, o.MinInputs+r.IntN(2))
	}
	dtype := allTypes[r.IntN(len(allTypes))]
	plain := r.IntN(2) == 0
	for i := range in {
		in[i] = r.tensor(i > 0)
		if plain { // more likely to be valid
			in[i] = r.plain(dtype)
			if i > 1 && len(in[1].Shape()) == 1 && r.IntN(4) != 0 {
				in[i] = in[1]
			}
		}
		if i > 0 && r.IntN(3) == 0 {
			in[i] = in[r.IntN(i)]
		}
	}
	if e := validInputs[o.Name]; e != nil && r.IntN(2) == 0 {
		in = slices.Clone(e)
		if r.IntN(2) == 0 {
			in[r.IntN(len(in))] = r.tensor(true)
		}
	}
	n := ops.Node{Opset: 1 + r.IntN(newest), NumInputs: len(in), NumOutputs: r.IntN(4)}
	if r.IntN(2) == 0 {
		n.Opset = newest
	}
	var op ops.Op
	for try := 0; op == nil; try++ { // some operators require attributes
		n.Attributes = ops.Attributes{}
		for _, name := range names {
			if r.IntN(3) == 0 {
				n.Attributes[name] = r.attributes[name]()
			}
		}
		var err error
		if op, err = o.New(n); err != nil && try == 20 {
			return false
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	types, inferErr := op.Infer(inputs(in))
	_, _ = op.Infer(partlyKnown(in))
	for _, t := range types {
		if shape, ok := t.Sizes(); ok {
			if n, err := ops.Len(shape); err != nil || n > 1<<20 {
				return false // as the runtime does if memory is limited
			}
		}
	}
	valueless(t, op, &ops.Context{Context: ctx, Pool: pool}, in, inferErr)
	out, err := ops.Run(op, &ops.Context{Context: ctx, Pool: pool}, in)
	if inferErr != nil {
		require.Error(t, err, o.Name)
		return false
	}
	if err != nil {
		return false
	}
	for i, x := range out {
		require.NoError(t, types[i].Check(x), "%s %v", o.Name, n.Attributes)
	}
	return true
}

// valueless runs an op with outputs of the types that are inferred without values,
// as the runtime does. Run must then detect values that do not fit.
func valueless(t *testing.T, op ops.Op, ctx *ops.Context, in []*ops.Tensor, inferErr error) {
	known := inputs(in)
	for _, x := range known {
		if x != nil {
			x.Const = nil
		}
	}
	types, err := op.Infer(known)
	if err != nil {
		return
	}
	out := make([]*ops.Tensor, len(types))
	for i, t := range types {
		shape, ok := t.Sizes()
		if n, err := ops.Len(shape); !ok || err != nil || n > 1<<20 {
			return
		}
		out[i], _ = ops.Zeros(t.DType, shape)
	}
	if err := op.Run(ctx, in, out); err == nil {
		require.NoError(t, inferErr, "%v", op)
	}
}

// partlyKnown returns inputs of which every second one is not constant and has no known
// size.
func partlyKnown(in []*ops.Tensor) []*ops.Input {
	known := inputs(in)
	for i, x := range known {
		if x != nil && i%2 == 0 {
			x.Const = nil
			for d := range x.Shape {
				x.Shape[d] = unknown
			}
		}
	}
	return known
}
