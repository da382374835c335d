package std

import (
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// longImageNodes returns long nodes of the operators of images and signals.
func longImageNodes() []longNode {
	const many = 1 << 21
	scalar := func(v int64) *ops.Tensor { return opstest.Tensor(nil, v) }
	return []longNode{
		{operator: "AffineGrid", in: tensors{floats(1, 2, 3), opstest.Ints(1, 1, 1024, 2048)}},
		{operator: "BlackmanWindow", in: tensors{scalar(many)}}, {operator: "HammingWindow", in: tensors{scalar(many)}}, {operator: "HannWindow", in: tensors{scalar(many)}},
		{operator: "CenterCropPad", in: tensors{floats(1024, 2048), opstest.Ints(1000, 4096)}},
		{operator: "Col2Im", in: tensors{floats(1, 4, 1023*2047), opstest.Ints(1024, 2048), opstest.Ints(2, 2)}},
		{operator: "DFT", in: tensors{floats(1, 1<<18, 1)}},
		{operator: "DFT", name: "prime length", in: tensors{floats(1, 65537, 1)}},
		{operator: "DeformConv", in: tensors{floats(1, 16, 128, 128), floats(16, 16, 3, 3), floats(1, 18, 126, 126)}},
		{operator: "MaxRoiPool", attrs: attrs{"pooled_shape": []int64{2, 2}}, in: tensors{floats(1, 1, 1024, 2048), opstest.F32([]int{1, 5}, 0, 0, 0, 2047, 1023)}},
		{operator: "MelWeightMatrix", in: tensors{scalar(2), scalar(many), scalar(16000), opstest.Tensor(nil, float32(0)), opstest.Tensor(nil, float32(8000))}},
		{operator: "STFT", in: tensors{floats(1, 1<<16, 1), scalar(64), nil, scalar(1024)}},
	}
}
