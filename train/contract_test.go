package train_test

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// one returns a sequence of one batch.
func one(b train.Batch) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) { yield(b, nil) }
}

func TestContract_NilAndZeroAreErrors(t *testing.T) {
	_, err := train.New(nil, train.Config{})
	require.ErrorIs(t, err, runtime.ErrModel)
	_, err = train.Open("", train.Config{})
	require.ErrorIs(t, err, os.ErrNotExist)

	for name, none := range map[string]*train.Trainer{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			_, err := none.Step(t.Context(), bars(1, 2))
			require.ErrorIs(t, err, train.ErrTrain)
			require.ErrorIs(t, none.Fit(t.Context(), one(bars(1, 2)), nil), train.ErrTrain)
			require.ErrorIs(t, none.Fit(t.Context(), func(func(train.Batch, error) bool) {}, nil), train.ErrTrain)
			_, err = none.State()
			require.ErrorIs(t, err, train.ErrTrain)
			require.ErrorIs(t, none.Restore(nil), train.ErrTrain)
			_, err = none.Bytes()
			require.ErrorIs(t, err, train.ErrTrain)
			require.ErrorIs(t, none.Save(filepath.Join(t.TempDir(), "m.onnx")), train.ErrTrain)
			_, err = none.Model()
			require.ErrorIs(t, err, train.ErrTrain)
			require.Zero(t, none.Position())
			w, epsilonXY := none.Rates()
			require.Zero(t, w+epsilonXY)
			none.EndEpoch()
			require.NoError(t, none.Close())
		})
	}

	trainer := newTrainer(t, convNet(), train.Config{})
	before := fileOf(t, trainer)
	require.ErrorIs(t, trainer.Fit(t.Context(), nil, nil), train.ErrTrain)
	require.ErrorIs(t, trainer.Restore(nil), train.ErrTrain)
	require.Error(t, trainer.Save(""))
	var none context.Context
	_, err = trainer.Step(none, bars(1, 2))
	require.ErrorContains(t, err, "the context is nil")
	_, err = trainer.Step(t.Context(), train.Batch{})
	require.ErrorIs(t, err, runtime.ErrInput)
	b := bars(1, 2)
	b.Uniforms = map[string]*runtime.Tensor{"L0/Conv": nil}
	_, err = trainer.Step(t.Context(), b)
	require.ErrorIs(t, err, runtime.ErrInput)
	require.Equal(t, before, fileOf(t, trainer))
}

// TestContract_InjectedNumbersAreUsedAndChecked injects uniform numbers into a standard
// node, whose own numbers depend on the seed, and numbers of a wrong shape into both kinds
// of nodes.
func TestContract_InjectedNumbersAreUsedAndChecked(t *testing.T) {
	pb, err := onnx.Unmarshal(t.Context(), modelOf(t,
		&onnxpb.NodeProto{Name: "noise", OpType: "RandomUniformLike", Input: []string{"x"}, Output: []string{"u"}},
		&onnxpb.NodeProto{OpType: "Add", Input: []string{"x", "u"}, Output: []string{"z"}},
		&onnxpb.NodeProto{Name: "L0/Conv", OpType: "Conv", Input: []string{"z", "w"}, Output: []string{"y"}}))
	require.NoError(t, err)
	w := make([]float32, 18)
	for i := range w {
		w[i] = float32(i%5) / 10
	}
	pb.Graph.Initializer = append(pb.Graph.Initializer, onnx.Float32Tensor("w", []int{2, 1, 3, 3}, w))
	data, err := onnx.MarshalStamped(pb)
	require.NoError(t, err)
	b := train.Batch{Images: opstest.F32([]int{1, 1, 3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9), Labels: []int{1}}
	loss := func(seed uint64, uniforms map[string]*runtime.Tensor) float64 {
		trainer, err := train.New(data, train.Config{Seed: seed, Loss: train.Loss{Kind: train.CrossEntropy}})
		require.NoError(t, err)
		b.Uniforms = uniforms
		return step(t, trainer, b).Loss
	}
	u := map[string]*runtime.Tensor{"noise": opstest.F32([]int{1, 1, 3, 3}, 0, .1, .2, .3, .4, .5, .6, .7, .8)}
	require.NotEqual(t, loss(1, nil), loss(2, nil))
	require.Equal(t, loss(1, u), loss(2, u))

	few := opstest.F32([]int{1}, 0)
	trainer, err := train.New(data, train.Config{Loss: train.Loss{Kind: train.CrossEntropy}})
	require.NoError(t, err)
	b.Uniforms = map[string]*runtime.Tensor{"noise": few}
	_, err = trainer.Step(t.Context(), b)
	require.ErrorIs(t, err, runtime.ErrInput)
	b = bars(1, 2)
	b.Uniforms = map[string]*runtime.Tensor{"L0": few}
	_, err = newTrainer(t, sbsNet(2), train.Config{}).Step(t.Context(), b)
	require.ErrorIs(t, err, runtime.ErrInput)
}

// lazy is an operator that breaks the contract of ops.Op: it removes its output.
type lazy struct{}

func (lazy) Infer(in []*ops.Input) ([]ops.Type, error) { return []ops.Type{in[0].Type}, nil }

func (lazy) Run(_ *ops.Context, _, out []*ops.Tensor) error {
	out[0] = nil
	return nil
}

func TestContract_OperatorsMustComputeTheirOutputs(t *testing.T) {
	relu := ops.Operator{Name: "Relu", MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1, New: func(ops.Node) (ops.Op, error) { return lazy{}, nil }}
	trainer := newTrainer(t, convNet(), train.Config{Operators: []ops.Operator{relu}, FreezeW: []string{"L0", "L3"}})
	_, err := trainer.Step(t.Context(), bars(1, 2))
	require.ErrorContains(t, err, "(Relu): the operator replaced output 0")
}

func TestContract_ConfigOutOfRangeIsRefused(t *testing.T) {
	data := modeltest.Write(t, sbsNet(2), convert.Options{})
	for want, cfg := range map[string]train.Config{
		"Workers is -1, want at least 0":     {Workers: -1},
		"MemoryLimit is -1, want at least 0": {MemoryLimit: -1},
		"SubBatches is -1, want at least 0":  {SubBatches: -1},
		"-1":                                 {Dynamics: sbs.Dynamics{Spikes: -1}},
		"layer L0":                           {Layers: map[string]sbs.Dynamics{"L0": {Epsilon0: -1}, "L1": {Epsilon0: -1}}},
		"2 SbS layers, but the model has 3":  {EachLayer: make([]sbs.Dynamics, 2)},
		"SbS layer number 2":                 {EachLayer: []sbs.Dynamics{{}, {Epsilon0: -1}}},
		`"L9"`:                               {Layers: map[string]sbs.Dynamics{"L9": {Spikes: 5}}},
		"New":                                {Operators: []ops.Operator{{Name: "Relu"}}},
	} {
		_, err := train.New(data, cfg)
		require.ErrorIs(t, err, train.ErrTrain)
		require.NotErrorIs(t, err, runtime.ErrModel, "the model is right")
		require.ErrorContains(t, err, want)
	}

	small := newTrainer(t, sbsNet(2), train.Config{MemoryLimit: 10_000})
	_, err := small.Step(t.Context(), bars(1, 30))
	require.ErrorIs(t, err, runtime.ErrMemory)
}

// goroutines returns the number of goroutines after those that are ending have ended.
func goroutines() int {
	n := goruntime.NumGoroutine()
	for range 50 {
		time.Sleep(time.Millisecond)
		n = min(n, goruntime.NumGoroutine())
	}
	return n
}

func TestContract_CloseEndsAllGoroutines(t *testing.T) {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(4))
	data := modeltest.Write(t, sbsNet(2), convert.Options{})
	before := goroutines()
	trainer, err := train.New(data, train.Config{Workers: 1_000_000})
	require.NoError(t, err)
	step(t, trainer, bars(1, 64))
	require.Greater(t, goruntime.NumGoroutine(), before, "the test needs more than one worker")
	require.LessOrEqual(t, goroutines(), before+3, "GOMAXPROCS limits the workers")
	require.NoError(t, trainer.Close())
	require.NoError(t, trainer.Close(), "a second call has no effect")
	require.LessOrEqual(t, goroutines(), before)
}

// repeated returns a batch of SbS layers n times, with the same uniforms for each copy.
func repeated(t *testing.T, b train.Batch, n int) train.Batch {
	t.Helper()
	tensor := func(x *ops.Tensor) *ops.Tensor {
		shape := slices.Clone(x.Shape())
		shape[0] *= n
		return opstest.F32(shape, slices.Repeat(x.Float32s(), n)...)
	}
	r := train.Batch{Images: tensor(b.Images), Labels: slices.Repeat(b.Labels, n), Uniforms: map[string]*runtime.Tensor{}}
	for name, u := range b.Uniforms {
		r.Uniforms[name] = tensor(u)
	}
	return r
}

// TestContract_LossPerImageIsTheMean compares 4 images with the same images 8 times.
func TestContract_LossPerImageIsTheMean(t *testing.T) {
	few := bars(1, 4)
	few.Uniforms = map[string]*runtime.Tensor{}
	r := rand.New(rand.NewPCG(1, 2))
	for name, size := range map[string]int{"L0/SbS": 6, "L1/SbSPooling": 3, "L2/SbS": 1} {
		u := make([]float32, 4*60*size*size)
		for i := range u {
			u[i] = r.Float32()
		}
		few.Uniforms[name] = opstest.F32([]int{4, 60, size, size}, u...)
	}
	many := repeated(t, few, 8)
	for name, loss := range map[string]train.Loss{
		"cross entropy":  {Kind: train.CrossEntropy},
		"mixture":        {Kind: train.Mixture},
		"sum of mixture": {Kind: train.Mixture, Sum: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := train.Config{Dialect: 2, Loss: loss}
			a, b := step(t, newTrainer(t, sbsNet(2), cfg), few), step(t, newTrainer(t, sbsNet(2), cfg), many)
			require.InEpsilon(t, a.LossPerImage, b.LossPerImage, 1e-6)
			require.InEpsilon(t, a.Update.LossPerImage, b.Update.LossPerImage, 1e-6)
			require.Equal(t, a.LossPerImage, a.Update.LossPerImage)

			// PyTorch-SbS divides the loss by the number of images even if it is a mean.
			require.InEpsilon(t, a.Loss/4, a.Update.PlateauLoss, 1e-12)
			require.InEpsilon(t, b.Loss/32, b.Update.PlateauLoss, 1e-12)
			if loss.Sum {
				require.InEpsilon(t, a.Loss/4, a.LossPerImage, 1e-12)
			} else {
				require.Equal(t, a.Loss, a.LossPerImage)
			}

			// The mean is over the images of an update and not over its sub-batches.
			cfg.SubBatches = 2
			c := newTrainer(t, sbsNet(2), cfg)
			other := bars(2, 4)
			other.Uniforms = few.Uniforms
			x, y := step(t, c, other), step(t, c, many)
			require.InEpsilon(t, (4*x.LossPerImage+32*y.LossPerImage)/36, y.Update.LossPerImage, 1e-12)
			require.InEpsilon(t, (x.Loss+y.Loss)/36, y.Update.PlateauLoss, 1e-12)
			require.NotEqual(t, x.LossPerImage, y.LossPerImage)
		})
	}
}

func TestContract_SaveReplacesAFileAtomically(t *testing.T) {
	trainer := newTrainer(t, convNet(), train.Config{})
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	require.NoError(t, trainer.Save(path))
	before := fileOf(t, trainer)
	old, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, old.Close()) }()

	step(t, trainer, bars(1, 4))
	if goruntime.GOOS != "windows" { // where an open file cannot be replaced
		require.NoError(t, trainer.Save(path))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, fileOf(t, trainer), got)
	}
	content := make([]byte, len(before)+1)
	n, err := old.Read(content)
	require.NoError(t, err)
	require.Equal(t, before, content[:n], "Save must not write to the old file")

	require.Error(t, trainer.Save(dir))
	require.Error(t, trainer.Save(filepath.Join(dir, "none", "model.onnx")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file remains")
}

func TestContract_BytesAndStateBelongToTheCaller(t *testing.T) {
	data := modeltest.Write(t, sbsNet(1), convert.Options{})
	trainer, err := train.New(data, train.Config{SubBatches: 2})
	require.NoError(t, err)
	defer func() { require.NoError(t, trainer.Close()) }()
	want := slices.Clone(data)
	clear(data)
	require.Equal(t, want, fileOf(t, trainer), "New must copy the bytes")

	reference := newTrainer(t, sbsNet(1), train.Config{SubBatches: 2})
	for i := range uint64(3) {
		clear(fileOf(t, trainer))
		state, err := trainer.State()
		require.NoError(t, err)
		kept := slices.Clone(state)
		require.NoError(t, trainer.Restore(state))
		clear(state)
		require.Equal(t, step(t, reference, bars(i, 4)), step(t, trainer, bars(i, 4)))
		require.Equal(t, fileOf(t, reference), fileOf(t, trainer))
		require.NotEqual(t, kept, state)
	}
}

// TestContract_DynamicsApplyToTrainingAndToTheFile compares Dynamics, EachLayer and Layers with a model
// that has these dynamics.
func TestContract_DynamicsApplyToTrainingAndToTheFile(t *testing.T) {
	cfg := train.Config{
		RateW: 0.1, Dynamics: sbs.Dynamics{Spikes: 9, Sampler: sbs.LowDiscrepancy},
		EachLayer: []sbs.Dynamics{{Spikes: 7}, {}, {Spikes: 6}},
		Layers:    map[string]sbs.Dynamics{"L2": {Spikes: 5, Epsilon0: 0.5}},
	}
	changed := newTrainer(t, sbsNet(2), cfg)
	n := networkOf(t, changed)
	layer := func(i int) *convert.SbS { return n.Layers[i].(*convert.SbS) }
	require.Equal(t, []int{7, 9, 5}, []int{layer(0).Spikes, layer(1).Spikes, layer(2).Spikes})
	require.Equal(t, sbs.LowDiscrepancy, layer(0).Sampler)
	require.Equal(t, float32(0.5), layer(2).Epsilon0)
	require.NotEqual(t, float32(0.5), layer(0).Epsilon0)

	same := newTrainer(t, n, train.Config{RateW: 0.1})
	unchanged := newTrainer(t, sbsNet(2), train.Config{RateW: 0.1})
	for i := range uint64(3) {
		b := bars(i, 8)
		got := step(t, changed, b)
		require.Equal(t, step(t, same, b), got)
		require.NotEqual(t, step(t, unchanged, b).Loss, got.Loss)
	}
	require.Equal(t, networkOf(t, same), networkOf(t, changed))
	require.Equal(t, 5, networkOf(t, changed).Layers[2].(*convert.SbS).Spikes)
}

func TestContract_BatchIsNotModified(t *testing.T) {
	for name, n := range map[string]*convert.Network{"SbS layers": sbsNet(1), "standard layers": convNet()} {
		t.Run(name, func(t *testing.T) {
			b := bars(1, 4)
			b.Target = opstest.F32([]int{4, 3}, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0.5, 0.5, 0)
			if name == "SbS layers" {
				b.Uniforms = map[string]*runtime.Tensor{"L2/SbS": opstest.F32([]int{4, 60, 1, 1}, slices.Repeat([]float32{0.25, 0.75}, 120)...)}
				spikes, err := ops.NewTensor([]int{4, 60, 6, 6}, make([]int64, 4*60*36))
				require.NoError(t, err)
				b.Spikes = map[string]*runtime.Tensor{"L0/SbS": spikes}
			}
			copied := train.Batch{Images: b.Images.Clone(), Labels: slices.Clone(b.Labels), Target: b.Target.Clone()}
			tensors := func(m map[string]*runtime.Tensor) map[string]*runtime.Tensor {
				m = maps.Clone(m)
				for name := range m {
					m[name] = m[name].Clone()
				}
				return m
			}
			copied.Spikes, copied.Uniforms = tensors(b.Spikes), tensors(b.Uniforms)
			trainer := newTrainer(t, n, train.Config{RateW: 0.1})
			for range 2 {
				step(t, trainer, b)
			}
			require.Equal(t, copied, b)
		})
	}
}

// TestConfig_SurvivesJSON checks that a program can store a Config with its model.
func TestConfig_SurvivesJSON(t *testing.T) {
	want := train.Config{
		Dialect: 2, RateW: 0.1, FreezeW: []string{"L0"}, ScheduleW: train.Schedule{Kind: train.Cosine, Length: 3},
		Layers: map[string]sbs.Dynamics{"L2": {Spikes: 5}}, Operators: []ops.Operator{{Name: "Relu"}},
	}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	var got train.Config
	require.NoError(t, json.Unmarshal(text, &got))
	want.Operators = nil
	require.Equal(t, want, got)
}
