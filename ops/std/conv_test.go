package std

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestConv_ComputesExamples(t *testing.T) {
	x := opstest.F32([]int{1, 1, 3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	w := opstest.F32([]int{1, 1, 2, 2}, 1, 10, 100, 1000)
	diagonal := opstest.F32([]int{1, 1, 2, 2}, 1, 0, 0, 1)
	opstest.Run(t, find(t, "Conv"), []opstest.Case{
		{
			Name:    "no padding",
			Inputs:  []*ops.Tensor{x, w},
			Batch:   []int{0},
			Outputs: []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, 5421, 6532, 8754, 9865)},
		}, {
			Name:       "bias and uneven padding",
			Attributes: ops.Attributes{"pads": []int64{1, 0, 0, 2}, "kernel_shape": []int64{2, 2}},
			Inputs:     []*ops.Tensor{x, diagonal, opstest.F32([]int{1}, 0.5)},
			Batch:      []int{0},
			Outputs: []*ops.Tensor{opstest.F32([]int{1, 1, 3, 4},
				2.5, 3.5, 0.5, 0.5, 6.5, 8.5, 3.5, 0.5, 12.5, 14.5, 6.5, 0.5)},
		}, {
			Name:       "auto_pad SAME_UPPER",
			Attributes: ops.Attributes{"auto_pad": "SAME_UPPER"},
			Inputs:     []*ops.Tensor{x, diagonal},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 3, 3}, 6, 8, 3, 12, 14, 6, 7, 8, 9)},
		}, {
			Name:       "auto_pad SAME_LOWER",
			Attributes: ops.Attributes{"auto_pad": "SAME_LOWER"},
			Inputs:     []*ops.Tensor{x, diagonal},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 3, 3}, 1, 2, 3, 4, 6, 8, 7, 12, 14)},
		}, {
			Name:       "auto_pad SAME_UPPER with strides",
			Attributes: ops.Attributes{"auto_pad": "SAME_UPPER", "strides": []int64{2, 2}},
			Inputs:     []*ops.Tensor{x, diagonal},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2, 2}, 6, 3, 7, 9)},
		}, {
			Name:       "auto_pad VALID with strides",
			Attributes: ops.Attributes{"auto_pad": "VALID", "strides": []int64{2, 1}},
			Inputs:     []*ops.Tensor{x, diagonal},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 1, 2}, 6, 8)},
		}, {
			Name:       "dilations",
			Attributes: ops.Attributes{"dilations": []int64{2, 1}},
			Inputs:     []*ops.Tensor{x, diagonal},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 1, 2}, 9, 11)},
		}, {
			Name:       "groups",
			Attributes: ops.Attributes{"group": int64(2)},
			Inputs:     []*ops.Tensor{opstest.F32([]int{1, 2, 1, 2}, 1, 2, 3, 4), opstest.F32([]int{4, 1, 1, 1}, 1, 2, 3, 4), nil},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 4, 1, 2}, 1, 2, 2, 4, 9, 12, 12, 16)},
		}, {
			Name:       "one spatial axis",
			Attributes: ops.Attributes{"pads": []int64{1, 0}, "strides": []int64{2}},
			Inputs:     []*ops.Tensor{opstest.F32([]int{1, 2, 4}, 1, 2, 3, 4, 10, 20, 30, 40), opstest.F32([]int{1, 2, 2}, 1, 2, 1, 1)},
			Outputs:    []*ops.Tensor{opstest.F32([]int{1, 1, 2}, 12, 58)},
		}, {
			Name:    "no images",
			Inputs:  []*ops.Tensor{opstest.F32([]int{0, 1, 3, 3}), w},
			Batch:   []int{0},
			Outputs: []*ops.Tensor{opstest.F32([]int{0, 1, 2, 2})},
		}, {
			Name:    "no channels",
			Inputs:  []*ops.Tensor{opstest.F32([]int{1, 0, 1, 1}), opstest.F32([]int{2, 0, 1, 1}), opstest.F32([]int{2}, 1, 2)},
			Outputs: []*ops.Tensor{opstest.F32([]int{1, 2, 1, 1}, 1, 2)},
		},
		{Name: "types differ", Inputs: []*ops.Tensor{x, opstest.F64([]int{1, 1, 1, 1}, 1)}, WantErr: "X is float32(1, 1, 3, 3) but W is float64(1, 1, 1, 1)"},
		{Name: "X is a vector", Inputs: []*ops.Tensor{opstest.F32([]int{1}, 1), w}, WantErr: "X is float32(1), want at least 3 dimensions"},
		{Name: "ranks differ", Inputs: []*ops.Tensor{x, opstest.F32([]int{1, 1, 1}, 1)}, WantErr: "X is float32(1, 1, 3, 3) but W is float32(1, 1, 1)"},
		{Name: "channels differ", Inputs: []*ops.Tensor{x, opstest.F32([]int{1, 2, 1, 1}, 1, 1)}, WantErr: "with channels 1, but W is float32(1, 2, 1, 1)"},
		{Name: "bias of wrong length", Inputs: []*ops.Tensor{x, w, opstest.F32([]int{2}, 1, 1)}, WantErr: "W is float32(1, 1, 2, 2) but B is float32(2)"},
		{Name: "scalar bias", Inputs: []*ops.Tensor{x, w, opstest.F32(nil, 1)}, WantErr: "but B is float32()"},
		{Name: "image smaller than the window", Inputs: []*ops.Tensor{opstest.F32([]int{1, 1, 1, 2}, 1, 2), w}, WantErr: "a window of 2 pixels does not fit into an image of size 1"},
		{Name: "weights of size 0", Inputs: []*ops.Tensor{x, opstest.F32([]int{1, 1, 0, 1})}, WantErr: "W has a spatial size of 0"},
		{Name: "filters not a multiple of groups", Attributes: ops.Attributes{"group": int64(2)}, Inputs: []*ops.Tensor{opstest.Random(1, 1, 2, 3, 3), opstest.Random(1, 3, 1, 1, 1)}, WantErr: "the number of filters, 3, is not a multiple of group, 2"},
		{Name: "kernel_shape differs from W", Attributes: ops.Attributes{"kernel_shape": []int64{2, 3}}, Inputs: []*ops.Tensor{x, w}, WantErr: "kernel_shape [2 3] is not the kernel shape of W"},
		{Name: "group 0", Attributes: ops.Attributes{"group": int64(0)}, Inputs: []*ops.Tensor{x, w}, WantErr: "group 0"},
		{Name: "stride 0", Attributes: ops.Attributes{"strides": []int64{0, 1}}, Inputs: []*ops.Tensor{x, w}, WantErr: "strides [0 1]"},
		{Name: "three strides", Attributes: ops.Attributes{"strides": []int64{1, 1, 1}}, Inputs: []*ops.Tensor{x, w}, WantErr: "the length of strides [1 1 1] is 3, want 2 (spatial axes: 2)"},
		{Name: "negative pads", Attributes: ops.Attributes{"pads": []int64{0, 0, -1, 0}}, Inputs: []*ops.Tensor{x, w}, WantErr: "pads [0 0 -1 0]"},
		{Name: "auto_pad and pads", Attributes: ops.Attributes{"auto_pad": "VALID", "pads": []int64{0, 1, 0, 0}}, Inputs: []*ops.Tensor{x, w}, WantErr: "auto_pad VALID cannot be combined with pads [0 1 0 0]"},
		{Name: "unknown auto_pad", Attributes: ops.Attributes{"auto_pad": "FULL"}, Inputs: []*ops.Tensor{x, w}, WantErr: `auto_pad "FULL"`},
		{Name: "strides not a list", Attributes: ops.Attributes{"strides": int64(1)}, Inputs: []*ops.Tensor{x, w}, WantErr: "strides has type INT, want INTS"},
		{Name: "huge output", Attributes: ops.Attributes{"pads": []int64{1 << 30, 1 << 30, 0, 0}}, Inputs: []*ops.Tensor{x, w}, WantErr: "elements"},
	})
}

// TestConv_MatchesDefinition compares with the formula. The data takes several blocks, and
// the numbers of filters and columns do not fill whole tiles.
func TestConv_MatchesDefinition(t *testing.T) {
	var cases []opstest.Case
	for _, c := range []struct {
		name                     string
		x, w                     *ops.Tensor
		strides, dilations, pads []int64
		group                    int
	}{
		{"no padding", opstest.Random(1, 3, 2, 21, 19), opstest.Random(2, 5, 2, 3, 3), []int64{1, 1}, []int64{1, 1}, []int64{0, 0, 0, 0}, 1},
		{"strides, dilations, pads, groups", opstest.Random(3, 3, 6, 20, 17), opstest.Random(4, 14, 3, 3, 2), []int64{2, 1}, []int64{1, 3}, []int64{2, 0, 1, 3}, 2},
		{"depthwise", opstest.Random(5, 2, 5, 9, 9), opstest.Random(6, 5, 1, 3, 3), []int64{1, 2}, []int64{2, 1}, []int64{2, 1, 2, 1}, 5},
		{"long columns", opstest.Random(7, 4, 300, 3, 3), opstest.Random(8, 9, 300, 3, 3), []int64{1, 1}, []int64{1, 1}, []int64{1, 1, 1, 1}, 1},
		{"padding far beyond the image", opstest.Random(10, 3, 2, 4, 2), opstest.Random(11, 4, 1, 3, 3), []int64{29999, 2}, []int64{30000, 2}, []int64{59998, 1, 60001, 2}, 2},
		{"blocks of images", opstest.Random(12, 50, 2, 9, 6), opstest.Random(13, 7, 2, 3, 3), []int64{1, 1}, []int64{1, 1}, []int64{0, 0, 0, 0}, 1},
		{"parts of images", opstest.Random(14, 2, 1, 40, 37), opstest.Random(15, 3, 1, 2, 2), []int64{1, 1}, []int64{1, 1}, []int64{0, 1, 0, 0}, 1},
		{"single output position", opstest.Random(16, 70, 3, 4, 4), opstest.Random(17, 5, 3, 4, 4), []int64{1, 1}, []int64{1, 1}, []int64{0, 0, 0, 0}, 1},
	} {
		bias := opstest.Random(9, c.w.Shape()[0])
		cases = append(cases, opstest.Case{
			Name:       c.name,
			Attributes: ops.Attributes{"strides": c.strides, "dilations": c.dilations, "pads": c.pads, "group": int64(c.group)},
			Inputs:     []*ops.Tensor{c.x, c.w, bias},
			Batch:      []int{0},
			Outputs:    []*ops.Tensor{convolutionByDefinition(c.x, c.w, bias, c.strides, c.dilations, c.pads, c.group)},
			Tolerance:  1e-4, // sums of 2700 numbers nearly cancel
		})
	}
	opstest.Run(t, find(t, "Conv"), cases)
}

// convolutionByDefinition computes the definition of Conv.
func convolutionByDefinition(x, w, bias *ops.Tensor, strides, dilations, pads []int64, group int) *ops.Tensor {
	images, channels, height, width := x.Shape()[0], x.Shape()[1], x.Shape()[2], x.Shape()[3]
	filters, perGroup, kh, kw := w.Shape()[0], w.Shape()[1], w.Shape()[2], w.Shape()[3]
	size := func(axis, in, kernel int) int {
		return (in+int(pads[axis]+pads[axis+2])-(kernel-1)*int(dilations[axis])-1)/int(strides[axis]) + 1
	}
	rows, cols := size(0, height, kh), size(1, width, kw)
	var out []float32
	for n := range images {
		for m := range filters {
			for i := range rows {
				for j := range cols {
					total := float64(bias.Float32s()[m])
					for c := range perGroup {
						channel := m/(filters/group)*perGroup + c
						for ky := range kh {
							for kx := range kw {
								y := i*int(strides[0]) - int(pads[0]) + ky*int(dilations[0])
								x0 := j*int(strides[1]) - int(pads[1]) + kx*int(dilations[1])
								if y < 0 || y >= height || x0 < 0 || x0 >= width {
									continue
								}
								total += float64(x.Float32s()[((n*channels+channel)*height+y)*width+x0]) *
									float64(w.Float32s()[((m*perGroup+c)*kh+ky)*kw+kx])
							}
						}
					}
					out = append(out, float32(total))
				}
			}
		}
	}
	return opstest.F32([]int{images, filters, rows, cols}, out...)
}

// TestConv_LargePaddingTakesLittleMemory uses images whose padding is a thousand times as
// large as the images.
func TestConv_LargePaddingTakesLittleMemory(t *testing.T) {
	op, err := find(t, "Conv").New(ops.Node{Opset: 17, NumInputs: 2, Attributes: ops.Attributes{
		"pads": []int64{15, 15, 15, 15}, "strides": []int64{31, 31},
	}})
	require.NoError(t, err)
	const channels = 1 << 14
	in := []*ops.Tensor{opstest.Random(1, 1, channels, 1, 1), opstest.Random(2, 1, channels, 1, 1)}
	ctx := &ops.Context{Context: t.Context(), Pool: parallel.New(1)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = ops.Run(op, ctx, in)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20)) // padded images would take 63 MB
}

func TestConv_InfersUnknownSizes(t *testing.T) {
	batch, free := opstest.Unknown("N"), opstest.Unknown("")
	image := opstest.Typed(ops.Float32, batch, opstest.Known(3), opstest.Known(28), opstest.Unknown("W"))
	weights := opstest.Typed(ops.Float32, ops.Dims(8, 3, 5, 5)...)
	opstest.Infer(t, find(t, "Conv"), []opstest.InferCase{
		{
			Name:   "batch and width unknown",
			Inputs: []*ops.Input{image, weights},
			Want:   []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{batch, opstest.Known(8), opstest.Known(24), free}}},
		}, {
			Name:       "weights unknown",
			Attributes: ops.Attributes{"kernel_shape": []int64{5, 3}},
			Inputs:     []*ops.Input{image, opstest.Typed(ops.Float32, free, free, free, free), opstest.Typed(ops.Float32, opstest.Known(7))},
			Want:       []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{batch, opstest.Known(7), opstest.Known(24), free}}},
		}, {
			Name:       "auto_pad SAME_UPPER without weights",
			Attributes: ops.Attributes{"auto_pad": "SAME_UPPER", "strides": []int64{3, 1}},
			Inputs:     []*ops.Input{image, opstest.Typed(ops.Float32, opstest.Known(8), free, free, free)},
			Want:       []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{batch, opstest.Known(8), opstest.Known(10), free}}},
		}, {
			Name:    "channels differ",
			Inputs:  []*ops.Input{image, opstest.Typed(ops.Float32, ops.Dims(8, 1, 5, 5)...)},
			WantErr: "X is float32(N, 3, 28, W) with channels 3, but W is float32(8, 1, 5, 5)",
		},
	})
}

// BenchmarkConv runs, on one core, the convolutions of the MNIST CNN that SbS networks are
// compared with.
func BenchmarkConv(b *testing.B) {
	const batch = 64
	layers := []struct {
		name string
		in   []*ops.Tensor
	}{
		{"1x24x24", []*ops.Tensor{opstest.Random(1, batch, 1, 24, 24), opstest.Random(2, 32, 1, 5, 5)}},
		{"32x10x10", []*ops.Tensor{opstest.Random(3, batch, 32, 10, 10), opstest.Random(4, 64, 32, 5, 5)}},
		{"64x3x3", []*ops.Tensor{opstest.Random(5, batch, 64, 3, 3), opstest.Random(6, 96, 64, 3, 3)}},
	}
	op, err := find(b, "Conv").New(ops.Node{Opset: 17, NumInputs: 2})
	require.NoError(b, err)
	ctx := &ops.Context{Context: b.Context(), Pool: parallel.New(1)}
	run := func(lo, hi int) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, l := range layers[lo:hi] {
					if _, err := ops.Run(op, ctx, l.in); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
		}
	}
	for i, l := range layers {
		b.Run(l.name, run(i, i+1))
	}
	b.Run("all", run(0, len(layers)))
}
