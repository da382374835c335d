package runtime_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestRun_ConcurrentRunsKeepTheirOptions runs a model with different options at the same
// time, and compares with the same runs one after the other.
func TestRun_ConcurrentRunsKeepTheirOptions(t *testing.T) {
	n := converttest.EveryLayer()
	image := modeltest.Pixels(1, 2, n.Input)
	ignore := func(runtime.Snapshot) bool { return true }
	options := [][]runtime.RunOption{
		nil, {runtime.Seed(7)}, {runtime.Spikes(3)}, {runtime.Spikes(4), runtime.FirstImage(9)}, {runtime.Seeds([]uint64{5, 6}), runtime.WithSampler(runtime.LowDiscrepancy)},
		{runtime.Watch(runtime.Watcher{After: []int{1, 2}, Snapshot: ignore})}, {runtime.Observe(func(string, *runtime.Tensor) {})},
	}
	var want [][]float32
	for _, o := range options {
		want = append(want, run(t, open(t, n), image, o...))
	}
	m := open(t, n, runtime.Workers(2))
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 3 * len(options) {
				i = (i*(worker+1) + worker) % len(options)
				out, err := m.Run(t.Context(), values{"image": image}, options[i]...)
				if err != nil {
					t.Error(err)
					return
				}
				if !slices.Equal(want[i], out[m.Outputs()[0].Name].Float32s()) {
					t.Errorf("the options %d gave other numbers than alone", i)
				}
			}
		})
	}
	wg.Wait()
}

// TestRun_ConcurrentBatchSizesDoNotMix runs batches of several sizes, one after the other and
// at the same time, and compares with the outputs of fresh models.
func TestRun_ConcurrentBatchSizesDoNotMix(t *testing.T) {
	n := converttest.EveryLayer()
	data := modeltest.Write(t, n, convert.Options{})
	m, err := runtime.New(data, runtime.Workers(2))
	require.NoError(t, err)
	const sizes = 4
	var in [sizes]map[string]*runtime.Tensor
	var want [sizes][]float32
	output := m.Outputs()[0].Name
	for i := range in {
		in[i] = map[string]*runtime.Tensor{"image": modeltest.Pixels(uint64(i), i+1, n.Input)}
		fresh, err := runtime.New(data, runtime.Workers(1))
		require.NoError(t, err)
		out, err := fresh.Run(t.Context(), in[i])
		require.NoError(t, err)
		want[i] = out[output].Float32s()
	}
	var wg sync.WaitGroup
	for worker := range 3 {
		wg.Go(func() {
			var kept [][]float32
			for i := range 3 * sizes {
				i = (i*i + worker) % sizes
				out, err := m.Run(t.Context(), in[i])
				if err != nil {
					t.Error(err)
					return
				}
				kept = append(kept, out[output].Float32s())
			}
			for i, got := range kept { // later runs have not overwritten these outputs
				i = (i*i + worker) % sizes
				for j, v := range got {
					if v != want[i][j] {
						t.Errorf("batch of %d: element %d is %v, want %v", i+1, j, v, want[i][j])
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
