package runtime_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestRun_ChangesLayersAsLoadingDoes compares runs with options for layers with runs of a
// model that was opened with these options.
func TestRun_ChangesLayersAsLoadingDoes(t *testing.T) {
	n := converttest.Digits()
	image := modeltest.Pixels(4, 3, n.Input)
	m := open(t, n)
	plain := run(t, m, image)
	constant := &runtime.Schedule{}
	for name, list := range map[string][]runtime.LayerOption{
		"spikes":                     {runtime.Spikes(7)},
		"sampler":                    {runtime.WithSampler(runtime.LowDiscrepancy)},
		"epsilon_0":                  {runtime.Epsilon0(0.3)},
		"schedule":                   {runtime.EpsilonSchedule(*constant)},
		"more spikes than epsilon_t": {runtime.Spikes(100), runtime.EpsilonSchedule(*constant)},
		"one layer":                  {runtime.Layer("L0", runtime.Dynamics{Spikes: 5, Epsilon0: 8})},
		"node, layer and all layers": {runtime.Layer("L0/SbS", runtime.Dynamics{Spikes: 5}), runtime.Layer("L0", runtime.Dynamics{Spikes: 6, Epsilon0: 2}), runtime.Spikes(9)},
		"each layer":                 {runtime.EachLayer(runtime.Dynamics{Spikes: 5, Epsilon0: 8}, runtime.Dynamics{Spikes: 9, Sampler: runtime.LowDiscrepancy})},
		"each layer and one layer":   {runtime.Layer("L2", runtime.Dynamics{Spikes: 8}), runtime.EachLayer(runtime.Dynamics{Spikes: 5}, runtime.Dynamics{Spikes: 9}), runtime.Epsilon0(2)},
		"more spikes":                {runtime.Spikes(100)},
		"all properties":             {runtime.Spikes(9), runtime.Layer("L2", runtime.Dynamics{Spikes: 50, Sampler: runtime.LowDiscrepancy, Epsilon0: 2, Schedule: constant})},
	} {
		t.Run(name, func(t *testing.T) {
			var atLoad []runtime.Option
			var atRun []runtime.RunOption
			for _, o := range list {
				atLoad, atRun = append(atLoad, o), append(atRun, o)
			}
			want := run(t, open(t, n, atLoad...), image)
			require.NotEqual(t, plain, want)
			require.Equal(t, want, run(t, m, image, atRun...))
			require.Equal(t, want, run(t, m, image, atRun...), "second run")
			require.Equal(t, plain, run(t, m, image), "run without options")
		})
	}
	// A network converted with these numbers of spikes gives the same outputs.
	own := converttest.Digits()
	for i, spikes := range map[int]int{0: 11, 2: 13} {
		own.Layers[i].(*convert.SbS).Spikes = spikes
	}
	require.Equal(t, run(t, open(t, own), image),
		run(t, m, image, runtime.Layer("L0", runtime.Dynamics{Spikes: 11}), runtime.Layer("L2/SbS", runtime.Dynamics{Spikes: 13})))
	require.Equal(t, run(t, open(t, own), image),
		run(t, m, image, runtime.EachLayer(runtime.Dynamics{Spikes: 11}, runtime.Dynamics{Spikes: 13})))
	require.Equal(t, run(t, open(t, own), image),
		run(t, m, image, runtime.EachLayer(runtime.Dynamics{Spikes: 7}, runtime.Dynamics{Spikes: 13}), runtime.EachLayer(runtime.Dynamics{Spikes: 11}, runtime.Dynamics{})))
}

// TestRun_EachLayerDoesNotNeedNames has two SbS nodes with the same name.
func TestRun_EachLayerDoesNotNeedNames(t *testing.T) {
	n := converttest.Digits()
	pb, err := onnx.Unmarshal(t.Context(), modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	for _, node := range pb.GetGraph().GetNode() {
		node.Name = "same"
	}
	require.NoError(t, onnx.Stamp(pb))
	image, each := modeltest.Pixels(4, 3, n.Input), runtime.EachLayer(runtime.Dynamics{Spikes: 5}, runtime.Dynamics{Spikes: 30})
	want := run(t, load(t, pb, each), image)
	require.Equal(t, want, run(t, open(t, n, each), image))
	require.Equal(t, want, run(t, load(t, pb), image, each))
}

func TestRun_RefusesLayersThatItCannotChange(t *testing.T) {
	n := converttest.Digits()
	in := values{"image": modeltest.Pixels(4, 1, n.Input)}
	for _, c := range []struct {
		network *convert.Network
		load    []runtime.Option
		option  runtime.RunOption
		want    string
	}{
		{converttest.OwnEpsilonT(converttest.Digits()), nil, runtime.Spikes(41), "epsilon_t has only 40 entries"},
		{n, nil, runtime.EachLayer(make([]runtime.Dynamics, 3)...), "there are values for 3 SbS layers, but the model has 2: L0/SbS, L2/SbS"},
		{n, nil, runtime.EachLayer(runtime.Dynamics{}, runtime.Dynamics{Spikes: -1}), "Spike-By-Spike layer number 2: -1 spikes"},
		{n, nil, runtime.Layer("L1", runtime.Dynamics{Spikes: 5}), `there is no SbS layer "L1"; the SbS layers of the model are L0/SbS, L2/SbS`},
		{n, []runtime.Option{runtime.PreferFunctions()}, runtime.Spikes(5), "set them when opening the model"},
	} {
		_, err := open(t, c.network, c.load...).Run(t.Context(), in, c.option)
		require.ErrorIs(t, err, runtime.ErrOption)
		require.ErrorContains(t, err, c.want)
	}
	m := load(t, convolutions(1, 2, 4))
	_, err := m.Run(t.Context(), values{"x0": f32([]int{1, 2, 4, 4}, make([]float32, 32)...)}, runtime.Spikes(5))
	require.ErrorIs(t, err, runtime.ErrOption)
}

// TestRun_NamesFirstWrongOption gives several wrong options. Which of them the error
// names must not change from run to run.
func TestRun_NamesFirstWrongOption(t *testing.T) {
	n := converttest.Digits()
	m, in := open(t, n), values{"image": modeltest.Pixels(4, 1, n.Input)}
	unknown := func(name string) runtime.LayerOption { return runtime.Layer(name, runtime.Dynamics{Spikes: 5}) }
	for range 20 {
		_, err := m.Run(t.Context(), in, unknown("Z"), unknown("B"), unknown("A"), unknown("Y"))
		require.ErrorContains(t, err, `there is no SbS layer "A"`)
		_, err = runtime.New(modeltest.Write(t, n, convert.Options{}), unknown("Z"), unknown("B"), unknown("A"), unknown("Y"))
		require.ErrorContains(t, err, `there is no SbS layer "A"`)
		_, err = m.Run(t.Context(), in, runtime.Seeds([]uint64{1, 2}), runtime.ImageNumbers([]uint64{1, 2, 3}))
		require.ErrorContains(t, err, "2 seeds for a batch of 1")
	}
}

// TestRun_AcceptsMoreDynamicsThanAreCached runs with more numbers of spikes than
// the model keeps operators for.
func TestRun_AcceptsMoreDynamicsThanAreCached(t *testing.T) {
	n := converttest.Digits()
	m, image := open(t, n), modeltest.Pixels(4, 1, n.Input)
	want := run(t, m, image, runtime.Spikes(1))
	for i := range 40 {
		run(t, m, image, runtime.Spikes(i+1))
	}
	require.Equal(t, want, run(t, m, image, runtime.Spikes(1)))
}

// TestRun_SeedsAndNumbersPerImageMatchSingleRuns sets one seed and one
// number per image of a batch, and compares with runs of single images.
func TestRun_SeedsAndNumbersPerImageMatchSingleRuns(t *testing.T) {
	n := converttest.Digits()
	m := open(t, n)
	const images = 5
	all := modeltest.Pixels(9, images, n.Input)
	seeds, numbers := []uint64{3, 1 << 60, 3, 0, 7}, []uint64{100, 2, 7, 2, 1 << 50}
	size := all.Len() / images
	var want []float32
	for i := range images {
		one := f32([]int{1, 1, 12, 12}, all.Float32s()[i*size:(i+1)*size]...)
		want = append(want, run(t, m, one, runtime.Seed(seeds[i]), runtime.FirstImage(numbers[i]))...)
	}
	require.Equal(t, want, run(t, m, all, runtime.Seeds(seeds), runtime.ImageNumbers(numbers)))
	require.NotEqual(t, want, run(t, m, all, runtime.Seeds(seeds)))
	require.NotEqual(t, want, run(t, m, all))
	require.Equal(t, run(t, m, all, runtime.Seed(4), runtime.FirstImage(9)),
		run(t, m, all, runtime.Seeds([]uint64{4, 4, 4, 4, 4}), runtime.ImageNumbers([]uint64{9, 10, 11, 12, 13})))
	require.Equal(t, run(t, m, all, runtime.Seed(4)), run(t, m, all, runtime.Seeds(seeds), runtime.Seed(4)), "the last option takes precedence")
	for _, o := range []runtime.RunOption{runtime.Seeds(seeds[:4]), runtime.ImageNumbers(numbers[:4]), runtime.Seeds([]uint64{})} {
		_, err := m.Run(t.Context(), values{"image": all}, o)
		require.ErrorIs(t, err, runtime.ErrInput)
	}
	// Standard operators that draw random numbers, in the fallback definition of SbS.
	inline, err := runtime.New(modeltest.Write(t, n, convert.Options{Body: convert.BodyInline}))
	require.NoError(t, err)
	require.NotEqual(t, run(t, inline, all), run(t, inline, all, runtime.Seeds(seeds)))
}

// watched collects the snapshots of a run.
func watched(t *testing.T, m *runtime.Model, image *runtime.Tensor, w runtime.Watcher, opts ...runtime.RunOption) (out []float32, list []runtime.Snapshot) {
	t.Helper()
	w.Snapshot = func(s runtime.Snapshot) bool {
		list = append(list, s)
		return true
	}
	return run(t, m, image, append(opts, runtime.Watch(w))...), list
}

// TestWatch_ShowsPrefixesOfTheRun compares snapshots with the output of the layer, and with
// runs that inject the spikes of the snapshots.
func TestWatch_ShowsPrefixesOfTheRun(t *testing.T) {
	for name, n := range map[string]*convert.Network{"digits": converttest.Digits(), "every layer": converttest.EveryLayer()} {
		t.Run(name, func(t *testing.T) {
			m, image := open(t, n), modeltest.Pixels(2, 3, n.Input)
			seed := runtime.Seed(5)
			layers := map[string]*runtime.Tensor{}
			want := run(t, m, image, seed, runtime.Observe(func(name string, v *runtime.Tensor) { layers[name] = v }))
			full := n.Layers[2].(*convert.SbS).Spikes
			got, list := watched(t, m, image, runtime.Watcher{After: []int{full, 1, 10, 2, 10, 1000}, Spikes: true}, seed)
			require.Equal(t, want, got, "output of the watched run")
			require.Len(t, list, 4*len(m.SbSLayers()))
			for i, s := range list {
				require.Equal(t, []int{1, 2, 10, full}[i%4], s.Spikes)
				require.Equal(t, full, s.Total)
				layer, _, _ := strings.Cut(s.Layer, "/")
				require.Equal(t, m.SbSLayers()[i/4].Name, s.Layer)
				require.Equal(t, []int{3, s.Spikes, s.H.Shape()[2], s.H.Shape()[3]}, s.Drawn.Shape())
				if i%4 == 3 {
					require.Equal(t, layers[layer].Float32s(), s.H.Float32s(), "after all spikes")
					again := run(t, m, image, seed, runtime.InjectSpikes(values{layer: s.Drawn}))
					require.Equal(t, again, run(t, m, image, seed, runtime.InjectSpikes(values{s.Layer: s.Drawn})))
					require.InDeltaSlice(t, want, again, 1e-5, "the spikes of %s", s.Layer)
				} else {
					require.NotEqual(t, layers[layer].Float32s(), s.H.Float32s())
					require.Equal(t, firstSpikes(list[i/4*4+3].Drawn, s.Spikes), s.Drawn.Int64s(), "the first of all spikes")
				}
			}
			// The first layer has the same input in a run with fewer spikes in all layers.
			observed := map[string]*runtime.Tensor{}
			run(t, m, image, seed, runtime.Spikes(10), runtime.Observe(func(name string, v *runtime.Tensor) { observed[name] = v }))
			first, _, _ := strings.Cut(m.SbSLayers()[0].Name, "/")
			require.Equal(t, observed[first].Float32s(), list[2].H.Float32s())
		})
	}
}

// firstSpikes returns the first n spikes of every position.
func firstSpikes(spikes *runtime.Tensor, n int) []int64 {
	s := spikes.Shape()
	positions := s[2] * s[3]
	var out []int64
	for b := range s[0] {
		out = append(out, spikes.Int64s()[b*s[1]*positions:][:n*positions]...)
	}
	return out
}

// TestWatch_FollowsChangedLayers watches a run with other samplers and numbers of spikes.
func TestWatch_FollowsChangedLayers(t *testing.T) {
	n := converttest.Digits()
	m, image := open(t, n), modeltest.Pixels(2, 2, n.Input)
	opts := []runtime.RunOption{runtime.WithSampler(runtime.LowDiscrepancy), runtime.Layer("L2", runtime.Dynamics{Spikes: 15})}
	want := run(t, m, image, opts...)
	got, list := watched(t, m, image, runtime.Watcher{Layers: []string{"L2"}, After: []int{15, 16, 40}}, opts...)
	require.Equal(t, want, got)
	require.Len(t, list, 1)
	require.Equal(t, "L2/SbS", list[0].Layer)
	require.Nil(t, list[0].Drawn)
}

// TestWatch_EmptyLayersMeanAll watches with an empty list of layers, which means the default
// as nil does.
func TestWatch_EmptyLayersMeanAll(t *testing.T) {
	n := converttest.Digits()
	m, image := open(t, n), modeltest.Pixels(2, 1, n.Input)
	_, list := watched(t, m, image, runtime.Watcher{Layers: []string{}, After: []int{1}})
	require.Len(t, list, len(m.SbSLayers()))
}

func TestWatch_StopsTheRun(t *testing.T) {
	n := converttest.Digits()
	m, image := open(t, n), modeltest.Pixels(2, 2, n.Input)
	seen := 0
	out, err := m.Run(t.Context(), values{"image": image}, runtime.Watch(runtime.Watcher{After: []int{1, 2, 3}, Snapshot: func(runtime.Snapshot) bool {
		seen++
		return seen < 2
	}}))
	require.ErrorIs(t, err, runtime.ErrStopped)
	require.Nil(t, out)
	require.Equal(t, 2, seen)
}

func TestWatch_RefusesUnsupportedRequests(t *testing.T) {
	n := converttest.Digits()
	image := modeltest.Pixels(2, 1, n.Input)
	all := func(runtime.Snapshot) bool { return true }
	replaced := sbs.Operator()
	inner := replaced.New
	replaced.New = func(node ops.Node) (ops.Op, error) {
		op, err := inner(node)
		return wrapped{op}, err
	}
	for _, c := range []struct {
		options []runtime.Option
		watcher runtime.Watcher
		want    string
	}{
		{nil, runtime.Watcher{After: []int{0}, Snapshot: all}, "After of the Watcher contains 0 spikes"},
		{nil, runtime.Watcher{Snapshot: all}, "the Watcher is incomplete"},
		{nil, runtime.Watcher{After: []int{1}}, "the Watcher is incomplete"},
		{nil, runtime.Watcher{After: []int{1}, Layers: []string{"L1"}, Snapshot: all}, `there is no SbS layer "L1" to watch; the SbS layers are L0/SbS, L2/SbS`},
		{[]runtime.Option{runtime.PreferFunctions()}, runtime.Watcher{After: []int{1}, Snapshot: all}, "no SbS operator to watch"},
		{[]runtime.Option{runtime.WithOperators(replaced)}, runtime.Watcher{After: []int{1}, Snapshot: all}, "was replaced"},
	} {
		_, err := open(t, n, c.options...).Run(t.Context(), values{"image": image}, runtime.Watch(c.watcher))
		require.ErrorIs(t, err, runtime.ErrOption)
		require.ErrorContains(t, err, c.want)
	}
	small := open(t, n, runtime.MemoryLimit(12_000)) // enough for a run, but not with the 40*6*6 spikes of 8 bytes
	run(t, small, image)
	_, err := small.Run(t.Context(), values{"image": image},
		runtime.Watch(runtime.Watcher{After: []int{40}, Spikes: true, Snapshot: all}))
	require.ErrorIs(t, err, runtime.ErrMemory)
}

type wrapped struct{ ops.Op }
