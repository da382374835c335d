package runtime_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// writeStages returns the bytes of a model with stages.
func writeStages(t testing.TB, s *convert.Staged) []byte {
	t.Helper()
	data, err := convert.StagesToONNX(s, convert.Options{})
	require.NoError(t, err)
	return data
}

func loadBytes(t testing.TB, data []byte, opts ...runtime.Option) *runtime.Model {
	t.Helper()
	m, err := runtime.New(data, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// images returns some of the images of a batch.
func images(x *runtime.Tensor, from, to int) map[string]*runtime.Tensor {
	size := x.Len() / x.Shape()[0]
	shape := append([]int{to - from}, x.Shape()[1:]...)
	return map[string]*runtime.Tensor{"image": opstest.F32(shape, x.Float32s()[from*size:to*size]...)}
}

// runStaged runs a model and returns the probabilities and the effort.
func runStaged(t testing.TB, m *runtime.Model, in map[string]*runtime.Tensor, opts ...runtime.RunOption) ([]float32, runtime.Effort) {
	t.Helper()
	var effort runtime.Effort
	out, err := m.Run(context.Background(), in, append(opts, runtime.ReportEffort(func(e runtime.Effort) { effort = e }))...)
	require.NoError(t, err)
	return out["probabilities"].Float32s(), effort
}

// The result of an image is that of the model of the stage at which it leaves, which is the
// first one with a margin of at least its threshold.
func TestStages_GiveTheResultOfTheStageAlone(t *testing.T) {
	s := converttest.Staged()
	const count, classes = 60, 3
	x := modeltest.Pixels(3, count, s.Stages[0].Network.Input)
	m := loadBytes(t, writeStages(t, s))
	list := m.Stages()
	require.Equal(t, []runtime.Stage{
		{Number: 1, Threshold: 0.15, Updates: 4 * (36 + 1)}, {Number: 2, Threshold: 0.2, Updates: 12 * (36 + 1)}, {Number: 3, Updates: 40 * (36 + 1)},
	}, list)
	got, effort := runStaged(t, m, images(x, 0, count), runtime.Seed(5), runtime.FirstImage(1000))
	var alone [][]float32
	for i, stage := range s.Stages {
		p, e := runStaged(t, loadBytes(t, modeltest.Write(t, stage.Network, convert.Options{})), images(x, 0, count), runtime.Seed(5), runtime.FirstImage(1000))
		require.Nil(t, e.Stages)
		require.Equal(t, slices.Repeat([]int64{list[i].Updates}, count), e.Updates)
		alone = append(alone, p)
		only, e := runStaged(t, loadBytes(t, writeStages(t, s), runtime.OnlyStage(i+1)), images(x, 0, count), runtime.Seed(5), runtime.FirstImage(1000))
		require.Nil(t, e.Stages)
		require.Equal(t, p, only, "stage %d", i+1)
	}
	seen := map[int]int{}
	for i := range count {
		want, updates := 0, int64(0)
		for j := range s.Stages {
			updates += list[j].Updates
			want = j + 1
			if runtime.Margin(alone[j][i*classes:(i+1)*classes]) >= s.Stages[j].Threshold {
				break
			}
		}
		require.Equal(t, want, effort.Stages[i], "image %d", i)
		require.Equal(t, updates, effort.Updates[i], "image %d", i)
		require.Equal(t, alone[want-1][i*classes:(i+1)*classes], got[i*classes:(i+1)*classes], "image %d", i)
		seen[want]++
	}
	for j := range s.Stages {
		require.NotZero(t, seen[j+1], "no image leaves at stage %d: %v", j+1, seen)
	}
}

func TestStages_DoNotDependOnBatchesOrWorkers(t *testing.T) {
	s := converttest.Staged()
	const count, classes = 30, 3
	x := modeltest.Pixels(3, count, s.Stages[0].Network.Input)
	seeds, numbers := make([]uint64, count), make([]uint64, count)
	for i := range seeds {
		seeds[i], numbers[i] = uint64(i%4), uint64(1000-7*i)
	}
	for _, c := range []struct {
		name string
		opts func(from, to int) []runtime.RunOption
	}{
		{"numbered from 0", func(from, _ int) []runtime.RunOption { return []runtime.RunOption{runtime.FirstImage(uint64(from))} }},
		{"seeds and numbers per image", func(from, to int) []runtime.RunOption {
			return []runtime.RunOption{runtime.Seeds(seeds[from:to]), runtime.ImageNumbers(numbers[from:to])}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []float32
			var wantEffort runtime.Effort
			for _, workers := range []int{1, 2, 3} {
				m := loadBytes(t, writeStages(t, s), runtime.Workers(workers))
				for _, batch := range []int{count, 1, 3} {
					var p []float32
					var effort runtime.Effort
					for from := 0; from < count; from += batch {
						v, e := runStaged(t, m, images(x, from, from+batch), c.opts(from, from+batch)...)
						p = append(p, v...)
						effort.Stages, effort.Updates = append(effort.Stages, e.Stages...), append(effort.Updates, e.Updates...)
					}
					if want == nil {
						want, wantEffort = p, effort
						require.Contains(t, effort.Stages, 1)
						require.Contains(t, effort.Stages, 2)
						require.Contains(t, effort.Stages, 3)
					}
					require.Equal(t, want, p, "%d workers, batches of %d", workers, batch)
					require.Equal(t, wantEffort, effort, "%d workers, batches of %d", workers, batch)
				}
			}
		})
	}
}

func TestStages_HandleSpecialThresholdsAndBatches(t *testing.T) {
	s := converttest.Staged()
	x := modeltest.Pixels(3, 8, s.Stages[0].Network.Input)
	for _, c := range []struct {
		first, second float64
		want          int
	}{{0, 0, 1}, {convert.NoImageLeaves, 0, 2}, {convert.NoImageLeaves, convert.NoImageLeaves, 3}} {
		s.Stages[0].Threshold, s.Stages[1].Threshold = c.first, c.second
		m := loadBytes(t, writeStages(t, s))
		_, effort := runStaged(t, m, images(x, 0, 8))
		require.Equal(t, slices.Repeat([]int{c.want}, 8), effort.Stages)
	}
	m := loadBytes(t, writeStages(t, s))
	p, effort := runStaged(t, m, images(x, 0, 0))
	require.Empty(t, p)
	require.Equal(t, runtime.Effort{Stages: []int{}, Updates: []int64{}}, effort)
	require.Equal(t, "3 stages, the last with ", m.String()[:len("3 stages, the last with ")])
	require.Len(t, m.SbSLayers(), 2)
	require.Equal(t, runtime.SbSLayer{Name: "L0/SbS", Spikes: 40, Sampler: runtime.IID, Epsilon0: 1, Positions: 36, Updates: 40 * 36}, m.SbSLayers()[0])
	require.Equal(t, "digits", m.Metadata()["ai.sbs.name"])
	require.Equal(t, "few", loadBytes(t, writeStages(t, s), runtime.OnlyStage(1)).Metadata()["ai.sbs.name"])
	last := loadBytes(t, writeStages(t, s), runtime.OnlyStage(3))
	require.NotContains(t, last.Metadata(), "ai.sbs.stages")
	require.Nil(t, last.Stages())
}

func TestStages_RefuseOptionsForASingleStage(t *testing.T) {
	s := converttest.Staged()
	data := writeStages(t, s)
	for _, opt := range []runtime.Option{runtime.Spikes(3), runtime.EachLayer(runtime.Dynamics{Spikes: 3}, runtime.Dynamics{}), runtime.Layer("L0", runtime.Dynamics{Epsilon0: 1})} {
		_, err := runtime.New(data, opt)
		require.ErrorIs(t, err, runtime.ErrOption)
		require.ErrorIs(t, err, runtime.ErrStages)
		require.ErrorContains(t, err, "choose one stage with OnlyStage")
	}
	m := loadBytes(t, data)
	in := images(modeltest.Pixels(3, 2, s.Stages[0].Network.Input), 0, 2)
	for _, c := range []struct {
		opt  runtime.RunOption
		want string
	}{
		{runtime.Spikes(3), "spikes, sampler, epsilon_0 and schedule cannot be changed"},
		{runtime.InjectSpikes(map[string]*runtime.Tensor{"L0": nil}), "spikes and uniforms cannot be given"},
		{runtime.Watch(runtime.Watcher{After: []int{1}, Snapshot: func(runtime.Snapshot) bool { return true }}), "Watch"},
		{runtime.Observe(func(string, *runtime.Tensor) {}), "Observe"},
	} {
		_, err := m.Run(t.Context(), in, c.opt)
		require.ErrorIs(t, err, runtime.ErrOption)
		require.ErrorIs(t, err, runtime.ErrStages)
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, "OnlyStage")
	}
	// One stage is an ordinary model.
	one := loadBytes(t, data, runtime.OnlyStage(2), runtime.Spikes(5))
	_, effort := runStaged(t, one, in, runtime.Spikes(7))
	require.Equal(t, []int64{7 * 37, 7 * 37}, effort.Updates)

	for _, c := range []struct {
		data  []byte
		stage int
		want  string
	}{{data, 4, "the model has stages 1 to 3"}, {modeltest.Write(t, converttest.Digits(), convert.Options{}), 1, "the model has no stages"}} {
		_, err := runtime.New(c.data, runtime.OnlyStage(c.stage))
		require.ErrorIs(t, err, runtime.ErrOption)
		require.ErrorIs(t, err, runtime.ErrStages)
		require.ErrorContains(t, err, c.want)
	}
	_, err := runtime.New(data, runtime.OnlyStage(-1))
	require.ErrorContains(t, err, "the number of the stage is -1")
	_, err = m.Run(t.Context(), in, runtime.ReportEffort(nil))
	require.ErrorIs(t, err, runtime.ErrOption)
	_, err = m.Run(t.Context(), in, runtime.Seeds([]uint64{1, 2, 3}))
	require.ErrorIs(t, err, runtime.ErrInput)
	_, err = m.Run(t.Context(), nil)
	require.ErrorIs(t, err, runtime.ErrInput)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Run(canceled, in)
	require.ErrorIs(t, err, context.Canceled)
}

func TestMargin_IsTheDistanceOfTheTwoBestClasses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		p    []float32
		want float64
	}{
		{[]float32{0.25, 0.75}, 0.5}, {[]float32{0.5, 0.25, 0.25}, 0.25}, {[]float32{0.5, 0.5}, 0}, {[]float32{0.25, 0.5, 0.25, 0.5}, 0},
		{[]float32{1}, 1}, {[]float32{0, 0}, 0}, {nil, math.NaN()}, {[]float32{nan, 1, 0}, math.NaN()}, {[]float32{1, 0, nan}, math.NaN()},
		{[]float32{inf, inf}, math.NaN()}, {[]float32{nan}, math.NaN()},
	} {
		got := runtime.Margin(c.p)
		if math.IsNaN(c.want) {
			require.True(t, math.IsNaN(got), "%v: %v", c.p, got)
			continue
		}
		require.Equal(t, c.want, got, fmt.Sprint(c.p))
	}
}

// An image with a pixel that is not a number is an error, as in a model without stages.
func TestStages_ReportTheStageOfAnError(t *testing.T) {
	s := converttest.Staged()
	x := modeltest.Pixels(3, 2, s.Stages[0].Network.Input)
	x.Float32s()[12*5+5] = float32(math.NaN())
	_, err := loadBytes(t, writeStages(t, s)).Run(t.Context(), images(x, 0, 2))
	require.ErrorIs(t, err, ops.ErrValue)
	require.ErrorContains(t, err, "stage 1: node")
}

func TestNew_RefusesDamagedStages(t *testing.T) {
	for name, c := range converttest.DamagedStages() {
		t.Run(name, func(t *testing.T) {
			pb, err := onnx.Unmarshal(t.Context(), writeStages(t, converttest.Staged()))
			require.NoError(t, err)
			c.Change(t, pb)
			data, err := onnx.MarshalStamped(pb)
			require.NoError(t, err)
			_, err = runtime.New(data)
			require.ErrorIs(t, err, runtime.ErrModel)
			require.ErrorContains(t, err, c.Want)
		})
	}
}

// These models have valid stages for package convert, but not for a run.
func TestNew_RefusesStagesForOtherBatches(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(g *onnxpb.GraphProto)
		want   string
	}{
		{"fixed batch", func(g *onnxpb.GraphProto) {
			g.GetInput()[0].GetType().GetTensorType().GetShape().GetDim()[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 2}
		}, "stage 1: input \"image\" is float32(2, 1, 12, 12), but a stage takes batches of any number of images"},
		{"no declared output", func(g *onnxpb.GraphProto) {
			g.GetOutput()[0].Type = nil
		}, ""},
		{"unknown size", func(g *onnxpb.GraphProto) {
			g.GetInput()[0].GetType().GetTensorType().GetShape().GetDim()[3].Value = nil
		}, "stage 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			pb, err := onnx.Unmarshal(t.Context(), writeStages(t, converttest.Staged()))
			require.NoError(t, err)
			c.change(pb.GetGraph())
			data, err := onnx.MarshalStamped(pb)
			require.NoError(t, err)
			m, err := runtime.New(data)
			if c.want == "" {
				require.NoError(t, err)
				require.Len(t, m.Stages(), 3)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}
