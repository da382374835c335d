package pytorch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/npy"
)

// recordedTrainings returns the options to load the recorded trainings of July 2023, by name.
// Their arrays are for images that are cropped already.
func recordedTrainings(t *testing.T) map[string]Options {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(shared(t, "."), "train-head-*"))
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	all := map[string]Options{}
	for _, folder := range folders {
		images, err := npy.ReadFile(os.DirFS(folder), "step0_batch0_input.npy", 1<<20)
		require.NoError(t, err)
		require.Len(t, images.Shape, 4)
		size := convert.Size{Channels: images.Shape[1], Height: images.Shape[2] + 4, Width: images.Shape[3] + 4}
		all[filepath.Base(folder)] = Options{Weights: folder, Input: size, NoPreprocessing: true, Generation: "2023-07"}
	}
	return all
}

func TestConformance_LoadReadsTheTrainingsOfJuly2023(t *testing.T) {
	for name, opt := range recordedTrainings(t) {
		t.Run(name, func(t *testing.T) {
			n, r, err := Load(opt)
			require.NoError(t, err)
			for _, warning := range r.Warnings {
				require.Contains(t, warning, `unknown key "note" is ignored`)
			}
			require.Equal(t, 2, r.Dialect)
			require.Contains(t, r.Generation, "July 2023")
			for _, l := range n.Layers {
				if s, ok := l.(*convert.SbS); ok {
					require.Equal(t, float32(1), s.Epsilon0)
				}
			}
			steps := map[int]bool{}
			entries, err := os.ReadDir(opt.Weights)
			require.NoError(t, err)
			highest := 0
			for _, e := range entries {
				if id, ok := parseName(e.Name()); ok {
					steps[id.step] = true
					highest = max(highest, id.step)
				}
			}
			require.Equal(t, highest, n.Step)
			for step := range steps {
				opt.Step = new(step)
				_, _, err := Load(opt)
				require.NoError(t, err)
			}
			_, training, _, err := NewNetwork(opt, Start{})
			require.NoError(t, err)
			require.Len(t, training.Layers, len(n.Layers))
			for i, l := range n.Layers {
				switch l.(type) {
				case *convert.SbS, *convert.NNMF, *convert.Conv, *convert.ApproxConv:
					require.True(t, training.Layers[i].Weights, "layer %d", i)
				}
			}
		})
	}
}

// The folders of all steps are restored byte for byte.
func TestConformance_SaveRestoresTheTrainingsOfJuly2023(t *testing.T) {
	for name, opt := range recordedTrainings(t) {
		for _, step := range []*int{new(0), nil} {
			t.Run(name, func(t *testing.T) {
				opt.Step = step
				_, extra, report := roundTrip(t, opt)
				require.Empty(t, extra)
				require.Empty(t, report.Warnings)
			})
		}
	}
}
