package training

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// TestTrain_AutoFitsTheEpsilonToTheSpikes fine-tunes a model, which has 40 spikes, and trains
// from a configuration with 60.
func TestTrain_AutoFitsTheEpsilonToTheSpikes(t *testing.T) {
	data, path := bars(t, 48, 24), model(t, convert.Options{})
	fitted := func(own, spikes int) float32 {
		d, err := sbs.Dynamics{Spikes: spikes, Schedule: &sbs.Schedule{Auto: true}}.Resolve(
			sbs.Params{Spikes: own, Epsilon0: 1, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(own)}, nil)
		require.NoError(t, err)
		return d.Epsilon0
	}
	out := filepath.Join(t.TempDir(), "out.onnx")
	_, errOut := must(t, path, "--data", data, "-o", out, "--spikes", "4,20", "--epsilon-schedule", "auto,constant", "--epsilon-0", "auto,0.3", "--epochs", "1", "--no-test")
	require.NotContains(t, errOut, "epsilon is too small")
	l0, l2 := network(t, out).Layers[0].(*convert.SbS), network(t, out).Layers[2].(*convert.SbS)
	require.Equal(t, []float32{fitted(40, 4), 0.3}, []float32{l0.Epsilon0, l2.Epsilon0})
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(4), l0.EpsilonT)

	for spikes, want := range map[string]float32{"10": fitted(60, 10), "80": 1} {
		folder := t.TempDir()
		must(t, dialect2(t), "--data", data, "-o", folder, "--spikes", spikes, "--epsilon-schedule", "auto", "--epochs", "1", "--no-test")
		require.Equal(t, want, network(t, filepath.Join(folder, "model.onnx")).Layers[0].(*convert.SbS).Epsilon0)
	}

	_, _, err := command(t, path, "--data", data, "--epsilon-schedule", "auto", "--epsilon-0", "0.5")
	require.ErrorContains(t, err, "--epsilon-schedule auto chooses epsilon_0, so a layer cannot also have --epsilon-0 0.5")
	var usage *cli.UsageError
	require.ErrorAs(t, err, &usage)
}

// accuracyOf trains with a rate that changes no weight visibly, and returns the last test.
func accuracyOf(t *testing.T, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.onnx")
	printed, _ := must(t, append([]string{"--epochs", "1", "--lr", "1e-9", "--quiet", "-o", out}, flags...)...)
	_, accuracy, found := strings.Cut(printed, "test accuracy")
	require.True(t, found, printed)
	return strings.SplitN(accuracy, "\n", 2)[0]
}

// TestTestSpikes_TakesOneValuePerSbSLayer compares tests of a model with models that have the
// spikes of the tests.
func TestTestSpikes_TakesOneValuePerSbSLayer(t *testing.T) {
	data, path := bars(t, 48, 200), model(t, convert.Options{})
	accuracy := func(flags ...string) string {
		return accuracyOf(t, append([]string{path, "--data", data}, flags...)...)
	}
	require.Equal(t, accuracy("--spikes", "3,30"), accuracy("--test-spikes", "3,30"))
	require.NotEqual(t, accuracy("--test-spikes", "30,3"), accuracy("--test-spikes", "3,30"))
	require.Equal(t, accuracy("--test-spikes", "3,3"), accuracy("--test-spikes", "3"))

	require.Equal(t, accuracy("--spikes", "3", "--epsilon-schedule", "auto"), accuracy("--test-spikes", "3", "--epsilon-schedule", "auto"))
	require.NotEqual(t, accuracy("--test-spikes", "3"), accuracy("--test-spikes", "3", "--epsilon-schedule", "auto"))
	require.Equal(t, accuracy("--spikes", "3", "--epsilon-schedule", "auto,inverse-sqrt"), accuracy("--test-spikes", "3", "--epsilon-schedule", "auto,inverse-sqrt"))

	for flag, want := range map[string]string{
		"5,6,7": "--test-spikes: there are values for 3 SbS layers, but the network has 2 (L0, L2): give one value",
		"5,0":   "--test-spikes 5,0: want whole numbers from 1 to 16777216",
		"":      `--test-spikes "": want whole numbers`,
	} {
		_, _, err := command(t, path, "--data", data, "--test-spikes", flag)
		require.ErrorContains(t, err, want)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage, flag)
	}
	_, _, err := command(t, path, "--data", data, "--no-test", "--test-spikes", "5,6")
	require.ErrorContains(t, err, "--no-test cannot be combined with --test, --test-labels, --test-spikes or --test-every")
}
