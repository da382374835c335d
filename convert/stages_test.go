package convert_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// mixed returns stages that need different parts of the SbS function.
func mixed() *convert.Staged {
	s := converttest.Staged()
	s.Stages[0].Network.Layers[0].(*convert.SbS).Sampler = sbs.LowDiscrepancy
	s.Stages[1].Network.Layers[0].(*convert.SbS).EpsilonXY = converttest.New(1).Tensor(0.1, 1, 6, 6)
	s.Stages[1].Network.Preprocessing.Offset = 1e-10
	s.Stages[1].Network.Layers[2].(*convert.SbS).Local = true
	s.Stages[2].Network.Sources, s.Calibration = nil, nil
	return s
}

func stagedModels() map[string]*convert.Staged {
	deep := &convert.Staged{}
	for i := range convert.MaxStages {
		deep.Stages = append(deep.Stages, convert.Stage{Network: converttest.Digits(), Threshold: float64(i) / 10})
	}
	deep.Stages[convert.MaxStages-1].Threshold = 0
	return map[string]*convert.Staged{
		"weights of its own": converttest.Staged(), "different parts of the function": mixed(), "most stages": deep,
		"one stage": {Stages: []convert.Stage{{Network: converttest.Digits()}}},
	}
}

func writeStages(t testing.TB, s *convert.Staged, opt convert.Options) []byte {
	t.Helper()
	data, err := convert.StagesToONNX(s, opt)
	require.NoError(t, err)
	return data
}

// Each stage must be restored, and be extracted as the same bytes that ToONNX gives for the
// network of the stage.
func TestStages_AreRestoredBitForBit(t *testing.T) {
	for name, s := range stagedModels() {
		for _, opt := range []convert.Options{{}, {Seed: 100}, {Body: convert.BodyNone}} {
			t.Run(fmt.Sprintf("%s/%+v", name, opt), func(t *testing.T) {
				data := writeStages(t, s, opt)
				require.True(t, bytes.Equal(data, writeStages(t, s, opt)), "the same stages must give the same bytes")
				back, err := convert.StagesFromONNX(data)
				require.NoError(t, err)
				require.Equal(t, s, back)
				last, err := convert.FromONNX(data)
				require.NoError(t, err)
				require.Equal(t, s.Stages[len(s.Stages)-1].Network, last)
				for i, stage := range s.Stages {
					want, err := convert.ToONNX(stage.Network, opt)
					require.NoError(t, err)
					if len(s.Stages) == 1 {
						require.True(t, bytes.Equal(want, data), "one stage is an ordinary model")
						break
					}
					got, err := convert.ExtractStage(data, i+1)
					require.NoError(t, err)
					require.True(t, bytes.Equal(want, got), "stage %d", i+1)
				}
			})
		}
	}
	for _, stage := range []int{-1, 0, 4} {
		_, err := convert.ExtractStage(writeStages(t, converttest.Staged(), convert.Options{}), stage)
		require.ErrorContains(t, err, fmt.Sprintf("stage %d: the model has stages 1 to 3", stage))
	}
	data, err := convert.ToONNX(converttest.Digits(), convert.Options{})
	require.NoError(t, err)
	_, err = convert.ExtractStage(data, 1)
	require.ErrorContains(t, err, "the model has no stages")
}

// A stage that differs from the last one in its spikes only takes up no space for weights.
func TestStages_ShareWeights(t *testing.T) {
	s := converttest.Staged()
	m, err := onnx.Unmarshal(t.Context(), writeStages(t, s, convert.Options{}))
	require.NoError(t, err)
	stages, _, err := onnx.Stages(m)
	require.NoError(t, err)
	require.Greater(t, stages[0].OwnBytes, 4*45*3, "its last layer has weights of its own")
	require.Less(t, stages[0].OwnBytes, 4*45*3+50)
	require.Zero(t, stages[1].OwnBytes)
	functions := m.GetFunctions()
	require.Len(t, functions, 3)
	require.Equal(t, []string{"image", "L0/SbS/W"}, slices.DeleteFunc(functions[1].GetInput(), func(n string) bool { return strings.HasPrefix(n, "preprocessing") }))
	require.Equal(t, []string{"image", "L0/SbS/W", "L2/SbS/W"}, slices.DeleteFunc(functions[2].GetInput(), func(n string) bool { return strings.HasPrefix(n, "preprocessing") }))
	for _, f := range functions[1:] {
		require.Equal(t, metadata.StageDomain, f.GetDomain())
		require.Equal(t, []string{"probabilities"}, f.GetOutput())
	}
	for _, n := range m.GetGraph().GetNode() {
		require.NotEqual(t, metadata.StageDomain, n.GetDomain(), "the graph is the last stage")
	}
}

func TestStagesToONNX_RefusesStagesThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *convert.Staged)
		opt    convert.Options
		want   string
	}{
		{"none", func(s *convert.Staged) { s.Stages = nil }, convert.Options{}, "the model has 0 stages, want 1 to 16"},
		{"too many", func(s *convert.Staged) { s.Stages = make([]convert.Stage, 17) }, convert.Options{}, "the model has 17 stages, want 1 to 16"},
		{"no network", func(s *convert.Staged) { s.Stages[1].Network = nil }, convert.Options{}, "stage 2: convert: no network was given"},
		{"NaN", func(s *convert.Staged) { s.Stages[1].Threshold = math.NaN() }, convert.Options{}, "stage 2: convert: the threshold is NaN, want 0 to 1"},
		{"negative", func(s *convert.Staged) { s.Stages[0].Threshold = -0.1 }, convert.Options{}, "stage 1: convert: the threshold is -0.1"},
		{"infinite", func(s *convert.Staged) { s.Stages[0].Threshold = math.Inf(1) }, convert.Options{}, "stage 1: convert: the threshold is +Inf"},
		{"of the last stage", func(s *convert.Staged) { s.Stages[2].Threshold = 0.5 }, convert.Options{}, "stage 3: convert: the threshold is 0.5, want 0"},
		{"logits", func(s *convert.Staged) {
			s.Stages[0].Network.Layers = append(s.Stages[0].Network.Layers, &convert.ReLU{})
		}, convert.Options{}, "stage 1: convert: its last layer is of kind Relu, whose output is not a probability"},
		{"positions", func(s *convert.Staged) {
			s.Stages[1].Network.Layers = s.Stages[1].Network.Layers[:1]
		}, convert.Options{}, "stage 2: convert: its output is 5x6x6, want one position"},
		{"images", func(s *convert.Staged) {
			s.Stages[1].Network.Input.Height, s.Stages[1].Network.Input.Width = 10, 10
			s.Stages[1].Network.Preprocessing.Crop = 1
		}, convert.Options{}, "stage 2: convert: its images are 1x10x10, but those of stage 1 are 1x12x12"},
		{"classes", func(s *convert.Staged) {
			s.Stages[2].Network.Layers[2] = converttest.New(1).SbS(converttest.Window(3, 1), 5, 4, 3)
		}, convert.Options{}, "stage 3: convert: it has 4 classes, but stage 1 has 3"},
		{"names of classes", func(s *convert.Staged) { s.Stages[1].Network.Classes = []string{"a", "c", "b"} }, convert.Options{}, `its classes are named ["a" "c" "b"], but those of stage 1 ["a" "b" "c"]`},
		{"calibration", func(s *convert.Staged) { s.Calibration.Images = 0 }, convert.Options{}, "calibration: the number of images is 0"},
		{"left", func(s *convert.Staged) { s.Calibration.Left = []int{600, 500} }, convert.Options{}, "500 images left at stage 2, but only 400 of 1000 were still there"},
		{"losses", func(s *convert.Staged) { s.Calibration.Losses = []float64{1, math.NaN()} }, convert.Options{}, "the loss of stage 2 is NaN%"},
		{"number of losses", func(s *convert.Staged) { s.Calibration.Losses = []float64{1} }, convert.Options{}, "1 losses for 2 stages"},
		{"confidence", func(s *convert.Staged) { s.Calibration.Confidence = 1 }, convert.Options{}, "the confidence is 1"},
		{"calibration of one stage", func(s *convert.Staged) { s.Stages = s.Stages[2:] }, convert.Options{}, "no calibration"},
		{"batch", nil, convert.Options{Batch: 2}, "cannot have a fixed batch size"},
		{"inject", nil, convert.Options{Inject: convert.InjectSpikes}, "cannot have inputs for spikes or uniforms"},
		{"inline", nil, convert.Options{Body: convert.BodyInline}, "stages are functions of the model"},
		{"body", nil, convert.Options{Body: "soul"}, `body "soul"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := converttest.Staged()
			if c.change != nil {
				c.change(s)
			}
			_, err := convert.StagesToONNX(s, c.opt)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := convert.StagesToONNX(nil, convert.Options{})
	require.ErrorContains(t, err, "no stages were given")
}

func TestStagesFromONNX_RefusesDamagedStages(t *testing.T) {
	for name, c := range converttest.DamagedStages() {
		t.Run(name, func(t *testing.T) {
			m, err := onnx.Unmarshal(t.Context(), writeStages(t, converttest.Staged(), convert.Options{}))
			require.NoError(t, err)
			c.Change(t, m)
			data, err := onnx.MarshalStamped(m)
			require.NoError(t, err)
			_, err = convert.StagesFromONNX(data)
			require.ErrorContains(t, err, c.Want)
			_, err = convert.ExtractStage(data, 2)
			require.ErrorContains(t, err, c.Want)
		})
	}
}

// The checker of the Python package onnx must accept models with stages: see
// TestToONNX_PassesTheONNXChecker.
func TestStagesToONNX_PassesTheONNXChecker(t *testing.T) {
	script := os.Getenv("SBS_ONNX_CHECKER")
	if script == "" {
		t.Skip("SBS_ONNX_CHECKER is not set")
	}
	args := []string{script}
	for name, s := range stagedModels() {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyNone} {
			path := filepath.Join(t.TempDir(), strings.ReplaceAll(name, " ", "-")+".onnx")
			require.NoError(t, os.WriteFile(path, writeStages(t, s, convert.Options{Body: body}), 0o600))
			args = append(args, path)
		}
	}
	out, err := exec.Command("/usr/bin/python3", args...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), fmt.Sprintf("%d passed, 0 failed", len(args)-1))
}

// The metadata has the thresholds, and the properties of the early stages.
func TestStagesToONNX_WritesTheMetadata(t *testing.T) {
	m, err := onnx.Unmarshal(t.Context(), writeStages(t, converttest.Staged(), convert.Options{}))
	require.NoError(t, err)
	i := slices.IndexFunc(m.GetMetadataProps(), func(p *onnxpb.StringStringEntryProto) bool { return p.GetKey() == "ai.sbs.stages" })
	require.GreaterOrEqual(t, i, 0)
	var got struct {
		Stages []struct {
			Function  string
			Threshold float64
			Metadata  map[string]string
		}
		Calibration map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(m.GetMetadataProps()[i].GetValue()), &got))
	require.Len(t, got.Stages, 2)
	require.Equal(t, "Stage1", got.Stages[0].Function)
	require.Equal(t, 0.15, got.Stages[0].Threshold)
	require.Equal(t, "few", got.Stages[0].Metadata["ai.sbs.name"])
	require.Equal(t, map[string]any{
		"images": 1000.0, "data": "00ff", "source": "MNIST/", "max_accuracy_loss": 0.1, "confidence": 0.95, "seed": 7.0,
		"losses": []any{0.05, 0.02}, "left": []any{600.0, 300.0},
	}, got.Calibration)
}
