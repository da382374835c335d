package runtime_test

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	goruntime "runtime"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestContract_OutputsBelongToTheCaller writes to every output, and checks that neither
// the model nor the inputs nor other outputs change.
func TestContract_OutputsBelongToTheCaller(t *testing.T) {
	x := []*onnxpb.ValueInfoProto{info("x", 2)}
	branches := []*onnxpb.AttributeProto{subgraph("then_branch", "", "pair", nil), subgraph("else_branch", "", "x", nil)}
	for name, c := range map[string]struct {
		outputs string
		list    nodes
	}{
		"initializer":                       {"pair, y", nodes{op("y = Add(x, pair)")}},
		"input":                             {"x, y", nodes{op("y = Add(x, x)")}},
		"value computed at load":            {"s, y", nodes{op("s = Shape(x)"), op("y = Neg(x)")}},
		"identity of an input":              {"y, z", nodes{op("y = Identity(x)"), op("z = Identity(y)")}},
		"reshaped input":                    {"y", nodes{op("y = Flatten(x)", intAttr("axis", 0))}},
		"constant through a branch":         {"y, pair", nodes{op("y = If(true)", branches...)}},
		"input through a branch":            {"y", nodes{op("y = If(false)", branches...)}},
		"state of a loop without iteration": {"y", nodes{op("y = Loop(none, true, pair)", subgraph("body", "i, d, s", "d, s", nil))}},
		"input through two loops": {"y, z", nodes{
			op("y = Loop(two, true, x)", subgraph("body", "i, d, s", "d, s", nil)), op("z = Loop(two, true, x)", subgraph("body", "i, d, s", "d, s", nil)),
		}},
		"input twice through a loop": {"y, z", nodes{op("y, z = Loop(two, true, x, x)", subgraph("body", "i, d, s, t", "d, s, s", nil))}},
		"initializer in a branch": {"y", nodes{op("y = If(true)",
			subgraph("then_branch", "", "w", nil, onnx.Float32Tensor("w", []int{2}, []float32{1, 2})), subgraph("else_branch", "", "x", nil))}},
		"input twice through a branch": {"y, z", nodes{op("y, z = If(false)", subgraph("then_branch", "", "x, x", nil), subgraph("else_branch", "", "x, x", nil))}},
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, network(x, c.outputs, c.list))
			in := values{"x": f32([]int{2}, 3, 4)}
			want, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			for spoiled := range want {
				out, err := m.Run(t.Context(), in)
				require.NoError(t, err)
				for output := range want {
					requireSame(t, want[output], out[output], "before %s was written to: %s", spoiled, output)
				}
				kept := map[string]*runtime.Tensor{}
				for output, v := range out {
					kept[output] = v.Clone()
				}
				overwrite(out[spoiled])
				for output := range want {
					if output != spoiled {
						requireSame(t, kept[output], out[output], "%s changed with %s", output, spoiled)
					}
				}
				require.Equal(t, []float32{3, 4}, in["x"].Float32s(), "the input changed with %s", spoiled)
			}
			again, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			for output := range want {
				requireSame(t, want[output], again[output], "the model changed: %s", output)
			}
		})
	}
}

func overwrite(t *runtime.Tensor) {
	for i := range t.Float32s() {
		t.Float32s()[i] = 100
	}
	for i := range t.Int64s() {
		t.Int64s()[i] = 100
	}
}

func TestContract_DescriptionsAreCopies(t *testing.T) {
	n := converttest.Digits()
	m := open(t, n)
	m.Inputs()[0].Shape[1] = ops.Dim{Size: 5}
	m.Outputs()[0].Shape[1] = ops.Dim{Size: 5}
	m.Metadata()["ai.sbs.name"] = "x"
	m.SbSLayers()[0].Name = "x"
	require.Equal(t, "float32(batch, 1, 12, 12)", m.Inputs()[0].Type.String())
	require.Equal(t, "float32(batch, 3)", m.Outputs()[0].Type.String())
	require.Equal(t, "digits", m.Metadata()["ai.sbs.name"])
	layers := []runtime.SbSLayer{
		{Name: "L0/SbS", Spikes: 40, Sampler: runtime.IID, Epsilon0: 1, Positions: 36, Updates: 40 * 36},
		{Name: "L2/SbS", Spikes: 40, Sampler: runtime.IID, Epsilon0: 1, Positions: 1, Updates: 40},
	}
	require.Equal(t, layers, m.SbSLayers())
	layers[1].Spikes, layers[1].Updates, layers[1].Sampler = 7, 7, runtime.LowDiscrepancy
	changed := open(t, n, runtime.Layer("L2", runtime.Dynamics{Spikes: 7, Sampler: runtime.LowDiscrepancy}))
	require.Equal(t, layers, changed.SbSLayers(), "with the options of the model")
	run(t, m, modeltest.Pixels(1, 2, n.Input))
}

// open returns the model of a network, which the end of the test closes.
func open(t testing.TB, n *convert.Network, opts ...runtime.Option) *runtime.Model {
	t.Helper()
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func TestContract_NilAndZeroAreErrors(t *testing.T) {
	n := converttest.Digits()
	data := modeltest.Write(t, n, convert.Options{})
	image := modeltest.Pixels(1, 1, n.Input)
	in := map[string]*runtime.Tensor{"image": image}

	_, err := runtime.New(nil)
	require.ErrorIs(t, err, runtime.ErrModel)
	_, err = runtime.New(data, nil)
	require.ErrorIs(t, err, runtime.ErrOption)
	_, err = runtime.Open("")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = runtime.OpenFS(nil, "model.onnx")
	require.ErrorContains(t, err, "the file system is nil")

	for _, m := range []*runtime.Model{nil, new(runtime.Model)} {
		_, err = m.Run(t.Context(), in)
		require.ErrorContains(t, err, "was not loaded")
		require.NoError(t, m.Close())
		require.Empty(t, m.Inputs())
		require.Empty(t, m.Outputs())
		require.Empty(t, m.Metadata())
		require.Empty(t, m.Warnings())
		require.Empty(t, m.SbSLayers())
		require.Equal(t, "no model", m.String())
	}

	m := open(t, n)
	for name, o := range map[string]runtime.RunOption{
		"nil": nil, "observe": runtime.Observe(nil), "watch": runtime.Watch(runtime.Watcher{}), "profile": runtime.Profile(nil),
		"layer": runtime.Layer("", runtime.Dynamics{}),
	} {
		_, err = m.Run(t.Context(), in, o)
		require.ErrorIs(t, err, runtime.ErrOption, name)
	}
	_, err = m.Run(nil, in) //nolint:staticcheck // tests the error
	require.ErrorContains(t, err, "the context is nil")
	_, err = m.Run(t.Context(), nil)
	require.ErrorIs(t, err, runtime.ErrInput)
	_, err = m.Run(t.Context(), map[string]*runtime.Tensor{"image": nil})
	require.ErrorIs(t, err, runtime.ErrInput)
	_, err = m.Run(t.Context(), in, runtime.InjectSpikes(map[string]*runtime.Tensor{"L0/SbS": nil}))
	require.ErrorIs(t, err, runtime.ErrInput)
	run(t, m, image, runtime.InjectSpikes(nil), runtime.InjectUniforms(nil), runtime.Seeds(nil), runtime.ImageNumbers(nil))
}

// TestContract_ZeroMeansTheDefault gives every option its zero value.
func TestContract_ZeroMeansTheDefault(t *testing.T) {
	n := converttest.Digits()
	image := modeltest.Pixels(1, 2, n.Input)
	want := run(t, open(t, n), image)
	m := open(t, n, runtime.Workers(0), runtime.MemoryLimit(0), runtime.Spikes(0), runtime.WithSampler(""), runtime.Epsilon0(0),
		runtime.AllLayers(runtime.Dynamics{}), runtime.Layer("L0", runtime.Dynamics{}), runtime.WithOperators())
	require.Equal(t, want, run(t, m, image))
	require.Equal(t, want, run(t, m, image, runtime.Spikes(0), runtime.WithSampler(""), runtime.Epsilon0(0), runtime.Layer("L2", runtime.Dynamics{}),
		runtime.Seed(0), runtime.FirstImage(0)))
}

func TestContract_OptionsOutOfRangeAreRefused(t *testing.T) {
	n := converttest.OwnEpsilonT(converttest.Digits())
	m := open(t, n)
	image := modeltest.Pixels(1, 1, n.Input)
	for _, o := range []runtime.Option{
		runtime.Workers(-1), runtime.MemoryLimit(-1), runtime.Spikes(-1), runtime.Spikes(1 << 30), runtime.WithSampler("sobol"),
		runtime.Epsilon0(-1), runtime.Epsilon0(float32(math.NaN())), runtime.EpsilonSchedule(runtime.Schedule{Power: 1}),
		runtime.EpsilonSchedule(runtime.Schedule{Power: math.NaN()}), runtime.Layer("L1", runtime.Dynamics{Spikes: 5}),
		runtime.Layer("L0", runtime.Dynamics{Spikes: -1}), runtime.Spikes(41), runtime.Layer("L2", runtime.Dynamics{Spikes: 41}),
		runtime.EachLayer(), runtime.EachLayer(runtime.Dynamics{}), runtime.EachLayer(runtime.Dynamics{}, runtime.Dynamics{Epsilon0: -1}), runtime.EachLayer(make([]runtime.Dynamics, 3)...),
		runtime.WithOperators(ops.Operator{}), runtime.WithOperators(ops.Operator{Name: "If", New: func(ops.Node) (ops.Op, error) { return nil, nil }}),
	} {
		_, err := runtime.New(modeltest.Write(t, n, convert.Options{}), o)
		require.ErrorIs(t, err, runtime.ErrOption)
		require.NotErrorIs(t, err, runtime.ErrModel)
		r, ok := o.(runtime.RunOption)
		if !ok {
			continue
		}
		_, err = m.Run(t.Context(), values{"image": image}, r)
		require.ErrorIs(t, err, runtime.ErrOption)
	}
}

// TestContract_InjectedNumbersAreChecked injects uniform numbers outside [0, 1) into an SbS
// node and into a standard node.
func TestContract_InjectedNumbersAreChecked(t *testing.T) {
	n := converttest.Digits()
	m := open(t, n)
	draws := load(t, network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{op("u = RandomUniformLike(x)"), op("y = Add(x, u)")}))
	for _, bad := range []float64{-3, 1, 7, math.NaN(), math.Inf(1), -1e-9} {
		u := f32([]int{1, 40, 6, 6}, make([]float32, 40*36)...)
		u.Float32s()[700] = float32(bad)
		_, err := m.Run(t.Context(), values{"image": modeltest.Pixels(1, 1, n.Input)}, runtime.InjectUniforms(values{"L0/SbS": u}))
		require.ErrorContains(t, err, "[0, 1)", bad)
		_, err = draws.Run(t.Context(), values{"x": f32([]int{2}, 1, 2)}, runtime.InjectUniforms(values{"u": f32([]int{2}, 0.5, float32(bad))}))
		require.ErrorContains(t, err, "[0, 1)", bad)
		require.ErrorIs(t, err, runtime.ErrInput)
	}
}

// TestContract_BadWeightsAreRefusedAtLoad stores an invalid number in the arrays of a file.
func TestContract_BadWeightsAreRefusedAtLoad(t *testing.T) {
	for _, bad := range []float64{-1e-6, math.NaN(), math.Inf(1)} {
		for _, array := range []string{"L2/SbS/W", "L2/SbS/epsilon_xy"} {
			pb, err := onnx.Unmarshal(t.Context(), modeltest.Write(t, converttest.EveryLayer(), convert.Options{}))
			require.NoError(t, err)
			found := false
			for i, p := range pb.GetGraph().GetInitializer() {
				if p.GetName() == array {
					shape, data, err := onnx.TensorData(t.Context(), p)
					require.NoError(t, err)
					v, ok := data.([]float32)
					require.True(t, ok)
					v[3] = float32(bad)
					pb.Graph.Initializer[i], found = onnx.Float32Tensor(array, shape, v), true
				}
			}
			require.True(t, found, array)
			data, err := onnx.MarshalStamped(pb)
			require.NoError(t, err)
			_, err = runtime.New(data)
			require.ErrorIs(t, err, runtime.ErrModel)
			require.ErrorContains(t, err, "L2/SbS")
		}
	}
}

// goroutines returns the number of goroutines after those that are about to end have ended.
func goroutines() int {
	n := goruntime.NumGoroutine()
	for range 50 {
		time.Sleep(time.Millisecond)
		if now := goruntime.NumGoroutine(); now < n {
			n = now
		}
	}
	return n
}

// TestContract_WorkersAreBounded sets a million workers, and runs the model eight times at
// the same time.
func TestContract_WorkersAreBounded(t *testing.T) {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(4))
	n := converttest.Digits()
	image := modeltest.Pixels(1, 64, n.Input)
	want := run(t, open(t, n, runtime.Workers(1)), image)
	before := goroutines()
	m := open(t, n, runtime.Workers(1_000_000))
	require.Equal(t, want, run(t, m, image))
	require.LessOrEqual(t, goroutines(), before+3)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _ = m.Run(context.Background(), values{"image": image}) })
	}
	wg.Wait()
	require.LessOrEqual(t, goroutines(), before+3, "all runs share the workers")
}

func TestContract_CloseEndsAllGoroutines(t *testing.T) {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(4))
	n := converttest.Digits()
	image := modeltest.Pixels(1, 64, n.Input)
	before := goroutines()
	for range 20 {
		m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
		require.NoError(t, err)
		want := run(t, m, image)
		require.NoError(t, m.Close())
		require.NoError(t, m.Close(), "second call")
		require.Equal(t, want, run(t, m, image), "after Close")
	}
	require.LessOrEqual(t, goroutines(), before)
}

// TestContract_NoFileStaysInMemory compares the heap after loading with the size of the
// weights.
func TestContract_NoFileStaysInMemory(t *testing.T) {
	const size = 1 << 22 // numbers
	data, err := onnx.MarshalStamped(&onnxpb.ModelProto{
		IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}},
		Graph: &onnxpb.GraphProto{
			Input: []*onnxpb.ValueInfoProto{info("x", size)}, Output: []*onnxpb.ValueInfoProto{{Name: "y"}},
			Initializer: []*onnxpb.TensorProto{onnx.Float32Tensor("w", []int{size}, make([]float32, size))}, Node: nodes{op("y = Add(x, w)")},
		},
	})
	require.NoError(t, err)
	files := fstest.MapFS{"m.onnx": {Data: data}}
	heap := func() uint64 {
		goruntime.GC()
		goruntime.GC()
		var s goruntime.MemStats
		goruntime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	m, err := runtime.OpenFS(files, "m.onnx")
	require.NoError(t, err)
	taken := heap() - before
	require.Less(t, float64(taken), 1.1*4*size)
	goruntime.KeepAlive(m)
	goruntime.KeepAlive(files)
}

// TestOpenFS_ReadsExternalData opens a model with external data in a folder of a file
// system, a missing model, and a model with missing external data.
func TestOpenFS_ReadsExternalData(t *testing.T) {
	n := converttest.Digits()
	data := modeltest.Write(t, n, convert.Options{})
	pb, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	files := fstest.MapFS{}
	for i, p := range pb.GetGraph().GetInitializer() {
		if len(p.GetRawData()) == 0 {
			continue
		}
		file := fmt.Sprintf("data/%d.bin", i)
		files["models/"+file] = &fstest.MapFile{Data: p.GetRawData()}
		p.RawData, p.DataLocation = nil, onnxpb.TensorProto_EXTERNAL
		p.ExternalData = []*onnxpb.StringStringEntryProto{{Key: "location", Value: file}}
	}
	require.NotEmpty(t, files)
	outside, err := onnx.Marshal(pb) // the checksum still fits
	require.NoError(t, err)
	files["models/m.onnx"] = &fstest.MapFile{Data: outside}
	m, err := runtime.OpenFS(files, "models/m.onnx")
	require.NoError(t, err)
	image := modeltest.Pixels(1, 2, n.Input)
	require.Equal(t, run(t, open(t, n), image), run(t, m, image))
	damaged := slices.Clone(files["models/data/0.bin"].Data)
	damaged[5] ^= 1
	before := files["models/data/0.bin"]
	files["models/data/0.bin"] = &fstest.MapFile{Data: damaged}
	_, err = runtime.OpenFS(files, "models/m.onnx")
	require.ErrorIs(t, err, runtime.ErrChecksum)
	files["models/data/0.bin"] = before
	_, err = runtime.OpenFS(files, "m.onnx")
	require.ErrorIs(t, err, fs.ErrNotExist)
	delete(files, "models/data/0.bin")
	for name := range files {
		if name != "models/m.onnx" {
			delete(files, name)
			break
		}
	}
	_, err = runtime.OpenFS(files, "models/m.onnx")
	require.ErrorIs(t, err, runtime.ErrModel)
	require.ErrorContains(t, err, "models/m.onnx")
}

func TestModel_DescribesItselfAndWarns(t *testing.T) {
	m := open(t, converttest.Digits())
	require.Equal(t, "6 nodes (2 SbS), inputs: image float32(batch, 1, 12, 12), outputs: probabilities float32(batch, 3)", m.String())
	require.Empty(t, m.Warnings())
	few := open(t, converttest.Digits(), runtime.EachLayer(runtime.Dynamics{Spikes: 5}, runtime.Dynamics{Spikes: 4})).Warnings()
	require.Len(t, few, 1)
	require.Contains(t, few[0], "L2/SbS draws 4 spikes instead of 40: epsilon is too small for so few spikes, which lowers the accuracy")
	require.Empty(t, open(t, converttest.Digits(), runtime.Spikes(4), runtime.Epsilon0(20)).Warnings())

	pb := network([]*onnxpb.ValueInfoProto{info("x", 2)}, "y", nodes{op("y = Add(x, pair)")})
	pb.MetadataProps = []*onnxpb.StringStringEntryProto{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}
	m = load(t, pb)
	require.Len(t, m.Warnings(), 1)
	require.Contains(t, m.Warnings()[0], `the key "a" more than once`)
}

// TestContract_ErrorsTellInputsFromFaults makes mistakes that a service must answer for.
func TestContract_ErrorsTellInputsFromFaults(t *testing.T) {
	n := converttest.Digits()
	m := open(t, n)
	bad := modeltest.Pixels(1, 1, n.Input)
	bad.Float32s()[65] = float32(math.NaN())
	_, err := m.Run(t.Context(), values{"image": bad})
	require.ErrorIs(t, err, runtime.ErrValue)
	image := modeltest.Pixels(1, 1, n.Input)
	few := f32([]int{1, 1, 6, 6}, make([]float32, 36)...)
	_, err = m.Run(t.Context(), values{"image": image}, runtime.InjectUniforms(values{"L0": few}))
	require.ErrorIs(t, err, runtime.ErrInput)
	_, err = m.Run(t.Context(), values{"image": image}, runtime.InjectSpikes(values{"L1": few}))
	require.ErrorIs(t, err, runtime.ErrInput)
}
