package std

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestMatrixOperators_ComputeExamples(t *testing.T) {
	a := opstest.F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	b := opstest.F32([]int{3, 2}, 1, 0, 0, 1, 1, 1)
	ab := opstest.F32([]int{2, 2}, 4, 5, 10, 11)
	u8 := func(shape []int, v ...uint8) *ops.Tensor { return opstest.Tensor(shape, v...) }
	runCases(t, []operatorCase{
		{"MatMul", opstest.Case{Inputs: tensors{a, b}, Batch: []int{0}, Outputs: tensors{ab}}},
		{"MatMul", opstest.Case{Name: "vectors", Inputs: tensors{f32(1, 2), f32(3, 4)}, Outputs: tensors{opstest.F32(nil, 11)}}},
		{"MatMul", opstest.Case{Name: "broadcast integers", Inputs: tensors{opstest.I64([]int{2, 1, 2}, 1, 2, 3, 4), opstest.I64([]int{2, 1}, 5, 6)}, Batch: []int{0}, Outputs: tensors{opstest.I64([]int{2, 1, 1}, 17, 39)}}},
		{"MatMul", opstest.Case{Name: "shapes differ", Inputs: tensors{a, a}, WantErr: "A is float32(2, 3), B is float32(2, 3)"}},
		{"Gemm", opstest.Case{Attributes: attrs{"alpha": float32(2), "beta": float32(0.5), "transB": int64(1)}, Inputs: tensors{a, opstest.F32([]int{2, 3}, 1, 0, 1, 0, 1, 1), f32(2, 4)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, 9, 12, 21, 24)}}},
		{"Gemm", opstest.Case{Name: "transA", Attributes: attrs{"transA": int64(1)}, Inputs: tensors{opstest.F64([]int{2, 1}, 1, 2), opstest.F64([]int{2, 1}, 3, 4)}, Outputs: tensors{opstest.F64([]int{1, 1}, 11)}}},
		{"Gemm", opstest.Case{Name: "C does not broadcast", Inputs: tensors{a, b, f32(1, 2, 3)}, WantErr: "C is float32(3)"}},
		{"MatMulInteger", opstest.Case{Inputs: tensors{u8([]int{1, 2}, 3, 4), u8([]int{2, 1}, 5, 6), u8(nil, 1), u8([]int{1}, 2)}, Outputs: tensors{opstest.I32([]int{1, 1}, 18)}}},
		{"QLinearMatMul", opstest.Case{
			Inputs:  tensors{u8([]int{1, 2}, 3, 4), opstest.F32(nil, 0.5), u8(nil, 1), u8([]int{2, 1}, 5, 6), opstest.F32(nil, 1), u8(nil, 2), opstest.F32(nil, 2), u8(nil, 10)},
			Outputs: tensors{u8([]int{1, 1}, 14)}, // 18 * 0.25 = 4.5, rounded to 4, plus 10
		}},
		{"Einsum", opstest.Case{Attributes: attrs{"equation": "ij, jk -> ik"}, Inputs: tensors{a, b}, Batch: []int{0}, Outputs: tensors{ab}}},
		{"Einsum", opstest.Case{Name: "diagonal", Attributes: attrs{"equation": "...ii->...i"}, Inputs: tensors{opstest.I64([]int{1, 2, 2}, 1, 2, 3, 4)}, Outputs: tensors{opstest.I64([]int{1, 2}, 1, 4)}}},
		{"Einsum", opstest.Case{Name: "five operands", Attributes: attrs{"equation": "i,i,i,i,i->"}, Inputs: tensors{f32(1, 2), f32(1, 2), f32(1, 2), f32(1, 2), f32(1, 2)}, Outputs: tensors{opstest.F32(nil, 33)}}},
		{"Einsum", opstest.Case{Name: "sums of no products", Attributes: attrs{"equation": "ij->i"}, Inputs: tensors{opstest.F32([]int{2, 0})}, Batch: []int{0}, Outputs: tensors{f32(0, 0)}}},
		{"Einsum", opstest.Case{Name: "implicit output in alphabetical order", Attributes: attrs{"equation": "ba"}, Inputs: tensors{opstest.I64([]int{1, 2}, 3, 4)}, Outputs: tensors{opstest.I64([]int{2, 1}, 3, 4)}}},
		{"Einsum", opstest.Case{Name: "label sizes differ", Attributes: attrs{"equation": "ij,ij->"}, Inputs: tensors{a, b}, WantErr: "has size 2 and size 3"}},
		{"Einsum", opstest.Case{Name: "unknown output label", Attributes: attrs{"equation": "i->j"}, Inputs: tensors{f32(1)}, WantErr: "equation"}},
		{"Det", opstest.Case{Inputs: tensors{opstest.F32([]int{2, 2, 2}, 0, 2, 3, 4, 1, 2, 2, 4)}, Batch: []int{0}, Outputs: tensors{f32(-6, 0)}}},
	})
}

func TestConvolutionsAndPools_ComputeExamples(t *testing.T) {
	x := opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)
	u8 := func(shape []int, v ...uint8) *ops.Tensor { return opstest.Tensor(shape, v...) }
	u := u8([]int{1, 1, 2, 2}, 1, 2, 3, 4)
	pooled := attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}}
	runCases(t, []operatorCase{
		{"Conv", opstest.Case{Name: "three spatial axes", Inputs: tensors{opstest.F32([]int{2, 1, 1, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8), opstest.F32([]int{1, 1, 1, 1, 2}, 1, 10), f32(100)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 1, 2, 1}, 121, 143, 165, 187)}}},
		{"Conv", opstest.Case{Name: "float64, strides and pads", Attributes: attrs{"strides": []int64{2}, "pads": []int64{1, 1}, "group": int64(2)}, Inputs: tensors{opstest.F64([]int{1, 2, 3}, 1, 2, 3, 4, 5, 6), opstest.F64([]int{2, 1, 2}, 1, 1, 1, -1)}, Outputs: tensors{opstest.F64([]int{1, 2, 2}, 1, 5, -4, -1)}}},
		{"ConvTranspose", opstest.Case{Inputs: tensors{x, constantTensor(1, 1, 1, 2, 2), f32(1)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 3, 3}, 2, 4, 3, 5, 11, 7, 4, 8, 5)}}},
		{"ConvTranspose", opstest.Case{Name: "groups and strides", Attributes: attrs{"group": int64(2), "strides": []int64{2}, "output_padding": []int64{1}}, Inputs: tensors{opstest.F32([]int{1, 2, 2}, 1, 2, 3, 4), opstest.F32([]int{2, 1, 1}, 10, 100)}, Outputs: tensors{opstest.F32([]int{1, 2, 4}, 10, 0, 20, 0, 300, 0, 400, 0)}}},
		{"ConvTranspose", opstest.Case{Name: "output_shape", Attributes: attrs{"output_shape": []int64{2, 2}}, Inputs: tensors{x, constantTensor(1, 1, 1, 2, 2)}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 2}, 10, 6, 7, 4)}}},
		{"ConvTranspose", opstest.Case{Name: "output_shape with images and channels", Attributes: attrs{"output_shape": []int64{1, 1, 2, 2}}, Inputs: tensors{x, constantTensor(1, 1, 1, 2, 2)}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 2}, 10, 6, 7, 4)}}},
		{"ConvTranspose", opstest.Case{Name: "auto_pad SAME_UPPER", Attributes: attrs{"auto_pad": "SAME_UPPER"}, Inputs: tensors{x, constantTensor(1, 1, 1, 2, 2)}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 2}, 1, 3, 4, 10)}}},
		{"ConvTranspose", opstest.Case{Name: "three sizes in output_shape", Attributes: attrs{"output_shape": []int64{2, 2, 2}}, Inputs: tensors{x, constantTensor(1, 1, 1, 2, 2)}, WantErr: "the length of output_shape [2 2 2] is 3, want 2 or 4"}},
		{"ConvTranspose", opstest.Case{Name: "one output_padding", Attributes: attrs{"output_padding": []int64{1}}, Inputs: tensors{x, constantTensor(1, 1, 1, 2, 2)}, WantErr: "the length of output_padding [1] is 1, want 2"}},
		{"ConvTranspose", opstest.Case{Name: "three strides", Attributes: attrs{"strides": []int64{1, 1, 1}}, Inputs: tensors{x, constantTensor(1, 1, 1, 2, 2)}, WantErr: "the length of strides [1 1 1] is 3, want 2"}},
		{"ConvTranspose", opstest.Case{Name: "weights of size 0", Inputs: tensors{x, constantTensor(1, 1, 1, 0, 2)}, WantErr: "W has a spatial size of 0"}},
		{"ConvTranspose", opstest.Case{Name: "channels differ", Inputs: tensors{x, constantTensor(1, 2, 1, 2, 2)}, WantErr: "X is float32(1, 1, 2, 2), W is float32(2, 1, 2, 2)"}},
		{"ConvInteger", opstest.Case{Inputs: tensors{u, u8([]int{1, 1, 1, 1}, 5), u8(nil, 1)}, Batch: []int{0}, Outputs: tensors{opstest.I32([]int{1, 1, 2, 2}, 0, 5, 10, 15)}}},
		{"QLinearConv", opstest.Case{
			Inputs:  tensors{u, opstest.F32(nil, 1), u8(nil, 1), u8([]int{1, 1, 1, 1}, 5), opstest.F32(nil, 1), u8(nil, 0), opstest.F32(nil, 5), u8(nil, 2), opstest.I32([]int{1}, 5)},
			Outputs: tensors{u8([]int{1, 1, 2, 2}, 3, 4, 5, 6)},
		}},
		{"MaxPool", opstest.Case{Name: "second output", Attributes: pooled, Inputs: tensors{opstest.F32([]int{1, 2, 2, 2}, 1, 2, 3, 0, 9, 2, 3, 4)}, Outputs: tensors{opstest.F32([]int{1, 2, 1, 1}, 3, 9), opstest.I64([]int{1, 2, 1, 1}, 2, 4)}}},
		{"MaxPool", opstest.Case{Name: "three spatial axes", Attributes: attrs{"kernel_shape": []int64{1, 2, 2}}, Inputs: tensors{opstest.F32([]int{2, 1, 1, 2, 2}, 1, 2, 3, 4, 8, 7, 6, 5)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 1, 1, 1}, 4, 8)}}},
		{"AveragePool", opstest.Case{Name: "three spatial axes", Attributes: attrs{"kernel_shape": []int64{1, 1, 2}, "pads": []int64{0, 0, 1, 0, 0, 0}, "count_include_pad": int64(1)}, Inputs: tensors{opstest.F32([]int{1, 1, 1, 1, 2}, 2, 4)}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 1, 2}, 1, 3)}}},
		{"LpPool", opstest.Case{Attributes: attrs{"kernel_shape": []int64{1, 2}}, Inputs: tensors{opstest.F32([]int{1, 1, 1, 2}, 3, 4)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 5)}}},
		{"MaxUnpool", opstest.Case{Attributes: pooled, Inputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 7), opstest.I64([]int{1, 1, 1, 1}, 2)}, Outputs: tensors{opstest.F32([]int{1, 1, 2, 2}, 0, 0, 7, 0)}}},
		{"MaxUnpool", opstest.Case{Name: "output_shape", Attributes: pooled, Inputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 7), opstest.I64([]int{1, 1, 1, 1}, 2), opstest.Ints(1, 1, 3, 3)}, Constants: []int{2}, Outputs: tensors{opstest.F32([]int{1, 1, 3, 3}, 0, 0, 0, 7, 0, 0, 0, 0, 0)}}},
		{"MaxUnpool", opstest.Case{Name: "output_shape too small", Attributes: pooled, Inputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 7), opstest.I64([]int{1, 1, 1, 1}, 2), opstest.Ints(1, 1, 1, 3)}, Constants: []int{2}, WantErr: "output_shape [1 1 1 3] is too small for X"}},
		{"MaxUnpool", opstest.Case{Name: "kernel_shape missing", Inputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 7), opstest.I64([]int{1, 1, 1, 1}, 2)}, WantErr: "kernel_shape is missing"}},
		{"MaxUnpool", opstest.Case{Name: "index out of range", Attributes: pooled, Inputs: tensors{opstest.F32([]int{1, 1, 1, 1}, 7), opstest.I64([]int{1, 1, 1, 1}, 4)}, WantRunErr: "index 4 in I is out of range"}},
	})
}

func TestNormalizations_ComputeExamples(t *testing.T) {
	x := opstest.F32([]int{2, 2, 2}, 1, 3, 2, 2, 5, 7, 0, 4)
	exact := attrs{"epsilon": float32(0)}
	runCases(t, []operatorCase{
		{"BatchNormalization", opstest.Case{Attributes: exact, Inputs: tensors{x, f32(1, 2), f32(0, 1), f32(1, 2), f32(1, 4)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2, 2}, 0, 2, 1, 1, 4, 6, -1, 3)}}},
		{"BatchNormalization", opstest.Case{Name: "training mode", Attributes: attrs{"training_mode": int64(1), "momentum": float32(0.5)}, Inputs: tensors{x, f32(0, 0), f32(1, 2), f32(0, 0), f32(1, 1)}, Outputs: tensors{opstest.F32([]int{2, 2, 2}, 1, 1, 2, 2, 1, 1, 2, 2), f32(2, 1), f32(3, 1.5)}}},
		{"InstanceNormalization", opstest.Case{Attributes: exact, Inputs: tensors{opstest.F32([]int{2, 1, 2}, 1, 3, 0, 8), f32(2), f32(1)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 2}, -1, 3, -1, 3)}}},
		{"LayerNormalization", opstest.Case{Attributes: exact, Inputs: tensors{opstest.F32([]int{2, 2}, 1, 3, 0, 8), f32(1, 2), f32(0, 1)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, -1, 3, -1, 3), opstest.F32([]int{2, 1}, 2, 4), opstest.F32([]int{2, 1}, 1, 0.25)}}},
		{"LRN", opstest.Case{Attributes: attrs{"size": int64(3), "alpha": float32(3), "beta": float32(1)}, Inputs: tensors{opstest.F32([]int{1, 3}, 1, 2, 3)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 3}, 1./6, 2./15, 3./14)}, Tolerance: 1e-6}},
		{"MeanVarianceNormalization", opstest.Case{Attributes: attrs{"axes": []int64{-1}}, Inputs: tensors{opstest.F32([]int{2, 2}, 1, 3, 0, 8)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, -1, 1, -1, 1)}, Tolerance: 1e-6}},
	})
}

func TestQuantization_ComputesExamples(t *testing.T) {
	u8 := func(shape []int, v ...uint8) *ops.Tensor { return opstest.Tensor(shape, v...) }
	runCases(t, []operatorCase{
		{"QuantizeLinear", opstest.Case{Inputs: tensors{f32(0, 2, 3, 1000, -254), opstest.F32(nil, 2), u8(nil, 128)}, Batch: []int{0}, Outputs: tensors{u8([]int{5}, 128, 129, 130, 255, 1)}}},
		{"QuantizeLinear", opstest.Case{Name: "scale per entry of an axis", Attributes: attrs{"axis": int64(0)}, Inputs: tensors{f32(4, 4), f32(2, 4)}, Outputs: tensors{u8([]int{2}, 2, 1)}}},
		{"DequantizeLinear", opstest.Case{Inputs: tensors{u8([]int{2}, 0, 130), opstest.F32(nil, 2), u8(nil, 128)}, Outputs: tensors{f32(-256, 4)}}},
		{"DequantizeLinear", opstest.Case{Name: "zero point of another type", Inputs: tensors{u8([]int{2}, 0, 130), opstest.F32(nil, 2), opstest.Tensor(nil, int8(1))}, WantErr: "zero_point is int8()"}},
		{"DynamicQuantizeLinear", opstest.Case{Inputs: tensors{f32(0, 255, 51)}, Outputs: tensors{u8([]int{3}, 0, 255, 51), opstest.F32(nil, 1), u8(nil, 0)}}},
	})
}

func TestLosses_ComputeExamples(t *testing.T) {
	half := float32(math.Ln2)
	ignored := attrs{"ignore_index": int64(1), "reduction": "sum"}
	runCases(t, []operatorCase{
		{"NegativeLogLikelihoodLoss", opstest.Case{Attributes: attrs{"reduction": "none"}, Inputs: tensors{opstest.F32([]int{2, 2}, -1, -2, -3, -4), opstest.Ints(1, 0), f32(1, 10)}, Batch: []int{0, 1}, Outputs: tensors{f32(20, 3)}}},
		{"NegativeLogLikelihoodLoss", opstest.Case{Name: "mean", Inputs: tensors{opstest.F32([]int{2, 2}, -1, -2, -3, -4), opstest.Ints(1, 0), f32(1, 3)}, Outputs: tensors{opstest.F32(nil, 2.25)}}},
		{"NegativeLogLikelihoodLoss", opstest.Case{Name: "class out of range", Inputs: tensors{opstest.F32([]int{1, 2}, -1, -2), opstest.Ints(2)}, WantRunErr: "class 2 is out of range: the number of classes is 2"}},
		{"SoftmaxCrossEntropyLoss", opstest.Case{Attributes: ignored, Inputs: tensors{opstest.F32([]int{2, 2}, 0, 0, 0, 0), opstest.Ints(1, 0)}, Outputs: tensors{opstest.F32(nil, half), opstest.F32([]int{2, 2}, -half, -half, -half, -half)}, Tolerance: 1e-6}},
	})
}

func TestRecurrentOperators_ComputeExamples(t *testing.T) {
	x := opstest.F32([]int{2, 1, 1}, 1, 2)
	line := attrs{"activations": []string{"Affine"}, "direction": "reverse"}
	// For the input 0, Sigmoid is 0.5 and Tanh is 0.
	zero := func(shape ...int) *ops.Tensor { return constantTensor(0, shape...) }
	runCases(t, []operatorCase{
		{"RNN", opstest.Case{Attributes: line, Inputs: tensors{x, constantTensor(10, 1, 1, 1), constantTensor(0.5, 1, 1, 1), opstest.F32([]int{1, 2}, 1, 2)}, Outputs: tensors{opstest.F32([]int{2, 1, 1, 1}, 24.5, 23), constantTensor(24.5, 1, 1, 1)}}},
		{"RNN", opstest.Case{Name: "sequence lengths", Attributes: attrs{"layout": int64(1), "activations": []string{"Relu"}}, Inputs: tensors{opstest.F32([]int{2, 2, 1}, 1, 2, 3, 4), constantTensor(1, 1, 1, 1), constantTensor(1, 1, 1, 1), nil, opstest.I32([]int{2}, 1, 2)}, Batch: []int{0, 4}, Outputs: tensors{opstest.F32([]int{2, 2, 1, 1}, 1, 0, 3, 7), opstest.F32([]int{2, 1, 1}, 1, 7)}}},
		{"GRU", opstest.Case{Inputs: tensors{x, zero(1, 3, 1), zero(1, 3, 1), nil, nil, constantTensor(8, 1, 1, 1)}, Outputs: tensors{opstest.F32([]int{2, 1, 1, 1}, 4, 2), constantTensor(2, 1, 1, 1)}}},
		{"LSTM", opstest.Case{Tolerance: 1e-6, Inputs: tensors{x, zero(1, 4, 1), zero(1, 4, 1), nil, nil, nil, constantTensor(8, 1, 1, 1)}, Outputs: tensors{opstest.F32([]int{2, 1, 1, 1}, float32(math.Tanh(4)/2), float32(math.Tanh(2)/2)), constantTensor(float32(math.Tanh(2)/2), 1, 1, 1), constantTensor(2, 1, 1, 1)}}},
		{"LSTM", opstest.Case{Name: "wrong shape of W", Inputs: tensors{x, zero(1, 3, 1), zero(1, 4, 1)}, WantErr: "input 1 is float32(1, 3, 1), want float32(1, 4, 1)"}},
	})
}

func TestDropout_ReturnsMask(t *testing.T) {
	x := f32(1, 2)
	runCases(t, []operatorCase{
		{"Dropout", opstest.Case{Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{x, bools(true, true)}}},
		{"Dropout", opstest.Case{Name: "typed mask", Opset: 7, Attributes: attrs{"ratio": float32(0.9)}, Inputs: tensors{x}, Outputs: tensors{x, f32(1, 1)}}},
		{"Dropout", opstest.Case{Name: "ratio 1", Inputs: tensors{x, opstest.F32(nil, 1), opstest.Tensor(nil, true)}, WantRunErr: "ratio 1 is not in [0, 1)"}},
	})
}

// TestRandomOperators_FollowDistributionAndSeeds checks the moments of random numbers, that
// the numbers are a function of the seeds and the index of the image, and that nodes
// without a seed draw different numbers.
func TestRandomOperators_FollowDistributionAndSeeds(t *testing.T) {
	draw := func(o string, a ops.Attributes, name string, c ops.Context, in ...*ops.Tensor) []float32 {
		op, err := find(t, o).New(ops.Node{Name: name, Opset: 17, Attributes: a, NumInputs: len(in)})
		require.NoError(t, err)
		c.Context, c.Pool = t.Context(), parallel.New(3)
		out, err := ops.Run(op, &c, in)
		require.NoError(t, err)
		v := make([]float32, out[0].Len())
		for i, x := range elementsOf[float64](&temporary{ctx: &c}, out[0]) {
			v[i] = float32(x)
		}
		return v
	}
	moments := func(v []float32) (mean, variance float64) {
		w := make([]float64, len(v))
		for i, x := range v {
			w[i] = float64(x)
		}
		mean, variance, err := meanVariance(t.Context(), w)
		require.NoError(t, err)
		return mean, variance
	}
	many := opstest.F32([]int{4, 5000}, make([]float32, 20000)...)
	for _, c := range []struct {
		operator       string
		attributes     ops.Attributes
		in             tensors
		mean, variance float64
	}{
		{"RandomUniform", attrs{"shape": []int64{20000}, "low": float32(2), "high": float32(4)}, nil, 3, 1. / 3},
		{"RandomNormal", attrs{"shape": []int64{20000}, "mean": float32(-1), "scale": float32(2)}, nil, -1, 4},
		{"RandomUniformLike", nil, tensors{many}, 0.5, 1. / 12},
		{"RandomNormalLike", nil, tensors{many}, 0, 1},
		{"Bernoulli", nil, tensors{constantTensor(0.25, 4, 5000)}, 0.25, 0.1875},
		{"Multinomial", attrs{"sample_size": int64(5000)}, tensors{opstest.F32([]int{1, 3}, 0, float32(math.Log(2)), -1000)}, 2. / 3, 2. / 9},
		{"Dropout", nil, tensors{constantTensor(1, 4, 5000), opstest.F32(nil, 0.5), opstest.Tensor(nil, true)}, 1, 1},
	} {
		t.Run(c.operator, func(t *testing.T) {
			base := draw(c.operator, c.attributes, "a", ops.Context{}, c.in...)
			mean, variance := moments(base)
			require.InDelta(t, c.mean, mean, 0.05)
			require.InDelta(t, c.variance, variance, 0.05*max(1, c.variance))
			require.Equal(t, base, draw(c.operator, c.attributes, "a", ops.Context{}, c.in...))
			require.NotEqual(t, base, draw(c.operator, c.attributes, "b", ops.Context{}, c.in...), "another node")
			require.NotEqual(t, base, draw(c.operator, c.attributes, "a", ops.Context{Seed: 1}, c.in...), "another run")
			if len(c.in) == 0 || c.operator == "Multinomial" {
				return
			}
			part := withoutFirstImages(c.in, 1)
			require.Equal(t, base[5000:], draw(c.operator, c.attributes, "a", ops.Context{FirstImage: 1}, part...), "images 1 to 3")
		})
	}
}

// withoutFirstImages returns the inputs without the first n images.
func withoutFirstImages(in tensors, n int) tensors {
	first := in[0]
	shape := []int{first.Shape()[0] - n, first.Shape()[1]}
	rest := opstest.F32(shape, first.Float32s()[n*shape[1]:]...)
	return append(tensors{rest}, in[1:]...)
}
