package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
)

// TestOptimize_AddsStages compares the written model with its stages.
func TestOptimize_AddsStages(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	out := filepath.Join(t.TempDir(), "stages.onnx")
	stdout, stderr := must(t, model, "--data", data, "--min-accuracy", "92", "--max-accuracy-loss", "5", "--confidence", "90", "-o", out, "--trainings", "1", "--epochs", "1")
	require.Contains(t, stderr, "fine-tuning with")
	found := regexp.MustCompile(`stages.onnx +calibration +100 +[0-9.]+ +([0-9]+)`).FindStringSubmatch(stdout)
	require.NotNil(t, found, stdout)
	require.Less(t, number(t, found[1]), 0.7*float64(updates(t, model)), "most images leave early")
	require.Regexp(t, `left at stage 1 +calibration`, stdout)
	all := table(t, strings.TrimSuffix(out, ".onnx")+"-log/front.csv")
	for i := range all["updates"][1 : len(all["updates"])-1] {
		require.LessOrEqual(t, number(t, all["updates"][i]), number(t, all["updates"][i+1]))
	}
	s, err := convert.StagesFromONNX(read(t, out))
	require.NoError(t, err)
	require.Len(t, s.Stages, 2)
	last, err := newCandidate(s.Stages[1].Network, convert.Options{})
	require.NoError(t, err)
	require.Equal(t, read(t, model), last.model)
	require.Equal(t, 5.0, s.Calibration.MaxAccuracyLoss)
	require.InDelta(t, 0.9, s.Calibration.Confidence, 1e-12)
	require.Equal(t, 100, s.Calibration.Images)
	require.Equal(t, "the 200 of 600 training images that were held back (one half)", s.Calibration.Source)
	require.Contains(t, stdout, "first stage")
}

// TestCombine_CalibratesTheThresholds counts the losses of the written model independently.
func TestCombine_CalibratesTheThresholds(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	dir := t.TempDir()
	few, middle, out := filepath.Join(dir, "few.onnx"), filepath.Join(dir, "middle.onnx"), filepath.Join(dir, "stages.onnx")
	must(t, model, "--data", data, "--min-accuracy", "80", "-o", few, "--trainings", "0")
	must(t, model, "--data", data, "--min-accuracy", "99", "-o", middle, "--trainings", "0")
	stdout, _ := must(t, few, middle, model, "--data", data, "--max-accuracy-loss", "10", "-o", out)
	require.Contains(t, stdout, "wrote "+out)
	s, err := convert.StagesFromONNX(read(t, out))
	require.NoError(t, err)
	require.Len(t, s.Stages, 3)

	f := &flags{data: []string{data}, paths: []string{few}}
	set, err := f.load(t.Context(), network(t, model), network(t, model).Holdout, false)
	require.NoError(t, err)
	whole, err := f.measure(t.Context(), read(t, out), set.check, "")
	require.NoError(t, err)
	many, err := f.measure(t.Context(), read(t, model), set.check, "")
	require.NoError(t, err)
	left, lost := make([]int, 3), make([]float64, 3)
	for i, a := range whole {
		left[a.Stage-1]++
		if !a.Right && many[i].Right {
			lost[a.Stage-1]++
		}
	}
	require.Equal(t, left[:2], s.Calibration.Left)
	require.Equal(t, lost[:2], s.Calibration.Losses)
	require.LessOrEqual(t, lost[0]+lost[1], 10.0)
	require.Positive(t, left[0])
	require.Zero(t, lost[2])

	// With images that none has seen, the models need no record.
	unknown := network(t, few)
	unknown.Holdout = nil
	forgotten := save(t, unknown, convert.Options{})
	must(t, forgotten, model, "--data", filepath.Join(data, "TrainPatternStorage.npy"), "--validation", filepath.Join(data, "TestPatternStorage.npy"), "--max-accuracy-loss", "20", "-o", filepath.Join(dir, "v.onnx"))

	named := network(t, model)
	named.Classes = []string{"a", "b", "c"}
	names := save(t, named, convert.Options{})
	_, errOut, err := command(t, few, names, "--data", data, "--max-accuracy-loss", "10", "-o", filepath.Join(dir, "x.onnx"))
	require.ErrorContains(t, err, "its classes are named")
	require.NotContains(t, errOut, "measuring")

	other, _ := trained(t, "--holdout", "100", "--epochs", "1")
	_, _, err = command(t, few, other, "--data", data, "--max-accuracy-loss", "10", "-o", filepath.Join(dir, "x.onnx"))
	require.NoError(t, err, "fewer images held back from the same set")
	seen, _ := trained(t, "--epochs", "1")
	_, _, err = command(t, few, seen, "--data", data, "--max-accuracy-loss", "10", "-o", filepath.Join(dir, "y.onnx"))
	require.ErrorContains(t, err, "train it with sbs-train --holdout N")
	_, _, err = command(t, few, model, "--data", data, "--max-accuracy-loss", "1", "-o", filepath.Join(dir, "y.onnx"))
	require.ErrorContains(t, err, "takes at least 299 images for the calibration, but there are 100, one half of the 200 of 600 training images that were held back")
}

// TestCombine_RaisesTheThresholdsWithinTheUpdates compares with the model without --max-updates.
func TestCombine_RaisesTheThresholdsWithinTheUpdates(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	dir := t.TempDir()
	few := filepath.Join(dir, "few.onnx")
	must(t, model, "--data", data, "--min-accuracy", "80", "-o", few, "--trainings", "0")
	thresholds := map[string]float64{}
	var updatesOf = map[string]float64{}
	for name, flags := range map[string][]string{"free": nil, "most": {"--max-updates", "1500"}, "all": {"--max-updates", "100000"}, "none": {"--max-updates", "1"}} {
		out := filepath.Join(dir, name+".onnx")
		stdout, stderr := must(t, append([]string{few, model, "--data", data, "--max-accuracy-loss", "10", "-o", out}, flags...)...)
		require.Equal(t, name == "none", strings.Contains(stderr, "more than --max-updates: lower thresholds would lose more images"))
		s, err := convert.StagesFromONNX(read(t, out))
		require.NoError(t, err)
		thresholds[name] = s.Stages[0].Threshold
		found := regexp.MustCompile(name + `.onnx +calibration +100 +[0-9.]+ +([0-9]+)`).FindStringSubmatch(stdout)
		require.NotNil(t, found, stdout)
		updatesOf[name] = number(t, found[1])
	}
	require.Less(t, updatesOf["free"], 1200.0)
	require.LessOrEqual(t, updatesOf["most"], 1500.0)
	require.Greater(t, updatesOf["most"], updatesOf["free"])
	require.Greater(t, thresholds["most"], thresholds["free"])
	require.Equal(t, 1.0, thresholds["all"])
	require.Equal(t, thresholds["free"], thresholds["none"])
}

// TestOptimize_WarnsIfTheOtherHalfTakesMoreUpdates asks for as many updates as the images of the
// search take. Those of the calibration take more.
func TestOptimize_WarnsIfTheOtherHalfTakesMoreUpdates(t *testing.T) {
	model, data := trained(t, "--holdout", "200")
	out := filepath.Join(t.TempDir(), "stages.onnx")
	stdout, stderr := must(t, model, "--data", data, "--max-accuracy-loss", "5", "--confidence", "90", "--trainings", "0", "--max-updates", "450", "-o", out)
	found := regexp.MustCompile(`stages.onnx +calibration +100 +[0-9.]+ +([0-9]+)`).FindStringSubmatch(stdout)
	require.NotNil(t, found, stdout)
	require.Greater(t, number(t, found[1]), 450.0)
	require.Regexp(t, "stages.onnx takes [1-4][0-9]{2} updates per image for the search images and "+found[1]+
		" for the other half, more than --max-updates", stderr)
}
