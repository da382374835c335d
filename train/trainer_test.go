package train_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"
	goruntime "runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// TestTrainer_LearnsToClassify trains small networks, and checks the accuracy of the trained
// models.
func TestTrainer_LearnsToClassify(t *testing.T) {
	for name, c := range map[string]struct {
		network *convert.Network
		config  train.Config
		steps   int
	}{
		"dialect 1":     {sbsNet(1), train.Config{RateW: 0.003, RateEpsilonXY: 0.0001}, 120},
		"dialect 2":     {sbsNet(2), train.Config{RateW: 0.1}, 120},
		"cross entropy": {sbsNet(2), train.Config{RateW: 0.1, Loss: train.Loss{Kind: train.CrossEntropy}}, 120},
		"convolutions":  {convNet(), train.Config{RateW: 0.02}, 120},
		"last layer":    {sbsNet(2), train.Config{RateW: 0.1, FreezeW: []string{"L0"}}, 300},
		"local":         {sbsNet(2), train.Config{RateW: 0.1, Local: []string{"L0", "L2"}}, 120},
		"spike image":   {behind(&convert.SpikeImage{Spikes: 100}), train.Config{RateW: 0.1}, 120},
		"no spikes":     {behind(&convert.SpikeImage{}), train.Config{RateW: 0.1}, 120},
		"Poisson":       {behind(&convert.Poisson{Spikes: 12}), train.Config{RateW: 0.1}, 120},
		"SGD":           {convNet(), train.Config{RateW: 0.3, Optimizer: train.SGD, SubBatches: 2}, 600},
	} {
		t.Run(name, func(t *testing.T) {
			trainer := newTrainer(t, c.network, c.config)
			for i := range uint64(c.steps) {
				step(t, trainer, bars(i, 32))
			}
			m, err := trainer.Model()
			require.NoError(t, err)
			test := bars(1000, 200)
			out := outputOf(t, m, test.Images)
			correct := 0
			for i, label := range test.Labels {
				p := out[i*3:][:3]
				if p[label] == max(p[0], p[1], p[2]) {
					correct++
				}
			}
			t.Logf("%s: %d of 200 images are correct", name, correct)
			require.GreaterOrEqual(t, correct, 150)
		})
	}
}

// TestTrainer_GradientIsTheDerivative compares the first step of SGD with central
// differences of the loss with respect to weights of all layers.
func TestTrainer_GradientIsTheDerivative(t *testing.T) {
	const rate = 1e-3
	batch := bars(3, 8)
	before := convNet()
	trainer := newTrainer(t, before, train.Config{RateW: rate, Optimizer: train.SGD})
	step(t, trainer, batch)
	after := networkOf(t, trainer)
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
				return step(t, newTrainer(t, before, train.Config{}), batch).Loss
			}
			want := (loss(0.01) - loss(-0.01)) / 0.02
			got := float64(old-after.Layers[i].(*convert.Conv).Weights.Float32s()[at]) / rate
			require.InDelta(t, want, got, 2e-3+0.02*math.Abs(want), "layer %d, weight %d", i, at)
		}
	}
}

// everyLayer returns a Trainer for a network with every kind of layer, which ends with a
// reconstruction, and a batch for it.
func everyLayer(t *testing.T, workers int) (*train.Trainer, train.Batch) {
	n := converttest.EveryLayer()
	b := train.Batch{Images: modeltest.Pixels(5, 6, n.Input)}
	return newTrainer(t, n, train.Config{Seed: 3, MeanEpsilonXY: []string{"L2"}, RateW: 0.01, Workers: workers}), b
}

func TestTrainer_ResultDoesNotDependOnWorkers(t *testing.T) {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(3)) // the maximum of Workers
	for name, build := range map[string]func(workers int) (*train.Trainer, train.Batch){
		"every layer": func(workers int) (*train.Trainer, train.Batch) { return everyLayer(t, workers) },
		"dialect 2": func(workers int) (*train.Trainer, train.Batch) {
			return newTrainer(t, sbsNet(2), train.Config{RateW: 0.1, Workers: workers}), bars(1, 40)
		},
		"convolutions": func(workers int) (*train.Trainer, train.Batch) {
			return newTrainer(t, convNet(), train.Config{RateW: 0.1, Workers: workers}), bars(1, 40)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var want []byte
			for _, workers := range []int{1, 2, 3} {
				trainer, b := build(workers)
				for range 3 {
					step(t, trainer, b)
				}
				if want == nil {
					want = fileOf(t, trainer)
				}
				require.Equal(t, want, fileOf(t, trainer), "%d workers", workers)
			}
		})
	}
}

// TestTrainer_TrainsEveryLayer checks which parameters change, and that the weights of SbS
// layers stay positive and normalized.
func TestTrainer_TrainsEveryLayer(t *testing.T) {
	trainer, b := everyLayer(t, 2)
	before := networkOf(t, trainer)
	require.Equal(t, modeltest.Write(t, converttest.EveryLayer(), convert.Options{}), fileOf(t, trainer), "before the first step")
	first := step(t, trainer, b)
	var last train.Result
	for range 30 {
		last = step(t, trainer, b)
	}
	require.Less(t, last.Loss, first.Loss)
	for i, l := range networkOf(t, trainer).Layers {
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

// TestRestore_GivesTheSameResult interrupts the training in the middle of an update.
func TestRestore_GivesTheSameResult(t *testing.T) {
	cfg := train.Config{
		SubBatches: 2, RateW: 0.1, RateEpsilonXY: 0.1, ScheduleW: train.Schedule{Kind: train.LowPassPlateau}, Seed: 1,
		ScheduleEpsilonXY: train.Schedule{Kind: train.Plateau},
	}
	for _, dialect := range []int{1, 2} {
		whole := newTrainer(t, sbsNet(dialect), cfg)
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
		resumed := newTrainer(t, sbsNet(dialect), cfg)
		require.NoError(t, resumed.Restore(state))
		require.Equal(t, train.Position{Images: 15, Updates: 1, SubBatches: 1}, resumed.Position())
		for i := uint64(3); i < 7; i++ {
			require.Equal(t, losses[i], step(t, resumed, bars(i, 5)).Loss)
		}
		require.Equal(t, fileOf(t, whole), fileOf(t, resumed))

		other := newTrainer(t, convNet(), cfg)
		require.ErrorIs(t, other.Restore(state), train.ErrTrain)
		require.ErrorContains(t, other.Restore(state[:50]), "the state is damaged")
		changed := cfg
		changed.RateW, changed.Workers = 0.2, 1
		require.ErrorContains(t, newTrainer(t, sbsNet(dialect), changed).Restore(state), "the state belongs to another Config")
		changed.RateW = cfg.RateW
		require.NoError(t, newTrainer(t, sbsNet(dialect), changed).Restore(state), "the number of workers does not matter")
	}
}

// TestStep_DoesNotDependOnReusedMemory makes every step also with a new Trainer, which has
// no memory of earlier steps to reuse. The batches have different sizes.
func TestStep_DoesNotDependOnReusedMemory(t *testing.T) {
	for name, n := range map[string]*convert.Network{"dialect 1": sbsNet(1), "dialect 2": sbsNet(2), "convolutions": convNet()} {
		t.Run(name, func(t *testing.T) {
			cfg := train.Config{SubBatches: 2, RateW: 0.1, RateEpsilonXY: 0.1, Seed: 1}
			kept := newTrainer(t, n, cfg)
			for i, images := range []int{5, 5, 3, 3, 5, 40} {
				state, err := kept.State()
				require.NoError(t, err)
				fresh := newTrainer(t, n, cfg)
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

func TestTrainer_KeepsFrozenParameters(t *testing.T) {
	before := sbsNet(1)
	frozen := newTrainer(t, before, train.Config{FreezeW: []string{"L0"}, FreezeEpsilonXY: []string{"L2"}, StopGradient: []string{"L1"}, RateW: 0.01})
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

func TestStep_ChangesNothingAfterAnError(t *testing.T) {
	trainer := newTrainer(t, sbsNet(2), train.Config{SubBatches: 2, RateW: 0.1})
	untouched := newTrainer(t, sbsNet(2), train.Config{SubBatches: 2, RateW: 0.1})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	good := bars(1, 4)
	for i, b := range []train.Batch{good, good} {
		_, err := trainer.Step(canceled, b)
		require.ErrorIs(t, err, context.Canceled)
		bad := b
		bad.Labels = []int{0, 1, 2, 3}
		_, err = trainer.Step(t.Context(), bad)
		require.ErrorIs(t, err, runtime.ErrInput)
		require.ErrorContains(t, err, "the label of image 3 is 3, want 0 to 2")
		bad.Labels = bad.Labels[:3]
		_, err = trainer.Step(t.Context(), bad)
		require.ErrorContains(t, err, "3 labels for 4 images")
		bad.Labels = nil
		_, err = trainer.Step(t.Context(), bad)
		require.ErrorContains(t, err, "neither labels nor a target")
		bad.Target = opstest.F32([]int{4, 2}, 0, 1, 0, 1, 0, 1, 0, 1)
		_, err = trainer.Step(t.Context(), bad)
		require.ErrorContains(t, err, "target")
		bad.Images = opstest.F32([]int{0, 1, 12, 12})
		_, err = trainer.Step(t.Context(), bad)
		require.ErrorContains(t, err, "the batch has no images")
		bad.Images = opstest.F32([]int{1, 1, 2, 2}, 1, 1, 1, 1)
		_, err = trainer.Step(t.Context(), bad)
		require.ErrorContains(t, err, `input "image"`)
		bad = b
		bad.Uniforms = map[string]*runtime.Tensor{"L9": b.Images}
		_, err = trainer.Step(t.Context(), bad)
		require.ErrorContains(t, err, "no layer or node of this name")
		require.Equal(t, step(t, untouched, b), step(t, trainer, b), "step %d", i)
	}
	require.Equal(t, fileOf(t, untouched), fileOf(t, trainer))
}

// TestStep_LabelsAreAOneHotTarget compares labels with the target that they stand for.
func TestStep_LabelsAreAOneHotTarget(t *testing.T) {
	labels, target := bars(1, 3), bars(1, 3)
	target.Labels = nil
	v := make([]float32, 9)
	for i, l := range labels.Labels {
		v[i*3+l] = 1
	}
	target.Target = opstest.F32([]int{3, 3}, v...)
	a, b := newTrainer(t, sbsNet(1), train.Config{}), newTrainer(t, sbsNet(1), train.Config{})
	require.Equal(t, step(t, a, labels).Loss, step(t, b, target).Loss)
	require.Equal(t, fileOf(t, a), fileOf(t, b))
}

func TestNew_RefusesConfigsAndModelsThatCannotBeTrained(t *testing.T) {
	for _, c := range []struct {
		config train.Config
		want   string
	}{
		{train.Config{Dialect: 3}, "Dialect is 3"},
		{train.Config{RateW: -1}, "RateW is -1"},
		{train.Config{ThresholdW: math.NaN()}, "ThresholdW is NaN"},
		{train.Config{SubBatches: -1}, "SubBatches is -1"},
		{train.Config{Optimizer: "x"}, "unknown optimizer"},
		{train.Config{Loss: train.Loss{Kind: "x"}}, "unknown loss"},
		{train.Config{FreezeW: []string{"L7"}}, `FreezeW names layer "L7", which the model does not have`},
		{train.Config{Local: []string{"output"}}, `Local names layer "output", which is not an SbS layer`},
		{train.Config{FreezeW: []string{"L0", "L2"}}, "nothing is left to train"},
	} {
		_, err := train.New(modeltest.Write(t, sbsNet(2), convert.Options{}), c.config)
		require.ErrorIs(t, err, train.ErrTrain)
		require.ErrorContains(t, err, c.want)
	}

	constant := modelOf(t, &onnxpb.NodeProto{OpType: "Constant", Output: []string{"w"}, Attribute: []*onnxpb.AttributeProto{
		{Name: "value", Type: onnxpb.AttributeProto_TENSOR, T: onnx.Float32Tensor("", []int{2, 1, 3, 3}, make([]float32, 18))},
	}}, &onnxpb.NodeProto{OpType: "Conv", Input: []string{"x", "w"}, Output: []string{"y"}})
	_, err := train.New(constant, train.Config{})
	require.ErrorContains(t, err, `("w") cannot be trained, since it is not an initializer`)

	// Training would change weights that the stages share.
	stages, err := convert.StagesToONNX(converttest.Staged(), convert.Options{})
	require.NoError(t, err)
	_, err = train.New(stages, train.Config{})
	require.ErrorIs(t, err, runtime.ErrModel)
	require.ErrorContains(t, err, "the model has stages (metadata ai.sbs.stages): choose one")
}

// TestTrainer_ReadsLocalLayersFromTheModel compares Config.Local with the metadata of the
// model.
func TestTrainer_ReadsLocalLayersFromTheModel(t *testing.T) {
	local := sbsNet(2)
	local.Layers[0].(*convert.SbS).Local = true
	named, plain := train.Config{Local: []string{"L0"}}, train.Config{Local: []string{}}
	weights := func(n *convert.Network, c train.Config) []float32 {
		trainer := newTrainer(t, n, c)
		step(t, trainer, bars(1, 4))
		return networkOf(t, trainer).Layers[0].(*convert.SbS).Weights.Float32s()
	}
	require.Equal(t, weights(sbsNet(2), named), weights(local, train.Config{}))
	require.Equal(t, weights(sbsNet(2), train.Config{}), weights(local, plain))
	require.NotEqual(t, weights(local, plain), weights(local, named))
}

func TestFit_StopsAtTheFirstError(t *testing.T) {
	trainer, steps := newTrainer(t, convNet(), train.Config{SubBatches: 2}), 0
	broken := errors.New("the file is truncated")
	batches := func(n int, last error) iter.Seq2[train.Batch, error] {
		return func(yield func(train.Batch, error) bool) {
			for i := range n {
				if !yield(bars(uint64(i), 4), nil) {
					return
				}
			}
			if last != nil {
				yield(train.Batch{}, last)
			}
		}
	}
	count := func(r train.Result) error {
		steps++
		if steps > 7 {
			return broken
		}
		require.Equal(t, steps%2 == 0, r.Update != nil)
		return nil
	}
	require.NoError(t, trainer.Fit(t.Context(), batches(3, nil), count))
	require.NoError(t, trainer.Fit(t.Context(), batches(1, nil), nil))
	steps++
	require.ErrorIs(t, trainer.Fit(t.Context(), batches(2, broken), count), broken)
	require.Equal(t, 6, steps)
	require.ErrorIs(t, trainer.Fit(t.Context(), batches(5, nil), count), broken)
	require.Equal(t, 8, steps)
}

// TestModel_EqualsTheModelOfBytes compares Model with the model of Bytes in the middle of a
// training.
func TestModel_EqualsTheModelOfBytes(t *testing.T) {
	trainer := newTrainer(t, sbsNet(2), train.Config{RateW: 0.1, Dynamics: sbs.Dynamics{Spikes: 7}})
	step(t, trainer, bars(1, 4))
	got, err := trainer.Model()
	require.NoError(t, err)
	want, err := runtime.New(fileOf(t, trainer))
	require.NoError(t, err)
	image := bars(2, 5).Images
	require.Equal(t, outputOf(t, want, image), outputOf(t, got, image))
	before := outputOf(t, got, image)
	step(t, trainer, bars(3, 4))
	require.Equal(t, before, outputOf(t, got, image), "further steps must not change the model")
}

// FuzzRestore checks that Restore and the steps after it return an error, or succeed, for
// every state.
func FuzzRestore(f *testing.F) {
	cfg := train.Config{SubBatches: 2}
	trainer := newTrainer(f, sbsNet(2), cfg)
	for range 3 {
		state, err := trainer.State()
		require.NoError(f, err)
		f.Add(state)
		step(f, trainer, bars(1, 1))
	}
	cfg.Dynamics.Spikes = 5
	data := modeltest.Write(f, sbsNet(2), convert.Options{})
	b := bars(1, 1)
	restored, err := train.New(data, cfg)
	require.NoError(f, err)
	start, err := restored.State()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, state []byte) {
		if err := restored.Restore(state); err != nil {
			require.ErrorIs(t, err, train.ErrTrain)
			require.Zero(t, restored.Position())
			return
		}
		_, _ = restored.Step(t.Context(), b) // the weights may be NaN
		_, err = restored.State()
		require.NoError(t, err)
		require.NoError(t, restored.Restore(start))
	})
}
