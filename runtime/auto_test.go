package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

var auto = &runtime.Schedule{Auto: true}

// resolved returns the options with which the SbS layers of a network have the epsilon that
// the schedule auto chooses for some spikes.
func resolved(t *testing.T, n *convert.Network, spikes int) runtime.LayerOption {
	t.Helper()
	var each []runtime.Dynamics
	for _, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			p := sbs.Params{Spikes: s.Spikes, Epsilon0: s.Epsilon0, EpsilonT: s.EpsilonT, Forgetting: s.Forgetting}
			d, err := runtime.Dynamics{Spikes: spikes, Schedule: auto}.Resolve(p, s.EpsilonXY)
			require.NoError(t, err)
			require.Positive(t, d.Epsilon0)
			each = append(each, d)
		}
	}
	return runtime.EachLayer(each...)
}

// TestEpsilonSchedule_AutoFitsTheSpikesOfEveryLayer has networks with and without epsilon_xy
// and forgetting. It compares auto with the values that it chooses.
func TestEpsilonSchedule_AutoFitsTheSpikesOfEveryLayer(t *testing.T) {
	for name, n := range map[string]*convert.Network{"digits": converttest.Digits(), "every layer": converttest.EveryLayer()} {
		t.Run(name, func(t *testing.T) {
			image := modeltest.Pixels(4, 3, n.Input)
			want := run(t, open(t, n, resolved(t, n, 12)), image)
			choose := runtime.AllLayers(runtime.Dynamics{Spikes: 12, Schedule: auto})
			m := open(t, n)
			require.Equal(t, want, run(t, open(t, n, choose), image))
			require.Equal(t, want, run(t, m, image, choose))
			require.Equal(t, want, run(t, m, image, runtime.Spikes(12), runtime.EpsilonSchedule(*auto)))
			require.NotEqual(t, want, run(t, m, image, runtime.Spikes(12)))

			plain := run(t, m, image)
			require.Equal(t, plain, run(t, m, image, runtime.EpsilonSchedule(*auto)), "number of spikes not changed")
			require.Equal(t, run(t, m, image, runtime.Spikes(70)), run(t, m, image, runtime.Spikes(70), runtime.EpsilonSchedule(*auto)))
		})
	}
}

func TestEpsilonSchedule_AutoFitsFunctions(t *testing.T) {
	n := converttest.Digits()
	image, functions := modeltest.Pixels(4, 3, n.Input), runtime.PreferFunctions()
	want := run(t, open(t, n, functions, resolved(t, n, 12)), image)
	require.Equal(t, want, run(t, open(t, n, functions, runtime.Spikes(12), runtime.EpsilonSchedule(*auto)), image))
	require.NotEqual(t, want, run(t, open(t, n, functions, runtime.Spikes(12)), image))
}

func TestEpsilonSchedule_AutoCanDifferBetweenLayers(t *testing.T) {
	n := converttest.Digits()
	image := modeltest.Pixels(4, 3, n.Input)
	own := runtime.Schedule{Power: -0.5}
	chosen := open(t, n, runtime.Spikes(10), runtime.EpsilonSchedule(*auto)).SbSLayers()[0].Epsilon0
	m := open(t, n, runtime.EachLayer(runtime.Dynamics{Spikes: 10, Schedule: auto}, runtime.Dynamics{Epsilon0: 2, Schedule: &runtime.Schedule{}}))
	require.Equal(t, []float32{chosen, 2}, []float32{m.SbSLayers()[0].Epsilon0, m.SbSLayers()[1].Epsilon0})
	require.NotEqual(t, float32(1), chosen)
	require.Equal(t, run(t, m, image), run(t, open(t, n), image,
		runtime.Layer("L0", runtime.Dynamics{Spikes: 10, Epsilon0: chosen, Schedule: &own}),
		runtime.Layer("L2", runtime.Dynamics{Epsilon0: 2, Schedule: &runtime.Schedule{}})))
	// Another schedule for one layer takes precedence over auto for all.
	m = open(t, n, runtime.Spikes(10), runtime.EpsilonSchedule(*auto), runtime.Layer("L2", runtime.Dynamics{Epsilon0: 3, Schedule: &runtime.Schedule{}}))
	require.Equal(t, []float32{chosen, 3}, []float32{m.SbSLayers()[0].Epsilon0, m.SbSLayers()[1].Epsilon0})
}

func TestEpsilonSchedule_AutoCausesNoWarning(t *testing.T) {
	require.NotEmpty(t, open(t, converttest.Digits(), runtime.Spikes(1)).Warnings())
	require.Empty(t, open(t, converttest.Digits(), runtime.Spikes(1), runtime.EpsilonSchedule(*auto)).Warnings())
}

// TestEpsilonSchedule_AutoRefusesEpsilon0 has the two in one option and in two.
func TestEpsilonSchedule_AutoRefusesEpsilon0(t *testing.T) {
	n := converttest.Digits()
	in := values{"image": modeltest.Pixels(4, 1, n.Input)}
	const want = "epsilon_0 is 2, but the epsilon schedule is auto, which chooses epsilon_0"
	for _, options := range [][]runtime.LayerOption{
		{runtime.AllLayers(runtime.Dynamics{Epsilon0: 2, Schedule: auto})},
		{runtime.EpsilonSchedule(*auto), runtime.Epsilon0(2)},
		{runtime.Epsilon0(2), runtime.Layer("L0", runtime.Dynamics{Schedule: auto})},
		{runtime.EpsilonSchedule(*auto), runtime.Layer("L2", runtime.Dynamics{Epsilon0: 2})},
	} {
		var atLoad []runtime.Option
		var atRun []runtime.RunOption
		for _, o := range options {
			atLoad, atRun = append(atLoad, o), append(atRun, o)
		}
		_, err := runtime.New(modeltest.Write(t, n, convert.Options{}), atLoad...)
		require.ErrorIs(t, err, runtime.ErrOption)
		require.ErrorContains(t, err, want)
		_, err = open(t, n).Run(t.Context(), in, atRun...)
		require.ErrorIs(t, err, runtime.ErrOption)
		require.ErrorContains(t, err, want)
	}
}

// TestEpsilonSchedule_AutoNeedsAnInitializer has an epsilon_xy that a node computes.
func TestEpsilonSchedule_AutoNeedsAnInitializer(t *testing.T) {
	n := converttest.EveryLayer()
	pb, err := onnx.Unmarshal(t.Context(), modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	nodes := pb.GetGraph().GetNode()
	for i, node := range nodes {
		if node.GetOpType() == "SbS" {
			computed := op("computed = Abs(" + node.GetInput()[2] + ")")
			node.Input[2] = "computed"
			pb.Graph.Node = append(append(append([]*onnxpb.NodeProto{}, nodes[:i]...), computed), nodes[i:]...)
			break
		}
	}
	m := load(t, pb, runtime.IgnoreChecksum())
	in := values{"image": modeltest.Pixels(4, 1, n.Input)}
	const want = "auto needs to know epsilon_xy, but the model computes it"
	_, err = m.Run(t.Context(), in, runtime.Spikes(9), runtime.EpsilonSchedule(*auto))
	require.ErrorIs(t, err, runtime.ErrOption)
	require.ErrorContains(t, err, want)
	data, err := onnx.MarshalStamped(pb)
	require.NoError(t, err)
	_, err = runtime.New(data, runtime.Spikes(9), runtime.EpsilonSchedule(*auto))
	require.ErrorIs(t, err, runtime.ErrOption)
	require.ErrorContains(t, err, want)
	_, err = m.Run(t.Context(), in, runtime.Spikes(9))
	require.NoError(t, err)
}
