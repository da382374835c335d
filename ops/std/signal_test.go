package std

import (
	"math"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestSignalOperators_ComputeExamples(t *testing.T) {
	scalar := func(v int64) *ops.Tensor { return opstest.Tensor(nil, v) }
	float := func(v float32) *ops.Tensor { return opstest.Tensor(nil, v) }
	onesided := attrs{"onesided": int64(1)}
	inverse := attrs{"inverse": int64(1)}
	both := attrs{"inverse": int64(1), "onesided": int64(1)}
	symmetric := attrs{"periodic": int64(0)}
	signal := opstest.F32([]int{1, 4, 1}, 1, 2, 3, 4)
	transform := opstest.F32([]int{1, 4, 2}, 10, 0, -2, 2, -2, 0, -2, -2)
	half := opstest.F32([]int{1, 3, 2}, 10, 0, -2, 2, -2, 0)
	mel := func(bins, length int64, low, high float32) tensors {
		return tensors{scalar(bins), scalar(length), scalar(800), float(low), float(high)}
	}
	runCases(t, []operatorCase{
		{"DFT", opstest.Case{Opset: 17, Inputs: tensors{signal}, Batch: []int{0}, Outputs: tensors{transform}, Tolerance: 1e-6}},
		{"DFT", opstest.Case{Name: "inverse", Opset: 20, Attributes: inverse, Inputs: tensors{transform}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 4, 2}, 1, 0, 2, 0, 3, 0, 4, 0)}, Tolerance: 1e-6}},
		{"DFT", opstest.Case{Name: "onesided", Opset: 20, Attributes: onesided, Inputs: tensors{signal}, Outputs: tensors{half}, Tolerance: 1e-6}},
		{"DFT", opstest.Case{Name: "onesided inverse", Opset: 20, Attributes: both, Inputs: tensors{half}, Outputs: tensors{signal}, Tolerance: 1e-6}},
		{"DFT", opstest.Case{Name: "onesided inverse, odd length", Opset: 20, Attributes: both, Inputs: tensors{opstest.F32([]int{2, 2}, 6, 5, -1.5, 0.8660254), scalar(3)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{3, 1}, 1, 2, 3)}, Tolerance: 1e-6}},
		{"DFT", opstest.Case{Name: "longer, other axis", Opset: 20, Inputs: tensors{opstest.F64([]int{2, 2, 1}, 1, 5, 1, -5), scalar(4), scalar(0)}, Constants: []int{1, 2}, Outputs: tensors{opstest.F64([]int{4, 2, 2}, 2, 0, 0, 0, 1, -1, 5, 5, 0, 0, 10, 0, 1, 1, 5, -5)}, Tolerance: 1e-12}},
		{"DFT", opstest.Case{Name: "shorter", Opset: 17, Inputs: tensors{signal, scalar(2)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{1, 2, 2}, 3, 0, -1, 0)}}},
		{"DFT", opstest.Case{Name: "axis of the parts", Opset: 20, Inputs: tensors{signal, nil, scalar(-1)}, Constants: []int{2}, WantErr: "axis -1 is the last dimension"}},
		{"DFT", opstest.Case{Name: "onesided, complex", Opset: 20, Attributes: onesided, Inputs: tensors{transform}, WantErr: "with onesided its last dimension must be 1"}},
		{"DFT", opstest.Case{Name: "length 0", Opset: 20, Inputs: tensors{signal, scalar(0)}, Constants: []int{1}, WantErr: "dft_length is 0"}},
		{"STFT", opstest.Case{Inputs: tensors{signal, scalar(1), nil, scalar(2)}, Constants: []int{1, 3}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{1, 3, 2, 2}, 3, 0, -1, 0, 5, 0, -1, 0, 7, 0, -1, 0)}}},
		{"STFT", opstest.Case{Name: "window, complex", Attributes: attrs{"onesided": int64(0)}, Inputs: tensors{opstest.F32([]int{1, 3, 2}, 1, 1, 2, 0, 3, 3), scalar(1), f32(1, 2)}, Constants: []int{1}, Outputs: tensors{opstest.F32([]int{1, 2, 2, 2}, 5, 1, -3, 1, 8, 6, -4, -6)}}},
		{"STFT", opstest.Case{Name: "signal too short", Inputs: tensors{signal, scalar(1), nil, scalar(5)}, Constants: []int{1, 3}, WantErr: "shorter than frame_length 5"}},
		{"STFT", opstest.Case{Name: "no length", Inputs: tensors{signal, scalar(1)}, Constants: []int{1}, WantErr: "want a window or frame_length"}},
		{"HannWindow", opstest.Case{Inputs: tensors{scalar(4)}, Constants: []int{0}, Outputs: tensors{f32(0, 0.5, 1, 0.5)}, Tolerance: 1e-7}},
		{"HannWindow", opstest.Case{Name: "symmetric", Attributes: symmetric, Inputs: tensors{scalar(3)}, Constants: []int{0}, Outputs: tensors{f32(0, 1, 0)}, Tolerance: 1e-7}},
		{"HannWindow", opstest.Case{Name: "length 1", Attributes: symmetric, Inputs: tensors{scalar(1)}, Constants: []int{0}, Outputs: tensors{f32(1)}}},
		{"HammingWindow", opstest.Case{Attributes: attrs{"output_datatype": int64(ops.Float64)}, Inputs: tensors{scalar(2)}, Constants: []int{0}, Outputs: tensors{opstest.F64([]int{2}, 4./46, 1)}, Tolerance: 1e-12}},
		{"BlackmanWindow", opstest.Case{Inputs: tensors{scalar(4)}, Constants: []int{0}, Outputs: tensors{f32(0, 0.34, 1, 0.34)}, Tolerance: 1e-7}},
		{"BlackmanWindow", opstest.Case{Name: "negative size", Inputs: tensors{scalar(-1)}, Constants: []int{0}, WantErr: "size is -1"}},
		{"MelWeightMatrix", opstest.Case{Inputs: mel(1, 8, 0, 400), Constants: []int{0, 1}, Outputs: tensors{opstest.F32([]int{5, 1}, 0, 1, 0, 0, 0)}}},
		{"MelWeightMatrix", opstest.Case{Name: "edge beyond the spectrum", Inputs: mel(1, 8, 0, 4000), Constants: []int{0, 1}, WantRunErr: "do not fit 5 rows"}},
	})
}

func TestCosineWindow_IsAccurate(t *testing.T) {
	const size = 1000
	op, err := find(t, "HannWindow").New(ops.Node{Opset: 17, NumInputs: 1, Attributes: attrs{"output_datatype": int64(ops.Float64)}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := ops.Run(op, &ops.Context{}, tensors{opstest.Ints(size)})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := ops.Data[float64](out[0])
	for i := range v {
		s := math.Sin(math.Pi * float64(i) / size)
		if math.Abs(v[i]-s*s) > 1e-15 {
			t.Fatalf("element %d is %v, want %v", i, v[i], s*s)
		}
	}
}
