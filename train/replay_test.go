package train_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// replay is a recording of updates of PyTorch-SbS.
type replay struct {
	dir      string
	config   train.Config
	expected []struct {
		Losses      []float64 `json:"batch_losses"`
		PerPattern  float64   `json:"loss_per_pattern"`
		Performance float64
		RateW       *float64  `json:"lr_w_after"`
		RateEps     *float64  `json:"lr_eps_xy_after"`
		Scales      []float64 `json:"last_grad_scale"`
	}
	network *convert.Network
	offset  float32 // is added to every pixel
}

func loadReplay(t *testing.T, dir string) *replay {
	r := &replay{dir: dir}
	shape := opstest.Load(t, r.file("step0_batch0_input.npy")).Shape()
	generation := ""
	image := convert.Size{Channels: shape[1], Height: shape[2] + 4, Width: shape[3] + 4} // before 2 pixels are cut off
	if !strings.HasPrefix(filepath.Base(dir), "train-dialect") {
		r.offset, generation = 1e-20, "2023-07" // the recordings have what the data set gave
	}
	if filepath.Base(dir) == "train-dialect1" {
		image.Channels /= 2 // before the on/off split
	}
	var err error
	r.network, _, err = pytorch.Load(pytorch.Options{
		Weights: r.dir, EpsilonXY: r.dir, Step: new(0), NoPreprocessing: true, Input: image, Generation: generation,
	})
	require.NoError(t, err)
	var c struct {
		Structure struct {
			Trainable []bool `json:"eps_xy_trainable"`
			Mean      []bool `json:"eps_xy_mean"`
		} `json:"network_structure"`
		Learning struct {
			Mode       int     `json:"loss_mode"`
			MSE        float64 `json:"loss_coeffs_mse"`
			KL         float64 `json:"loss_coeffs_kldiv"`
			RateW      float64 `json:"learning_rate_gamma_w"`
			RateEps    float64 `json:"learning_rate_gamma_eps_xy"`
			ThreshW    float64 `json:"learning_rate_threshold_w"`
			ThreshEps  float64 `json:"learning_rate_threshold_eps_xy"`
			Batches    int     `json:"number_of_batches_for_one_update"`
			Schedule   string  `json:"lr_schedule_name"`
			FactorW    float64 `json:"lr_scheduler_factor_w"`
			PatienceW  int     `json:"lr_scheduler_patience_w"`
			FactorEps  float64 `json:"lr_scheduler_factor_eps_xy"`
			PatienceEp int     `json:"lr_scheduler_patience_eps_xy"`
			NoScale    bool    `json:"disable_scale_grade"`
			Keep       *bool   `json:"kepp_last_grad_scale"`
			Skip       []bool  `json:"sbs_skip_gradient_calculation"`
			TrainableW []bool  `json:"w_trainable"`
		} `json:"learning_parameters"`
	}
	readJSON(t, filepath.Join(r.dir, "config.json"), &c)
	readJSON(t, filepath.Join(r.dir, "expected.json"), &r.expected)
	l := c.Learning
	r.config = train.Config{
		Loss:  train.Loss{Kind: train.Mixture, MSE: l.MSE, KL: l.KL, Sum: r.network.Dialect == 2},
		RateW: l.RateW, RateEpsilonXY: l.RateEps, ThresholdW: l.ThreshW, ThresholdEpsilonXY: l.ThreshEps, SubBatches: l.Batches,
		ScheduleW:         train.Schedule{Kind: train.ScheduleKind(l.Schedule), Factor: l.FactorW, Patience: l.PatienceW},
		ScheduleEpsilonXY: train.Schedule{Kind: train.ScheduleKind(l.Schedule), Factor: l.FactorEps, Patience: l.PatienceEp},
		ScheduleByError:   r.network.Dialect == 1,
		NoGradientScale:   l.NoScale,
		NewGradientScales: l.Keep != nil && !*l.Keep,
	}
	for i := range r.network.Layers {
		name := "L" + strconv.Itoa(i)
		if at(l.Skip, i, false) {
			r.config.StopGradient = append(r.config.StopGradient, name)
		}
		if r.network.Dialect == 2 && !at(l.TrainableW, i, false) {
			r.config.FreezeW = append(r.config.FreezeW, name)
		}
	}
	if l.Mode == 1 {
		r.config.Loss.Kind = train.CrossEntropy
	}
	for i, mean := range c.Structure.Mean {
		if mean {
			r.config.MeanEpsilonXY = append(r.config.MeanEpsilonXY, "L"+strconv.Itoa(i))
		}
		if !c.Structure.Trainable[i] {
			r.config.FreezeEpsilonXY = append(r.config.FreezeEpsilonXY, "L"+strconv.Itoa(i))
		}
	}
	return r
}

// at returns entry i of a list in which a single entry stands for all.
func at(list []bool, i int, otherwise bool) bool {
	switch {
	case i < len(list):
		return list[i]
	case len(list) == 1:
		return list[0]
	}
	return otherwise
}

func readJSON(t *testing.T, path string, v any) {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, v))
}

func (r *replay) file(format string, args ...any) string {
	return filepath.Join(r.dir, fmt.Sprintf(format, args...))
}

func (r *replay) batch(t *testing.T, step, i int) train.Batch {
	b := train.Batch{
		Images:   opstest.Load(t, r.file("step%d_batch%d_input.npy", step, i)),
		Uniforms: map[string]*runtime.Tensor{}, Spikes: map[string]*runtime.Tensor{},
	}
	for i := range b.Images.Float32s() {
		b.Images.Float32s()[i] += r.offset
	}
	if _, ok := r.network.Layers[len(r.network.Layers)-1].(*convert.Reconstruction); !ok {
		for _, v := range opstest.Load(t, r.file("step%d_batch%d_labels.npy", step, i)).Int64s() {
			b.Labels = append(b.Labels, int(v))
		}
	}
	for j := range r.network.Layers {
		for name, given := range map[string]map[string]*runtime.Tensor{"uniforms": b.Uniforms, "spikes": b.Spikes, "counts": b.Spikes} {
			path := r.file("step%d_batch%d_%s_L%d.npy", step, i, name, j)
			if _, err := os.Stat(path); err == nil {
				given["L"+strconv.Itoa(j)] = opstest.Load(t, path)
			}
		}
	}
	return b
}

// TestConformanceTraining repeats recorded updates of PyTorch-SbS with their batches and
// uniforms, and compares the losses, learning rates, weights and epsilon_xy after each
// update.
func TestConformanceTraining(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(modeltest.Shared(t, "."), "train-*"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(dirs), 9)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r := loadReplay(t, dir)
			trainer := newTrainer(t, r.network, r.config)
			for step, want := range r.expected {
				var update *train.Update
				for i, loss := range want.Losses {
					require.Nil(t, update)
					got, err := trainer.Step(t.Context(), r.batch(t, step, i))
					require.NoError(t, err)
					require.InEpsilon(t, loss, got.Loss, 1e-5, "step %d, batch %d", step, i)
					update = got.Update
				}
				require.NotNil(t, update)
				require.Equal(t, step, update.Number)
				require.InEpsilon(t, want.PerPattern, update.PlateauLoss, 1e-5)
				require.InDelta(t, want.Performance, 100*float64(update.Correct)/float64(update.Images), 1e-9)
				if want.RateW != nil {
					require.InDelta(t, *want.RateW, update.RateW, 1e-12)
					require.InDelta(t, *want.RateEps, update.RateEpsilonXY, 1e-12)
				}
				for i, scale := range want.Scales {
					require.InEpsilon(t, scale, trainer.GradientScales()[i], 1e-5)
				}
				r.compare(t, trainer, step+1)
			}
		})
	}
}

// compare compares the parameters with the files that PyTorch-SbS wrote after the given
// number of updates.
func (r *replay) compare(t *testing.T, trainer *train.Trainer, step int) {
	data, err := trainer.Bytes()
	require.NoError(t, err)
	n, err := convert.FromONNX(data)
	require.NoError(t, err)
	compared := 0
	for i, l := range n.Layers {
		for kind, got := range arrays(l) {
			if got == nil {
				continue
			}
			path := r.file("%s_L%d_S%d.npy", kind, i, step)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			want := opstest.Load(t, path)
			require.Equal(t, want.Shape(), got.Shape())
			var worst float64
			for j, w := range want.Float32s() {
				// Columns sum to 1, so differences below the rounding of 1 are irrelevant.
				const rounding = 0x1p-24
				off := math.Abs(float64(got.Float32s()[j]) - float64(w))
				worst = max(worst, (off-rounding)/math.Abs(float64(w)))
			}
			require.LessOrEqual(t, worst, 1e-4, "%s of layer %d after update %d", kind, i, step)
			t.Logf("%s of layer %d after update %d: largest relative difference %.2g", kind, i, step, worst)
			compared++
		}
	}
	require.Positive(t, compared)
}

// arrays returns the parameters of a layer by the names of their files.
func arrays(l convert.Layer) map[string]*ops.Tensor {
	switch l := l.(type) {
	case *convert.SbS:
		return map[string]*ops.Tensor{"Weight": l.Weights, "EpsXY": l.EpsilonXY}
	case *convert.NNMF:
		return map[string]*ops.Tensor{"Weight": l.Weights}
	case *convert.Conv:
		return map[string]*ops.Tensor{"Weight": l.Weights, "Bias": l.Bias}
	case *convert.ApproxConv:
		return map[string]*ops.Tensor{"Weight": l.Weights, "Bias": l.Bias}
	}
	return nil
}
