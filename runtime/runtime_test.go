package runtime_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// run returns the elements of the only output of a model for images.
func run(t testing.TB, m *runtime.Model, image *runtime.Tensor, opts ...runtime.RunOption) []float32 {
	t.Helper()
	out, err := m.Run(t.Context(), map[string]*runtime.Tensor{"image": image}, opts...)
	require.NoError(t, err)
	require.Len(t, out, 1)
	return out[m.Outputs()[0].Name].Float32s()
}

func TestModel_DescribesInputsAndOutputs(t *testing.T) {
	m, err := runtime.New(modeltest.Write(t, converttest.Digits(), convert.Options{}))
	require.NoError(t, err)
	require.Len(t, m.Inputs(), 1)
	require.Equal(t, "image", m.Inputs()[0].Name)
	require.Equal(t, "float32(batch, 1, 12, 12)", m.Inputs()[0].Type.String())
	require.Len(t, m.Outputs(), 1)
	require.Equal(t, "probabilities", m.Outputs()[0].Name)
	require.Equal(t, "float32(batch, 3)", m.Outputs()[0].Type.String())
	require.Equal(t, `["a","b","c"]`, m.Metadata()[metadata.Classes])

	m, err = runtime.New(modeltest.Write(t, converttest.Digits(), convert.Options{Batch: 4}))
	require.NoError(t, err)
	require.Equal(t, "float32(4, 1, 12, 12)", m.Inputs()[0].Type.String())
}

// TestRun_ComputesEveryKindOfLayer runs a network with every kind of layer. It checks
// the shape of every output, and the values of layers that have a short formula.
func TestRun_ComputesEveryKindOfLayer(t *testing.T) {
	n := converttest.EveryLayer()
	sizes, err := n.Sizes()
	require.NoError(t, err)
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	image := modeltest.Pixels(1, 2, n.Input)
	got := map[string]*runtime.Tensor{}
	run(t, m, image, runtime.Observe(func(name string, v *runtime.Tensor) { got[name] = v }))

	split := got["preprocessing/split"]
	require.Equal(t, []int{2, 6, 12, 12}, split.Shape())
	for i, v := range split.Float32s() {
		b, c, y, x := i/(6*144), i/144%6, i/12%12, i%12
		pixel := image.Float32s()[((b*3+c/2)*14+y+1)*14+x+1]
		d := 2 * (pixel - n.Preprocessing.OnOffMean[c/2])
		if c%2 == 0 {
			d = -d
		}
		require.Equal(t, max(d, 0), v, "off and on of one channel are neighbors")
	}
	for i := range n.Layers {
		v := got[layerName(i)]
		require.Equal(t, []int{2, sizes[i+1].Channels, sizes[i+1].Height, sizes[i+1].Width}, v.Shape(), layerName(i))
	}

	in, out, mean := got["L0"].Float32s(), got["L1"].Float32s(), n.Layers[1].(*convert.OnOff).Mean.Float32s()
	for b := range 2 {
		for p := range 144 {
			var sum float64
			for c := range 4 {
				sum += math.Abs(float64(in[(b*4+c)*144+p] - mean[p]))
			}
			for c := range 4 {
				d := float64(in[(b*4+c)*144+p] - mean[p])
				require.InDelta(t, max(d, 0)/sum, out[(b*8+c)*144+p], 1e-6)
				require.InDelta(t, max(-d, 0)/sum, out[(b*8+4+c)*144+p], 1e-6)
			}
		}
	}

	h, rec, w := got["L9"].Float32s(), got["L10"].Float32s(), n.Layers[10].(*convert.Reconstruction).Weights.Float32s()
	for b := range 2 {
		for p := range 4 {
			v := make([]float64, 54)
			var sum float64
			for k := range v {
				for i := range 4 {
					v[k] += float64(w[k*4+i]) * float64(h[(b*4+i)*4+p])
				}
				sum += v[k]
			}
			for k := range v {
				require.InDelta(t, v[k]/sum, rec[(b*54+k)*4+p], 1e-6)
			}
		}
	}
}

func layerName(i int) string { return "L" + strconv.Itoa(i) }

// TestRun_IgnoresWorkersAndBatches checks that neither the number of workers nor the division
// into batches changes a bit.
func TestRun_IgnoresWorkersAndBatches(t *testing.T) {
	for name, n := range map[string]*convert.Network{"digits": converttest.Digits(), "every layer": converttest.EveryLayer()} {
		t.Run(name, func(t *testing.T) {
			data := modeltest.Write(t, n, convert.Options{})
			const images = 64
			image := modeltest.Pixels(2, images, n.Input)
			var want []float32
			for _, workers := range []int{1, 2, 3} {
				m, err := runtime.New(data, runtime.Workers(workers))
				require.NoError(t, err)
				got := run(t, m, image, runtime.Seed(5), runtime.FirstImage(1000))
				if want == nil {
					want = got
				}
				require.Equal(t, want, got, "%d workers", workers)
				size := image.Len() / images
				var single []float32
				for i := range images {
					one := opstest.F32([]int{1, n.Input.Channels, n.Input.Height, n.Input.Width}, image.Float32s()[i*size:(i+1)*size]...)
					single = append(single, run(t, m, one, runtime.Seed(5), runtime.FirstImage(1000+uint64(i)))...)
				}
				require.Equal(t, want, single, "%d workers, single images", workers)
			}
			m, err := runtime.New(data)
			require.NoError(t, err)
			require.NotEqual(t, want, run(t, m, image, runtime.Seed(6), runtime.FirstImage(1000)), "another seed")
		})
	}
}

func TestRun_ConcurrentRunsAgree(t *testing.T) {
	n := converttest.Digits()
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	image := modeltest.Pixels(3, 8, n.Input)
	want := run(t, m, image)
	results := make(chan []float32)
	for range 8 {
		go func() {
			out, _ := m.Run(t.Context(), map[string]*runtime.Tensor{"image": image})
			results <- out["probabilities"].Float32s()
		}()
	}
	for range 8 {
		require.Equal(t, want, <-results)
	}
}

func TestSpikes_MatchesModelWithFewerSpikes(t *testing.T) {
	n := converttest.Digits()
	data := modeltest.Write(t, n, convert.Options{})
	fewer := converttest.Digits()
	fewer.Layers[0].(*convert.SbS).Spikes = 10
	fewer.Layers[2].(*convert.SbS).Spikes = 10
	image := modeltest.Pixels(4, 2, n.Input)
	want, err := runtime.New(modeltest.Write(t, fewer, convert.Options{}))
	require.NoError(t, err)
	got, err := runtime.New(data, runtime.Spikes(10))
	require.NoError(t, err)
	require.Equal(t, run(t, want, image), run(t, got, image))

	_, err = runtime.New(modeltest.Write(t, converttest.OwnEpsilonT(n), convert.Options{}), runtime.Spikes(41))
	require.ErrorContains(t, err, `node "L0/SbS" (ai.sbs.SbS): bad option: bad attribute: number_of_spikes is 41 but epsilon_t has only 40 entries`)
}

// TestNew_DynamicsMatchModelWrittenWithThem compares options of New with a network that
// is converted with the same values.
func TestNew_DynamicsMatchModelWrittenWithThem(t *testing.T) {
	n := converttest.Digits()
	data := modeltest.Write(t, n, convert.Options{})
	constant, err := sbs.ParseSchedule("constant")
	require.NoError(t, err)
	for _, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			s.Spikes, s.Epsilon0, s.Sampler, s.EpsilonT = 70, 0.3, sbs.LowDiscrepancy, constant.EpsilonT(70)
		}
	}
	want, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	got, err := runtime.New(data, runtime.Spikes(70), runtime.WithSampler(sbs.LowDiscrepancy), runtime.Epsilon0(0.3), runtime.EpsilonSchedule(constant))
	require.NoError(t, err)
	image := modeltest.Pixels(4, 3, n.Input)
	require.Equal(t, run(t, want, image), run(t, got, image))

	_, err = runtime.New(data, runtime.WithSampler("sobol"))
	require.ErrorContains(t, err, `sampler "sobol"`)
}

func TestRun_RefusesWrongInputs(t *testing.T) {
	n := converttest.Digits()
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	image := modeltest.Pixels(5, 1, n.Input)
	type inputs = map[string]*runtime.Tensor
	for _, c := range []struct {
		name string
		in   inputs
		opt  runtime.RunOption
		want string
	}{
		{"missing input", inputs{}, nil, `input "image" is missing: want float32(batch, 1, 12, 12)`},
		{"nil input", inputs{"image": nil}, nil, `input "image" is missing`},
		{"unknown input", inputs{"image": image, "picture": image}, nil, `no input "picture"; its inputs are "image"`},
		{"wrong shape", inputs{"image": opstest.F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)}, nil, `input "image": shape does not fit: want float32(batch, 1, 12, 12), got float32(1, 1, 2, 2)`},
		{"wrong rank", inputs{"image": opstest.F32([]int{1}, 1)}, nil, "got float32(1)"},
		{"wrong element type", inputs{"image": opstest.F64([]int{1, 1, 12, 12}, make([]float64, 144)...)}, nil, "got float64(1, 1, 12, 12)"},
		{"spikes for an unknown node", inputs{"image": image}, runtime.InjectSpikes(inputs{"L9": image}), `for node "L9", but the model has no layer or node of this name that draws random numbers`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var opts []runtime.RunOption
			if c.opt != nil {
				opts = append(opts, c.opt)
			}
			_, err := m.Run(t.Context(), c.in, opts...)
			require.ErrorIs(t, err, runtime.ErrInput)
			require.ErrorContains(t, err, c.want)
		})
	}
	t.Run("uniforms for a node without random numbers", func(t *testing.T) {
		_, err := m.Run(t.Context(), inputs{"image": image}, runtime.InjectUniforms(inputs{"L1/AveragePool": image}))
		require.ErrorIs(t, err, runtime.ErrInput)
	})
	t.Run("pixel that no layer accepts", func(t *testing.T) {
		bad := modeltest.Pixels(5, 1, n.Input)
		bad.Float32s()[5*12+5] = float32(math.NaN())
		_, err := m.Run(t.Context(), inputs{"image": bad})
		var node *runtime.NodeError
		require.ErrorAs(t, err, &node)
		require.Equal(t, "L0/SbS", node.Node)
		require.ErrorContains(t, err, "X holds NaN")
	})
}

// TestMemoryLimit_CoversValuesInUseTogether checks that the limit applies to the values that
// are in use at the same time, and to the output.
func TestMemoryLimit_CoversValuesInUseTogether(t *testing.T) {
	n := converttest.Digits()
	data := modeltest.Write(t, n, convert.Options{})
	image := modeltest.Pixels(6, 1, n.Input)
	// The first layer needs most: its input of 8x8 and its output of 5x6x6 numbers. The
	// output of the network has 3 numbers.
	const buffers, output = 4 * (5*6*6 + 8*8), 4 * 3
	m, err := runtime.New(data, runtime.MemoryLimit(buffers+output))
	require.NoError(t, err)
	run(t, m, image)
	for limit, node := range map[int64]string{buffers + output - 1: "output", buffers - 1: "L0/SbS"} {
		m, err = runtime.New(data, runtime.MemoryLimit(limit))
		require.NoError(t, err)
		_, err = m.Run(t.Context(), map[string]*runtime.Tensor{"image": image})
		require.ErrorIs(t, err, runtime.ErrMemory)
		require.ErrorContains(t, err, fmt.Sprintf("node %q", node))
	}
}

// TestMemoryLimit_BoundsSharedBuffers computes small values that are needed until the end,
// between large values that are not. Small values must not keep the buffers of large ones
// in use.
func TestMemoryLimit_BoundsSharedBuffers(t *testing.T) {
	const size, count, limit = 500, 30, 2 << 20 // a large value is 1 MB
	g := &onnxpb.GraphProto{
		Input: []*onnxpb.ValueInfoProto{info("x", 1, size), info("z", size, 1)}, Output: []*onnxpb.ValueInfoProto{info("y", 1, 1)},
	}
	name := func(kind string, i int) string { return fmt.Sprint(kind, i) }
	for i := range count {
		g.Node = append(g.Node, node("Add", name("large", i), "x", "z"),
			node("ReduceSum", name("sum", i), name("large", i)), node("Neg", name("small", i), name("sum", i)))
	}
	total := "x0"
	g.Node = append(g.Node, node("Neg", total, "small0"))
	for i := 1; i < count; i++ {
		next := name("x", i)
		g.Node = append(g.Node, node("Add", next, total, name("small", i)))
		total = next
	}
	g.Node = append(g.Node, node("Neg", "y", total))
	data, err := onnx.Marshal(&onnxpb.ModelProto{IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}}, Graph: g})
	require.NoError(t, err)
	m, err := runtime.New(data, runtime.MemoryLimit(limit))
	require.NoError(t, err)
	in := map[string]*runtime.Tensor{}
	for name, shape := range map[string][]int{"x": {1, size}, "z": {size, 1}} {
		in[name], err = runtime.NewTensor(shape, make([]float32, size))
		require.NoError(t, err)
	}
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	_, err = m.Run(t.Context(), in)
	require.NoError(t, err)
	goruntime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(limit))
	// With Observe, values do not share buffers.
	_, err = m.Run(t.Context(), in, runtime.Observe(func(string, *runtime.Tensor) {}))
	require.ErrorIs(t, err, runtime.ErrMemory)
}

func TestRun_EndsWhenCanceled(t *testing.T) {
	n := converttest.Digits()
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = m.Run(ctx, map[string]*runtime.Tensor{"image": modeltest.Pixels(6, 4, n.Input)},
		runtime.Observe(func(string, *runtime.Tensor) { cancel() }))
	require.ErrorIs(t, err, context.Canceled)
}

func TestOpen_NamesFileInErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	_, err := runtime.Open(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, converttest.Digits(), convert.Options{})[:100], 0o600))
	_, err = runtime.Open(path)
	require.ErrorIs(t, err, runtime.ErrModel)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, converttest.Digits(), convert.Options{}), 0o600))
	_, err = runtime.Open(path)
	require.NoError(t, err)
}

// BenchmarkRun runs a small network, for the cost of everything around the kernels.
func BenchmarkRun(b *testing.B) {
	n := converttest.Digits()
	m, err := runtime.New(modeltest.Write(b, n, convert.Options{}))
	require.NoError(b, err)
	in := map[string]*runtime.Tensor{"image": modeltest.Pixels(7, 64, n.Input)}
	for b.Loop() {
		if _, err := m.Run(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(64*b.N)/b.Elapsed().Seconds(), "images/s")
}
