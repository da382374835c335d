//go:build !race

package runtime_test

import (
	goruntime "runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestRun_AllocatesOutputsOnly counts the allocations of a run that finds its buffers in
// place. It does not work with the race detector, with which a sync.Pool drops items.
func TestRun_AllocatesOutputsOnly(t *testing.T) {
	networks := converttest.ImageLayers()
	networks["every layer"], networks["full layers"] = converttest.EveryLayer(), converttest.Variants()["two full layers"]
	for name, n := range networks {
		for _, workers := range []int{1, 2} {
			m, err := runtime.New(modeltest.Write(t, n, convert.Options{}), runtime.Workers(workers))
			require.NoError(t, err)
			in := map[string]*runtime.Tensor{"image": modeltest.Pixels(1, 2, n.Input)}
			ctx := t.Context()
			allocations := testing.AllocsPerRun(100, func() {
				if _, err := m.Run(ctx, in); err != nil {
					t.Error(err)
				}
			})
			// The options, the map of the outputs, and for the output its tensor, its elements
			// and its shape.
			require.LessOrEqual(t, allocations, 8.0, "%s, %d workers", name, workers)
		}
	}
}

// TestRun_KeepsTwoActivationsOfCNN compares the memory that a model keeps after a run
// with the minimum: the weights, and the input and output of the largest layer.
func TestRun_KeepsTwoActivationsOfCNN(t *testing.T) {
	const layers, channels, size, batch = 12, 32, 32, 4
	m := load(t, convolutions(layers, channels, size), runtime.Workers(2))
	keepPool(t)
	in := values{"x0": f32([]int{batch, channels, size, size}, make([]float32, batch*channels*size*size)...)}
	var before, after goruntime.MemStats
	goruntime.GC()
	goruntime.ReadMemStats(&before)
	out, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	buffers := m.BufferBytes()
	goruntime.GC()
	goruntime.ReadMemStats(&after)
	goruntime.KeepAlive(out)
	activation := int64(4 * batch * channels * size * size)
	weights := int64(4 * layers * channels * channels * 9)
	t.Logf("weights %d, one activation %d, all activations %d; buffers %d, heap after the run and before it %d",
		weights, activation, 2*layers*activation, buffers, int64(after.HeapAlloc)-int64(before.HeapAlloc))
	require.Equal(t, 2*activation, buffers, "the input and the output of one layer")
	require.Less(t, float64(weights+buffers+activation), 1.5*float64(weights+2*activation), "including the output, which belongs to the caller")
}

// keepPool makes a sync.Pool return what was put into it: it holds items per processor, and
// a garbage collection drops them.
func keepPool(t *testing.T) {
	t.Helper()
	processors, percent := goruntime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	t.Cleanup(func() {
		goruntime.GOMAXPROCS(processors)
		debug.SetGCPercent(percent)
	})
}

// TestRun_KeepsBuffersAfterRefusedInputs checks that a run with a wrong option or input
// does not cost the next run its buffers.
func TestRun_KeepsBuffersAfterRefusedInputs(t *testing.T) {
	keepPool(t)
	n := converttest.OwnEpsilonT(converttest.Digits())
	m, image := open(t, n), modeltest.Pixels(1, 2, n.Input)
	run(t, m, image)
	want := m.BufferBytes()
	require.Positive(t, want)
	for _, c := range []struct {
		in     values
		option runtime.RunOption
	}{{nil, runtime.Seed(1)}, {values{"image": image}, nil}, {values{"image": image}, runtime.Spikes(-1)}, {values{"image": image}, runtime.Spikes(1000)}} {
		_, err := m.Run(t.Context(), c.in, c.option)
		require.Error(t, err)
		require.Equal(t, want, m.BufferBytes())
	}
}

// TestRun_ObserveKeepsBuffersOfOtherRuns checks that a run with Observe, whose buffers cannot
// serve later runs, does not take the buffers of other runs.
func TestRun_ObserveKeepsBuffersOfOtherRuns(t *testing.T) {
	keepPool(t)
	n := converttest.Digits()
	m, image := open(t, n), modeltest.Pixels(1, 2, n.Input)
	run(t, m, image)
	want := m.BufferBytes()
	run(t, m, image, runtime.Observe(func(string, *runtime.Tensor) {}))
	require.Equal(t, want, m.BufferBytes())
}
