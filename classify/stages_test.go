package classify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// The results tell the stage and the spike updates, and do not depend on the batch size.
func TestClassifier_TellsTheStage(t *testing.T) {
	s := converttest.Staged()
	data, err := convert.StagesToONNX(s, convert.Options{})
	require.NoError(t, err)
	const count = 40
	pixels := modeltest.Pixels(3, count, s.Stages[0].Network.Input)
	c := open(t, data)
	want, err := c.Run(t.Context(), pixels)
	require.NoError(t, err)
	seen := map[int]bool{}
	updates := map[int]int64{1: 4 * 37, 2: 16 * 37, 3: 56 * 37}
	for i, r := range want {
		require.Equal(t, updates[r.Stage], r.Updates, "image %d", i)
		if r.Stage < 3 {
			require.GreaterOrEqual(t, r.Margin(), s.Stages[r.Stage-1].Threshold, "image %d", i)
		}
		seen[r.Stage] = true
	}
	require.Len(t, seen, 3)

	var stages []int
	_, err = c.Run(t.Context(), pixels, runtime.ReportEffort(func(e runtime.Effort) { stages = e.Stages }))
	require.NoError(t, err)
	for i, r := range want {
		require.Equal(t, r.Stage, stages[i], "a ReportEffort of the caller is called too")
	}

	for i, stage := range s.Stages {
		one := open(t, data, classify.Stage(i+1))
		alone := open(t, modeltest.Write(t, stage.Network, convert.Options{}))
		got, err := one.Run(t.Context(), pixels)
		require.NoError(t, err)
		want, err := alone.Run(t.Context(), pixels)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Zero(t, got[0].Stage)
		require.Equal(t, one.Model().SbSLayers(), alone.Model().SbSLayers())
		require.Equal(t, int64(stage.Network.Layers[0].(*convert.SbS).Spikes*37), got[0].Updates)
	}
	_, err = classify.Open(write(t, data), classify.Stage(4))
	require.ErrorIs(t, err, runtime.ErrStages)
	_, err = classify.New(c.Model(), classify.Stage(1))
	require.ErrorContains(t, err, "Runtime and Stage have no effect")
	_, err = classify.Open(write(t, data), classify.Runtime(runtime.Spikes(3)))
	require.ErrorIs(t, err, runtime.ErrStages)
}

// The batches of All are compacted between the stages. Their size must not matter.
func TestAll_WithStagesDoesNotDependOnBatches(t *testing.T) {
	s := &convert.Staged{}
	for i, threshold := range []float64{0.1, 0.3, 0} {
		n, _, err := pytorch.Load(pytorch.Options{Weights: "../models/mnist/Weights"})
		require.NoError(t, err)
		for _, l := range n.Layers {
			if l, ok := l.(*convert.SbS); ok {
				l.Spikes = []int{20, 60, 200}[i]
			}
		}
		s.Stages = append(s.Stages, convert.Stage{Network: n, Threshold: threshold})
	}
	data, err := convert.StagesToONNX(s, convert.Options{})
	require.NoError(t, err)
	var want []classify.FileResult
	for _, size := range []int{0, 1, 7} {
		for _, workers := range []int{1, 2} {
			c := open(t, data, classify.BatchSize(size), classify.Workers(workers), classify.Noise("gaussian=0.1"))
			files, err := c.OpenFiles([]string{"../models/mnist/images"}, "")
			require.NoError(t, err)
			var got []classify.FileResult
			for r, err := range c.All(t.Context(), files, 0) {
				require.NoError(t, err)
				got = append(got, r)
			}
			require.NoError(t, files.Close())
			if want == nil {
				want = got
				seen := map[int]bool{}
				for _, r := range got {
					seen[r.Stage] = true
				}
				require.Len(t, seen, 3)
			}
			require.Equal(t, want, got, "batches of %d, %d workers", size, workers)
		}
	}
}
