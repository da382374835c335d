package train

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// recordedLayers calls f for every recording of layers of the last state of PyTorch-SbS whose
// layer_type, joined with commas, is the given one.
func recordedLayers(t *testing.T, layerType string, f func(t *testing.T, c recordedLayer)) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(modeltest.Shared(t, "layer-head"), "*"))
	require.NoError(t, err)
	found := 0
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, "case.json"))
		if err != nil {
			continue // a folder of folders
		}
		c := recordedLayer{dir: dir}
		require.NoError(t, json.Unmarshal(b, &c), dir)
		var types []string
		switch v := c.Type.(type) {
		case string:
			types = append(types, v)
		case []any:
			for _, s := range v {
				types = append(types, s.(string))
			}
		}
		if strings.Join(types, ",") != layerType {
			continue
		}
		found++
		t.Run(filepath.Base(dir), func(t *testing.T) { f(t, c) })
	}
	require.Positive(t, found, "no recording of %s", layerType)
}

type recordedLayer struct {
	dir      string
	Type     any    `json:"layer_type"`
	Kernel   [2]int `json:"kernel_size"`
	Strides  [2]int
	Dilation [2]int
	Padding  [2]int
	Spikes   int     `json:"number_of_spikes"`
	Epsilon0 float32 `json:"epsilon_0"`
	MSE      float64 `json:"loss_coeffs_mse"`
	KL       float64 `json:"loss_coeffs_kldiv"`
	Loss     float64
	NoScale  bool `json:"disable_scale_grade"`
}

func (c *recordedLayer) load(t *testing.T, name string) *ops.Tensor {
	return opstest.Load(t, filepath.Join(c.dir, name+".npy"))
}

// trainer returns a trainer for layers after a convolution that copies its input, so that the
// gradient with respect to the input is computed.
func (c *recordedLayer) trainer(t *testing.T, input *ops.Tensor, cfg Config, layers ...convert.Layer) *Trainer {
	t.Helper()
	s := input.Shape()
	one := convert.Window{Kernel: [2]int{1, 1}, Strides: [2]int{1, 1}, Dilations: [2]int{1, 1}}
	eye := opstest.F32([]int{s[1], s[1], 1, 1}, make([]float32, s[1]*s[1])...)
	for i := range s[1] {
		eye.Float32s()[i*s[1]+i] = 1
	}
	n := &convert.Network{
		Dialect: 2, Step: -1, Input: convert.Size{Channels: s[1], Height: s[2], Width: s[3]},
		Layers: append([]convert.Layer{&convert.Conv{Window: one, Weights: eye}}, layers...),
	}
	trainer, err := New(modeltest.Write(t, n, convert.Options{}), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, trainer.Close()) })
	return trainer
}

// gradient returns the gradient with respect to the output of a layer in the last step.
func (t *Trainer) gradient(layer string) *ops.Tensor {
	for i, name := range t.program.Main.Names {
		if name == layer {
			return t.frame.grads[i]
		}
	}
	return nil
}

// value returns the output of a layer in the last step.
func (t *Trainer) value(layer string) *ops.Tensor {
	for i, name := range t.program.Main.Names {
		if name == layer {
			return t.frame.values[i]
		}
	}
	return nil
}

// requireNear compares with a recording, relative to its largest entry.
func requireNear(t *testing.T, want, got *ops.Tensor, tolerance float64, what string) {
	t.Helper()
	require.Equal(t, want.Shape(), got.Shape(), what)
	var largest, off float64
	for i, w := range want.Float32s() {
		largest = max(largest, math.Abs(float64(w)))
		off = max(off, math.Abs(float64(w)-float64(got.Float32s()[i])))
	}
	require.LessOrEqual(t, off, tolerance*largest, what)
}

// TestConformanceReconstruction compares the outputs, the loss and all gradients of an SbS layer
// and a reconstruction as the last layer.
func TestConformanceReconstruction(t *testing.T) {
	recordedLayers(t, "SbS,RECONSTRUCTION", func(t *testing.T, c recordedLayer) {
		input, weights := c.load(t, "input"), c.load(t, "weights")
		layer := &convert.SbS{
			Window:  convert.Window{Kernel: c.Kernel, Strides: c.Strides, Dilations: c.Dilation, Pads: c.Padding},
			Weights: weights, Spikes: c.Spikes, Epsilon0: c.Epsilon0, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(c.Spikes),
		}
		trainer := c.trainer(t, input, Config{
			Loss: Loss{Kind: Mixture, MSE: c.MSE, KL: c.KL, Sum: true}, NoGradientScale: c.NoScale, SubBatches: 2,
		}, layer, &convert.Reconstruction{Weights: weights})
		r, err := trainer.Step(t.Context(), Batch{Images: input, Spikes: map[string]*ops.Tensor{"L1": c.load(t, "spikes")}})
		require.NoError(t, err)
		require.InEpsilon(t, c.Loss, r.Loss, 1e-5)
		requireNear(t, c.load(t, "output_L0"), trainer.value("L1"), 1e-6, "h")
		requireNear(t, c.load(t, "output_L1"), trainer.value("L2"), 1e-6, "reconstruction")
		requireNear(t, c.load(t, "last_input_data"), trainer.frame.target, 1e-6, "target")
		requireNear(t, c.load(t, "grad_output_L1"), trainer.gradient("L2"), 1e-4, "gradient of the loss")
		requireNear(t, c.load(t, "grad_output_L0"), trainer.gradient("L1"), 1e-4, "gradient of h")
		requireNear(t, c.load(t, "grad_input"), trainer.gradient("L0"), 1e-4, "gradient of the input")
		for _, p := range trainer.params {
			if p.layer == "L1" {
				requireNear(t, c.load(t, "grad_weights"), p.grad, 1e-4, "gradient of W")
			}
		}
	})
}

// TestConformanceOnOff compares the output and the gradient of the split since February 2023.
func TestConformanceOnOff(t *testing.T) {
	recordedLayers(t, "ONOFF", func(t *testing.T, c recordedLayer) {
		input, out, g := c.load(t, "input"), c.load(t, "output"), c.load(t, "grad_output")
		trainer := c.trainer(t, input, Config{Loss: Loss{Kind: Mixture, MSE: 1, Sum: true}, SubBatches: 2}, &convert.OnOff{})
		_, err := trainer.compute(t.Context(), Batch{Images: input, Target: out}, 0)
		require.NoError(t, err)
		copy(trainer.gradient("L1").Float32s(), g.Float32s())
		require.NoError(t, trainer.backward(t.Context()))
		require.Equal(t, out.Float32s(), trainer.value("L1").Float32s())
		requireNear(t, c.load(t, "grad_input"), trainer.gradient("L0"), 1e-4, "gradient of the input")
	})
}

// TestReconstruction_LeavesOutEmptyPatches compares a batch with one that has a black image as
// well: neither the loss nor a gradient changes.
func TestReconstruction_LeavesOutEmptyPatches(t *testing.T) {
	var c recordedLayer
	one := convert.Window{Kernel: [2]int{2, 2}, Strides: [2]int{2, 2}, Dilations: [2]int{1, 1}}
	weights := opstest.F32([]int{4, 3}, 0.1, 0.2, 0.3, 0.4, 0.2, 0.3, 0.3, 0.2, 0.2, 0.2, 0.4, 0.2)
	step := func(images int) (Result, *Trainer) {
		x := opstest.F32([]int{images, 1, 4, 4}, make([]float32, images*16)...)
		for i := range 16 {
			x.Float32s()[i] = float32(i % 5)
		}
		layer := &convert.SbS{Window: one, Weights: weights, Spikes: 9, Epsilon0: 1, EpsilonT: sbs.Schedule{}.EpsilonT(9)}
		trainer := c.trainer(t, x, Config{Loss: Loss{Kind: Mixture, MSE: 1, KL: 1, Sum: true}, NoGradientScale: true, SubBatches: 2}, layer, &convert.Reconstruction{Weights: weights})
		r, err := trainer.Step(t.Context(), Batch{Images: x})
		require.NoError(t, err)
		return r, trainer
	}
	alone, a := step(1)
	both, b := step(2)
	require.InEpsilon(t, alone.Loss, both.Loss, 1e-12)
	for i, p := range a.params {
		require.Equal(t, p.grad.Float32s(), b.params[i].grad.Float32s(), p.name)
	}
	for _, v := range b.gradient("L1").Float32s()[12:] {
		require.Zero(t, v)
	}
}
