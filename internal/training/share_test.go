package training

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/train"
)

// helpers are Gradients that several Helpers compute, the last sub-batch first.
type helpers struct {
	t    *testing.T
	all  []*Helper
	runs int
	most int                      // largest number of sub-batches of a run
	stop func(run int)            // called before every run, may be nil
	last func(parts []train.Part) // changes the result of a run, may be nil
}

func (h *helpers) Start(ctx context.Context, s *Share, _ Log) error {
	text, err := json.Marshal(s)
	require.NoError(h.t, err)
	for i := range 3 {
		var got Share
		require.NoError(h.t, json.Unmarshal(text, &got))
		one, err := got.Open(ctx, s.Data, s.Labels, i+1)
		if err != nil {
			return err
		}
		h.t.Cleanup(func() { require.NoError(h.t, one.Close()) })
		h.all = append(h.all, one)
	}
	return nil
}

func (h *helpers) Compute(ctx context.Context, r Run) ([]train.Part, []float32, error) {
	h.runs, h.most = h.runs+1, max(h.most, r.Count)
	if h.stop != nil {
		h.stop(h.runs)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	parts, gradients := make([]train.Part, r.Count), make([][]float32, r.Count)
	for k := r.Count - 1; k >= 0; k-- {
		one := h.all[(r.First+k)%len(h.all)]
		if err := one.Follow(r.Snapshot); err != nil {
			return nil, nil, err
		}
		gradients[k] = make([]float32, one.Len())
		var err error
		if parts[k], err = one.Gradient(ctx, r.First+k, k, gradients[k]); err != nil {
			return nil, nil, err
		}
	}
	for _, g := range gradients {
		for i, v := range g {
			r.Sum[i] += v
		}
	}
	if h.last != nil {
		h.last(parts)
	}
	return parts, r.Sum, nil
}

// distributed runs a distributed training.
func distributed(ctx context.Context, g Gradients, args ...string) (stderr string, err error) {
	d := Distributed{Program: "distributed-train"}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	d.Register(set)
	if err := set.Parse(args); err != nil {
		return "", err
	}
	if err := d.Check(set.Args()); err != nil {
		return "", err
	}
	var out, errOut bytes.Buffer
	err = d.Train(ctx, g, &out, &errOut)
	return errOut.String(), err
}

// sameBits compares the models, the metrics and the checkpoints of two trainings, apart from times.
func sameBits(t *testing.T, a, b string) {
	t.Helper()
	one, err := os.ReadFile(a)
	require.NoError(t, err)
	other, err := os.ReadFile(b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(one, other), "the models differ")
	logs := [2]string{a[:len(a)-len(".onnx")] + "-log", b[:len(b)-len(".onnx")] + "-log"}
	for _, name := range []string{"checkpoint", "checkpoint-previous"} {
		var c [2]*checkpoint
		for i, log := range logs {
			c[i], err = readCheckpoint(filepath.Join(log, name))
			require.NoError(t, err)
			c[i].Position.Seconds = 0
			if r := c[i].Position.Record; r != nil {
				r.Seconds = 0
			}
		}
		require.Equal(t, c[0], c[1], name)
	}
	sameTraining(t, logs[0], logs[1])
}

// Gradients that others compute give the bits of a training in one process, also if updates and epochs
// end at different sub-batches, with noise, labels in a file and images held back.
func TestDistributed_HasTheBitsOfSbsTrain(t *testing.T) {
	m, data := model(t, convert.Options{}), bars(t, 110, 20)
	dir := t.TempDir()
	for name, flags := range map[string][]string{
		"plain":    {"--batch", "8", "--batches-per-update", "5", "--epochs", "3"},
		"all":      {"--batch", "8", "--batches-per-update", "4", "--epochs", "2", "--noise", "gaussian=0:0.3", "--holdout", "10", "--seed", "3"},
		"constant": {"--batch", "50", "--batches-per-update", "3", "--epochs", "2", "--lr-schedule", "constant", "--no-test"},
	} {
		t.Run(name, func(t *testing.T) {
			want, got := filepath.Join(dir, name+"-want.onnx"), filepath.Join(dir, name+"-got.onnx")
			args := append([]string{m, "--data", data}, flags...)
			if name == "all" {
				args = append([]string{dialect2(t), "--data", data}, flags...)
				want, got = filepath.Join(dir, "want"), filepath.Join(dir, "got")
			}
			must(t, append(args, "--output", want, "--workers", "1")...)
			h := &helpers{t: t}
			stderr, err := distributed(t.Context(), h, append(args, "--output", got)...)
			require.NoError(t, err, stderr)
			if name == "all" {
				for _, folder := range []string{want, got} {
					require.NoError(t, os.Rename(filepath.Join(folder, "model.onnx"), folder+".onnx"))
					require.NoError(t, os.Rename(filepath.Join(folder, "Log"), folder+"-log"))
				}
				want, got = want+".onnx", got+".onnx"
			}
			sameBits(t, want, got)
		})
	}
}

// An interrupted training continues in the other program, from any sub-batch.
func TestDistributed_ResumesATrainingOfSbsTrain(t *testing.T) {
	m, data := model(t, convert.Options{}), bars(t, 110, 20)
	dir := t.TempDir()
	want, got := filepath.Join(dir, "want.onnx"), filepath.Join(dir, "got.onnx")
	args := []string{m, "--data", data, "--batch", "8", "--batches-per-update", "5", "--epochs", "3"}
	must(t, append(args, "--output", want)...)
	args = append(args, "--output", got)
	// Run 9 begins after an epoch in the middle of an update.
	for _, last := range []int{9, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		h := &helpers{t: t, stop: func(run int) {
			if run == last {
				cancel()
			}
		}}
		stderr, err := distributed(ctx, h, append(args, "--resume")...)
		require.ErrorIs(t, err, cli.ErrInterrupted)
		require.Contains(t, stderr, "to resume, run\n  distributed-train ")
	}
	must(t, append(args, "--resume")...)
	sameBits(t, want, got)
}

func TestShare_RefusesOtherImages(t *testing.T) {
	m, data, other := model(t, convert.Options{}), bars(t, 110, 20), bars(t, 109, 20)
	h := &otherData{helpers{t: t}, other}
	d := Distributed{Program: "distributed-train"}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	d.Register(set)
	require.NoError(t, set.Parse([]string{"--data", data, "--output", filepath.Join(t.TempDir(), "x.onnx")}))
	require.NoError(t, d.Check([]string{m}))
	var out bytes.Buffer
	err := d.Train(t.Context(), h, &out, &out)
	require.ErrorContains(t, err, "the training images are other ones here than where the training was started")
}

type otherData struct {
	helpers
	path string
}

func (o *otherData) Start(ctx context.Context, s *Share, log Log) error {
	s.Data = []string{o.path}
	return o.helpers.Start(ctx, s, log)
}
