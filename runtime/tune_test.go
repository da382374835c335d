package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/convert/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// convNet is a small network of standard operators only.
func convNet() *convert.Network {
	m := converttest.New(5)
	w := converttest.Window
	padded := w(3, 1)
	padded.Pads = [2]int{1, 1}
	return &convert.Network{
		Dialect: 2, Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20},
		Layers: []convert.Layer{
			m.Conv(padded, 1, 4), &convert.ReLU{}, &convert.MaxPool{Window: w(2, 2)},
			m.Conv(w(2, 1), 4, 5), &convert.ReLU{}, &convert.AveragePool{Window: w(3, 3)}, m.Conv(w(1, 1), 5, 3),
		},
	}
}

// sbsNet is a network of SbS layers only, with epsilon_xy and pooling weights.
func sbsNet(dialect int) *convert.Network {
	m := converttest.New(6)
	w := converttest.Window
	n := &convert.Network{
		Dialect: dialect, Step: -1, Input: convert.Size{Channels: 1, Height: 12, Width: 12}, Preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20},
		Layers: []convert.Layer{m.SbS(w(3, 1), 1, 6, 60), m.SbS(w(2, 2), 6, 6, 60), m.SbS(w(3, 1), 6, 3, 60)},
	}
	if dialect == 1 {
		n.Layers[0].(*convert.SbS).EpsilonXY = m.Tensor(0.1, 0.3, 6, 6, 3, 3)
		n.Layers[1].(*convert.SbS).EpsilonXY = m.Tensor(0.1, 0.3, 3, 3)
		n.Layers[2].(*convert.SbS).EpsilonXY = m.Tensor(0.1, 0.3, 1, 1, 3, 3)
	}
	pooling := n.Layers[1].(*convert.SbS)
	pooling.Pooling = true
	for i := range pooling.Weights.Float32s() {
		pooling.Weights.Float32s()[i] = 0
		if k, n := i/6, i%6; k/4 == n {
			pooling.Weights.Float32s()[i] = 0.25
		}
	}
	return n
}

// bars is a task: images in which a bar stands, lies or slants.
func bars(seed uint64, images int) runtime.Batch {
	r := rand.New(rand.NewPCG(seed, 0))
	b := runtime.Batch{Labels: make([]int, images)}
	v := make([]float32, images*144)
	for i := range b.Labels {
		b.Labels[i] = r.IntN(3)
		x, y := 4+r.IntN(3), 4+r.IntN(3)
		for j := range 5 {
			at := [][2]int{{2 + j, x}, {y, 2 + j}, {2 + j, 2 + j + r.IntN(2)}}[b.Labels[i]]
			v[i*144+(at[0]+1)*12+at[1]] = 0.5 + r.Float32()/2
		}
	}
	b.Images = opstest.F32([]int{images, 1, 12, 12}, v...)
	return b
}

func tuner(t testing.TB, n *convert.Network, cfg runtime.TuneConfig, opts ...runtime.Option) *runtime.Tuner {
	t.Helper()
	m, err := runtime.New(write(t, n, convert.Options{}), opts...)
	require.NoError(t, err)
	tuner, err := runtime.NewTuner(m, cfg)
	require.NoError(t, err)
	return tuner
}

func step(t testing.TB, tuner *runtime.Tuner, b runtime.Batch) runtime.StepResult {
	t.Helper()
	r, err := tuner.Step(t.Context(), b)
	require.NoError(t, err)
	return r
}

func fileOf(t testing.TB, tuner *runtime.Tuner) []byte {
	t.Helper()
	data, err := tuner.Bytes()
	require.NoError(t, err)
	return data
}

func networkOf(t testing.TB, tuner *runtime.Tuner) *convert.Network {
	t.Helper()
	n, err := convert.FromONNX(fileOf(t, tuner))
	require.NoError(t, err)
	return n
}

// TestTunerLearns trains small networks, and checks that the file that comes out
// knows what was learnt.
func TestTunerLearns(t *testing.T) {
	for name, c := range map[string]struct {
		network *convert.Network
		config  runtime.TuneConfig
		steps   int
	}{
		"dialect 1":     {sbsNet(1), runtime.TuneConfig{RateW: 0.003, RateEpsilonXY: 0.0001}, 120},
		"dialect 2":     {sbsNet(2), runtime.TuneConfig{RateW: 0.1}, 120},
		"cross entropy": {sbsNet(2), runtime.TuneConfig{RateW: 0.1, Loss: train.Loss{Kind: train.CrossEntropy}}, 120},
		"convolutions":  {convNet(), runtime.TuneConfig{RateW: 0.02}, 120},
		"last layer":    {sbsNet(2), runtime.TuneConfig{RateW: 0.1, FreezeW: []string{"L0"}}, 300},
		"local":         {sbsNet(2), runtime.TuneConfig{RateW: 0.1, Local: []string{"L0", "L2"}}, 120},
		"SGD":           {convNet(), runtime.TuneConfig{RateW: 0.3, Optimizer: train.SGD, SubBatches: 2}, 600},
	} {
		t.Run(name, func(t *testing.T) {
			tuner := tuner(t, c.network, c.config)
			for i := range uint64(c.steps) {
				step(t, tuner, bars(i, 32))
			}
			m, err := tuner.Model()
			require.NoError(t, err)
			test := bars(1000, 200)
			out := run(t, m, test.Images)
			correct := 0
			for i, label := range test.Labels {
				p := out[i*3:][:3]
				if p[label] == max(p[0], p[1], p[2]) {
					correct++
				}
			}
			t.Logf("%s: %d of 200 are right", name, correct)
			require.GreaterOrEqual(t, correct, 150)
		})
	}
}

// TestTunerNetworkGradient compares the first step of plain descent with
// difference quotients of the loss over the weights of all layers.
func TestTunerNetworkGradient(t *testing.T) {
	const rate = 1e-3
	batch := bars(3, 8)
	before := convNet()
	tuned := tuner(t, before, runtime.TuneConfig{RateW: rate, Optimizer: train.SGD})
	step(t, tuned, batch)
	after := networkOf(t, tuned)
	for i, l := range before.Layers {
		c, ok := l.(*convert.Conv)
		if !ok {
			continue
		}
		for _, at := range []int{0, c.Weights.Len() / 2, c.Weights.Len() - 1} {
			w := c.Weights.Float32s()
			old := w[at]
			loss := func(d float32) float64 {
				w[at] = old + d
				defer func() { w[at] = old }()
				return step(t, tuner(t, before, runtime.TuneConfig{}), batch).Loss
			}
			want := (loss(0.01) - loss(-0.01)) / 0.02
			got := float64(old-after.Layers[i].(*convert.Conv).Weights.Float32s()[at]) / rate
			require.InDelta(t, want, got, 2e-3+0.02*math.Abs(want), "layer %d, weight %d", i, at)
		}
	}
}

// everyLayer is a tuner of a network with every kind of layer that ends with a
// reconstruction.
func everyLayer(t *testing.T, workers int) (*runtime.Tuner, runtime.Batch) {
	n := converttest.EveryLayer()
	b := runtime.Batch{Images: pixels(5, 6, n.Input)}
	return tuner(t, n, runtime.TuneConfig{Seed: 3, MeanEpsilonXY: []string{"L2"}, RateW: 0.01}, runtime.Workers(workers)), b
}

// TestTunerSameBits checks that the number of workers does not matter.
func TestTunerSameBits(t *testing.T) {
	for name, make := range map[string]func(workers int) (*runtime.Tuner, runtime.Batch){
		"every layer": func(workers int) (*runtime.Tuner, runtime.Batch) { return everyLayer(t, workers) },
		"dialect 2": func(workers int) (*runtime.Tuner, runtime.Batch) {
			return tuner(t, sbsNet(2), runtime.TuneConfig{RateW: 0.1}, runtime.Workers(workers)), bars(1, 40)
		},
		"convolutions": func(workers int) (*runtime.Tuner, runtime.Batch) {
			return tuner(t, convNet(), runtime.TuneConfig{RateW: 0.1}, runtime.Workers(workers)), bars(1, 40)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var want []byte
			for _, workers := range []int{1, 2, 3} {
				tuner, b := make(workers)
				for range 3 {
					step(t, tuner, b)
				}
				if want == nil {
					want = fileOf(t, tuner)
				}
				require.Equal(t, want, fileOf(t, tuner), "%d workers", workers)
			}
		})
	}
}

// TestTunerEveryLayer checks which weights change, and that those of SbS layers
// stay what they must be.
func TestTunerEveryLayer(t *testing.T) {
	tuner, b := everyLayer(t, 2)
	before := networkOf(t, tuner)
	require.Equal(t, write(t, converttest.EveryLayer(), convert.Options{}), fileOf(t, tuner), "before the first step")
	first := step(t, tuner, b)
	var last runtime.StepResult
	for range 30 {
		last = step(t, tuner, b)
	}
	require.Less(t, last.Loss, first.Loss)
	for i, l := range networkOf(t, tuner).Layers {
		switch l := l.(type) {
		case *convert.SbS:
			old := before.Layers[i].(*convert.SbS)
			require.Equal(t, l.Pooling, old.Weights.Float32s()[0] == l.Weights.Float32s()[0], "layer %d", i)
			n := l.Weights.Shape()[1]
			for c := range n {
				var sum float64
				for k := c; k < l.Weights.Len() && !l.Pooling; k += n {
					require.Positive(t, l.Weights.Float32s()[k])
					sum += float64(l.Weights.Float32s()[k])
				}
				require.True(t, l.Pooling || math.Abs(sum-1) < 1e-5, "layer %d, column %d", i, c)
			}
			if l.EpsilonXY != nil {
				require.NotEqual(t, old.EpsilonXY.Float32s(), l.EpsilonXY.Float32s(), "layer %d", i)
				require.Equal(t, i == 2, l.EpsilonXY.Float32s()[0] == l.EpsilonXY.Float32s()[1], "the mean of layer 2")
			}
		case *convert.Conv:
			require.NotEqual(t, before.Layers[i].(*convert.Conv).Weights.Float32s(), l.Weights.Float32s(), "layer %d", i)
			require.NotEqual(t, before.Layers[i].(*convert.Conv).Bias.Float32s(), l.Bias.Float32s(), "layer %d", i)
		case *convert.OnOff:
			require.NotEqual(t, before.Layers[i].(*convert.OnOff).Mean.Float32s(), l.Mean.Float32s(), "layer %d", i)
		}
	}
}

// TestTunerResumes checks that a break changes no bit, not even in the middle of
// an update.
func TestTunerResumes(t *testing.T) {
	cfg := runtime.TuneConfig{
		SubBatches: 2, RateW: 0.1, RateEpsilonXY: 0.1, ScheduleW: train.Schedule{Kind: train.LowPassPlateau}, Seed: 1,
		ScheduleEpsilonXY: train.Schedule{Kind: train.Plateau},
	}
	for _, dialect := range []int{1, 2} {
		whole := tuner(t, sbsNet(dialect), cfg)
		var state []byte
		var losses []float64
		for i := range uint64(7) {
			losses = append(losses, step(t, whole, bars(i, 5)).Loss)
			if i == 2 {
				var err error
				state, err = whole.State()
				require.NoError(t, err)
			}
		}
		resumed := tuner(t, sbsNet(dialect), cfg)
		require.NoError(t, resumed.Restore(state))
		require.Equal(t, runtime.Position{Images: 15, Updates: 1, SubBatches: 1}, resumed.Position())
		for i := uint64(3); i < 7; i++ {
			require.Equal(t, losses[i], step(t, resumed, bars(i, 5)).Loss)
		}
		require.Equal(t, fileOf(t, whole), fileOf(t, resumed))

		other := tuner(t, convNet(), cfg)
		require.ErrorIs(t, other.Restore(state), runtime.ErrTune)
		require.ErrorContains(t, other.Restore(state[:50]), "cannot be read")
	}
}

// TestTunerKeepsNothingOld checks that what stays in memory from step to step, for
// batches of this size and that, changes no bit: every step is also made by a
// Tuner that has made no other.
func TestTunerKeepsNothingOld(t *testing.T) {
	for name, n := range map[string]*convert.Network{"dialect 1": sbsNet(1), "dialect 2": sbsNet(2), "convolutions": convNet()} {
		t.Run(name, func(t *testing.T) {
			cfg := runtime.TuneConfig{SubBatches: 2, RateW: 0.1, RateEpsilonXY: 0.1, Seed: 1}
			kept := tuner(t, n, cfg)
			for i, images := range []int{5, 5, 3, 3, 5, 40} {
				state, err := kept.State()
				require.NoError(t, err)
				fresh := tuner(t, n, cfg)
				require.NoError(t, fresh.Restore(state))
				b := bars(uint64(i), images)
				require.Equal(t, step(t, fresh, b), step(t, kept, b))
				want, err := fresh.State()
				require.NoError(t, err)
				got, err := kept.State()
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "step %d", i)
			}
		})
	}
}

func TestTunerFreezes(t *testing.T) {
	before := sbsNet(1)
	frozen := tuner(t, before, runtime.TuneConfig{FreezeW: []string{"L0"}, FreezeEpsilonXY: []string{"L2"}, StopGradient: []string{"L1"}, RateW: 0.01})
	step(t, frozen, bars(1, 6))
	after := networkOf(t, frozen)
	w := func(n *convert.Network, i int) []float32 { return n.Layers[i].(*convert.SbS).Weights.Float32s() }
	e := func(n *convert.Network, i int) []float32 { return n.Layers[i].(*convert.SbS).EpsilonXY.Float32s() }
	require.Equal(t, w(before, 0), w(after, 0), "frozen")
	require.Equal(t, w(before, 1), w(after, 1), "pooling")
	require.NotEqual(t, w(before, 2), w(after, 2))
	require.Equal(t, e(before, 0), e(after, 0), "behind StopGradient")
	require.NotEqual(t, e(before, 1), e(after, 1))
	require.Equal(t, e(before, 2), e(after, 2), "frozen")
}

// TestTunerErrorsChangeNothing checks that a Step that fails leaves no trace.
func TestTunerErrorsChangeNothing(t *testing.T) {
	tuned := tuner(t, sbsNet(2), runtime.TuneConfig{SubBatches: 2, RateW: 0.1})
	untouched := tuner(t, sbsNet(2), runtime.TuneConfig{SubBatches: 2, RateW: 0.1})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	good := bars(1, 4)
	for i, b := range []runtime.Batch{good, good} {
		_, err := tuned.Step(cancelled, b)
		require.ErrorIs(t, err, context.Canceled)
		bad := b
		bad.Labels = []int{0, 1, 2, 3}
		_, err = tuned.Step(t.Context(), bad)
		require.ErrorIs(t, err, runtime.ErrInput)
		require.ErrorContains(t, err, "label 3 of image 3, want 0 to 2")
		bad.Labels = bad.Labels[:3]
		_, err = tuned.Step(t.Context(), bad)
		require.ErrorContains(t, err, "3 labels for 4 images")
		bad.Labels = nil
		_, err = tuned.Step(t.Context(), bad)
		require.ErrorContains(t, err, "neither labels nor a target")
		bad.Target = opstest.F32([]int{4, 2}, 0, 1, 0, 1, 0, 1, 0, 1)
		_, err = tuned.Step(t.Context(), bad)
		require.ErrorContains(t, err, "target")
		bad.Images = opstest.F32([]int{0, 1, 12, 12})
		_, err = tuned.Step(t.Context(), bad)
		require.ErrorContains(t, err, "without images")
		bad.Images = opstest.F32([]int{1, 1, 2, 2}, 1, 1, 1, 1)
		_, err = tuned.Step(t.Context(), bad)
		require.ErrorContains(t, err, `input "image"`)
		bad = b
		bad.Uniforms = map[string]*runtime.Tensor{"L9": b.Images}
		_, err = tuned.Step(t.Context(), bad)
		require.ErrorContains(t, err, "no SbS node of this name")
		require.Equal(t, step(t, untouched, b), step(t, tuned, b), "step %d", i)
	}
	require.Equal(t, fileOf(t, untouched), fileOf(t, tuned))
}

// TestTunerTarget checks that labels are a target of ones.
func TestTunerTarget(t *testing.T) {
	labels, target := bars(1, 3), bars(1, 3)
	target.Labels = nil
	v := make([]float32, 9)
	for i, l := range labels.Labels {
		v[i*3+l] = 1
	}
	target.Target = opstest.F32([]int{3, 3}, v...)
	a, b := tuner(t, sbsNet(1), runtime.TuneConfig{}), tuner(t, sbsNet(1), runtime.TuneConfig{})
	require.Equal(t, step(t, a, labels).Loss, step(t, b, target).Loss)
	require.Equal(t, fileOf(t, a), fileOf(t, b))
}

func TestNewTunerErrors(t *testing.T) {
	for _, c := range []struct {
		config runtime.TuneConfig
		want   string
	}{
		{runtime.TuneConfig{Dialect: 3}, "no dialect 3"},
		{runtime.TuneConfig{RateW: -1}, "RateW is -1"},
		{runtime.TuneConfig{ThresholdW: math.NaN()}, "ThresholdW is NaN"},
		{runtime.TuneConfig{SubBatches: -1}, "SubBatches is -1"},
		{runtime.TuneConfig{Optimizer: "x"}, "unknown optimizer"},
		{runtime.TuneConfig{Loss: train.Loss{Kind: "x"}}, "unknown loss"},
		{runtime.TuneConfig{FreezeW: []string{"L7"}}, `FreezeW names layer "L7", which the model does not have`},
		{runtime.TuneConfig{FreezeW: []string{"L0", "L2"}}, "nothing is left to train"},
	} {
		m, err := runtime.New(write(t, sbsNet(2), convert.Options{}))
		require.NoError(t, err)
		_, err = runtime.NewTuner(m, c.config)
		require.ErrorIs(t, err, runtime.ErrTune)
		require.ErrorContains(t, err, c.want)
	}

	m := load(t, network([]*onnxpb.ValueInfoProto{info("x", -1, 1, 3, 3)}, "y", nodes{
		op("w = Constant()", &onnxpb.AttributeProto{Name: "value", Type: onnxpb.AttributeProto_TENSOR, T: onnx.Float32Tensor("", []int{2, 1, 3, 3}, make([]float32, 18))}),
		op("y = Conv(x, w)"),
	}))
	_, err := runtime.NewTuner(m, runtime.TuneConfig{})
	require.ErrorContains(t, err, `"w", is no initializer`)
}

// TestTunerMetadata checks that the model says which layers learn locally.
func TestTunerMetadata(t *testing.T) {
	local := sbsNet(2)
	local.Layers[0].(*convert.SbS).Local = true
	named, plain := runtime.TuneConfig{Local: []string{"L0"}}, runtime.TuneConfig{Local: []string{}}
	weights := func(n *convert.Network, c runtime.TuneConfig) []float32 {
		tuned := tuner(t, n, c)
		step(t, tuned, bars(1, 4))
		return networkOf(t, tuned).Layers[0].(*convert.SbS).Weights.Float32s()
	}
	require.Equal(t, weights(sbsNet(2), named), weights(local, runtime.TuneConfig{}))
	require.Equal(t, weights(sbsNet(2), runtime.TuneConfig{}), weights(local, plain))
	require.NotEqual(t, weights(local, plain), weights(local, named))
}

func TestFit(t *testing.T) {
	tuned, steps := tuner(t, convNet(), runtime.TuneConfig{SubBatches: 2}), 0
	broken := errors.New("the file ends too soon")
	batches := func(n int, last error) iter.Seq2[runtime.Batch, error] {
		return func(yield func(runtime.Batch, error) bool) {
			for i := range n {
				if !yield(bars(uint64(i), 4), nil) {
					return
				}
			}
			if last != nil {
				yield(runtime.Batch{}, last)
			}
		}
	}
	count := func(r runtime.StepResult) error {
		steps++
		if steps > 7 {
			return broken
		}
		require.Equal(t, steps%2 == 0, r.Update != nil)
		return nil
	}
	require.NoError(t, tuned.Fit(t.Context(), batches(3, nil), count))
	require.NoError(t, tuned.Fit(t.Context(), batches(1, nil), nil))
	steps++
	require.ErrorIs(t, tuned.Fit(t.Context(), batches(2, broken), count), broken)
	require.Equal(t, 6, steps)
	require.ErrorIs(t, tuned.Fit(t.Context(), batches(5, nil), count), broken)
	require.Equal(t, 8, steps)
}

// TestTunerModel checks that a model in between is the file in between, with the
// options of the first.
func TestTunerModel(t *testing.T) {
	tuned := tuner(t, sbsNet(2), runtime.TuneConfig{RateW: 0.1}, runtime.Spikes(7))
	step(t, tuned, bars(1, 4))
	got, err := tuned.Model()
	require.NoError(t, err)
	want, err := runtime.New(fileOf(t, tuned), runtime.Spikes(7))
	require.NoError(t, err)
	image := bars(2, 5).Images
	require.Equal(t, run(t, want, image), run(t, got, image))
	before := run(t, got, image)
	step(t, tuned, bars(3, 4))
	require.Equal(t, before, run(t, got, image), "further steps do not change it")
}

// FuzzRestore checks that no state, whoever wrote it, does more harm than an
// error.
func FuzzRestore(f *testing.F) {
	cfg := runtime.TuneConfig{SubBatches: 2}
	tuned := tuner(f, sbsNet(2), cfg)
	for range 3 {
		state, err := tuned.State()
		require.NoError(f, err)
		f.Add(state)
		step(f, tuned, bars(1, 1))
	}
	m, err := runtime.New(write(f, sbsNet(2), convert.Options{}), runtime.Spikes(5))
	require.NoError(f, err)
	b := bars(1, 1)
	f.Fuzz(func(t *testing.T, state []byte) {
		tuned, err := runtime.NewTuner(m, cfg)
		require.NoError(t, err)
		if err := tuned.Restore(state); err != nil {
			require.ErrorIs(t, err, runtime.ErrTune)
			require.Zero(t, tuned.Position())
			return
		}
		_, _ = tuned.Step(t.Context(), b) // weights may be no numbers now
		_, err = tuned.State()
		require.NoError(t, err)
	})
}
