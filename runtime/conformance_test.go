package runtime_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestConformanceNetwork_MatchesRecordedLayers runs the published MNIST network with 64
// spikes on four images, with the uniform numbers of a recording of PyTorch-SbS, and
// compares the output of every layer.
func TestConformanceNetwork_MatchesRecordedLayers(t *testing.T) {
	dir := modeltest.Shared(t, "net-dialect2-mnist-64-spikes")
	n, _, err := pytorch.Load(pytorch.Options{
		Weights: filepath.Join(modeltest.Shared(t, "weights"), "mnist-sbs", "Weights"), Spikes: 64, NoPreprocessing: true,
	})
	require.NoError(t, err)
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	m, err := runtime.New(data)
	require.NoError(t, err)
	uniforms := map[string]*runtime.Tensor{}
	for i, l := range n.Layers {
		if l.Kind() == "SbS" {
			uniforms[fmt.Sprintf("L%d/SbS", i)] = opstest.Load(t, filepath.Join(dir, fmt.Sprintf("uniforms_L%d.npy", i)))
		}
	}
	compared := 0
	_, err = m.Run(t.Context(), map[string]*runtime.Tensor{"image": opstest.Load(t, filepath.Join(dir, "input.npy"))},
		runtime.InjectUniforms(uniforms),
		runtime.Observe(func(name string, got *runtime.Tensor) {
			if !strings.HasPrefix(name, "L") {
				return
			}
			want := opstest.Load(t, filepath.Join(dir, "output_"+name+".npy"))
			require.Equal(t, want.Shape(), got.Shape(), name)
			compared++
			compareLayer(t, name, want, got)
		}))
	require.NoError(t, err)
	require.Equal(t, len(n.Layers), compared)
}

// compareLayer reports the positions at which a layer differs. If a sum were rounded
// differently, a spike could be drawn from the next input, which would change its position
// and all that depend on it. This package forms the sums in the same order as PyTorch-SbS,
// so that no position differs by more than rounding.
func compareLayer(t *testing.T, name string, want, got *runtime.Tensor) {
	t.Helper()
	s := want.Shape()
	positions := map[[3]int]bool{}
	var largest float64
	for i, w := range want.Float32s() {
		d := float64(w) - float64(got.Float32s()[i])
		d = math.Abs(d)
		largest = max(largest, d)
		if !(d <= 1e-4) {
			plane := s[2] * s[3]
			positions[[3]int{i / (s[1] * plane), i % plane / s[3], i % s[3]}] = true
		}
	}
	t.Logf("%s: largest difference %.2g, positions that differ: %v", name, largest, positions)
	require.Empty(t, positions, "%s: positions that differ by more than 1e-4", name)
}
