package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// folderOf writes a network as a weights folder and returns the folder.
func folderOf(t *testing.T, n *convert.Network) string {
	t.Helper()
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	model := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(model, data, 0o600))
	folder := filepath.Join(t.TempDir(), "Weights")
	_, _, err = command(t, model, folder)
	require.NoError(t, err)
	return folder
}

func readModel(t *testing.T, path string) *convert.Network {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	n, err := convert.FromONNX(data)
	require.NoError(t, err)
	return n
}

// TestConvert_AutoFitsTheEpsilonToTheSpikes has a folder with 40 spikes.
func TestConvert_AutoFitsTheEpsilonToTheSpikes(t *testing.T) {
	folder, path := folderOf(t, converttest.Digits()), filepath.Join(t.TempDir(), "auto.onnx")
	args := []string{folder, path, "--input", "1x12x12", "--force"}
	fitted := func(spikes int) float32 {
		own := converttest.Digits().Layers[0].(*convert.SbS)
		d, err := sbs.Dynamics{Spikes: spikes, Schedule: &sbs.Schedule{Auto: true}}.Resolve(
			sbs.Params{Spikes: own.Spikes, Epsilon0: own.Epsilon0, EpsilonT: own.EpsilonT}, nil)
		require.NoError(t, err)
		return d.Epsilon0
	}
	layers := func() (l0, l2 *convert.SbS) {
		n := readModel(t, path)
		return n.Layers[0].(*convert.SbS), n.Layers[2].(*convert.SbS)
	}

	_, errOut, err := command(t, append(args, "--spikes", "4", "--epsilon-schedule", "auto")...)
	require.NoError(t, err)
	require.Empty(t, errOut, "no warning about few spikes")
	l0, l2 := layers()
	require.Equal(t, []float32{fitted(4), fitted(4)}, []float32{l0.Epsilon0, l2.Epsilon0})
	require.Equal(t, float32(15.1), l0.Epsilon0)
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(4), l0.EpsilonT)

	// The layer with more spikes than in the folder continues its schedule.
	_, _, err = command(t, append(args, "--spikes", "20,300", "--epsilon-schedule", "auto")...)
	require.NoError(t, err)
	l0, l2 = layers()
	require.Equal(t, []float32{fitted(20), 1}, []float32{l0.Epsilon0, l2.Epsilon0})
	require.Equal(t, sbs.Schedule{Power: -0.5}.EpsilonT(300), l2.EpsilonT)
	out, _, err := command(t, "--info", path)
	require.NoError(t, err)
	require.Contains(t, out, "20      1.7 inverse-sqrt  720")
	require.Contains(t, out, "1 inverse-sqrt")

	_, _, err = command(t, append(args, "--spikes", "20,10", "--epsilon-schedule", "auto,power:-0.2", "--epsilon-0", "auto,0.5")...)
	require.NoError(t, err)
	l0, l2 = layers()
	require.Equal(t, []float32{fitted(20), 0.5}, []float32{l0.Epsilon0, l2.Epsilon0})
	require.Equal(t, sbs.Schedule{Power: -0.2}.EpsilonT(10), l2.EpsilonT)

	_, _, err = command(t, args...)
	require.NoError(t, err)
	plain, err := os.ReadFile(path)
	require.NoError(t, err)
	_, _, err = command(t, append(args, "--epsilon-schedule", "auto")...)
	require.NoError(t, err)
	same, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, plain, same, "without --spikes, auto changes nothing")
	_, _, err = command(t, append(args, "--spikes", "40", "--epsilon-schedule", "auto")...)
	require.NoError(t, err)
	same, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, plain, same, "the number of spikes is the same")

	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--epsilon-schedule", "auto,auto,auto"}, "there are values for 3 SbS layers, but the network has 2 (L0, L2)"},
		{[]string{"--epsilon-schedule", "auto,constant", "--epsilon-0", "0.5"}, "--epsilon-schedule auto chooses epsilon_0, so a layer cannot also have --epsilon-0 0.5: leave out --epsilon-0, or give it a list with auto for this layer"},
		{[]string{"--epsilon-schedule", "auto,constant", "--epsilon-0", "auto"}, "--epsilon-0 auto needs --epsilon-schedule auto for the same layer"},
		{[]string{"--epsilon-0", "auto"}, "--epsilon-0 auto needs --epsilon-schedule auto for the same layer"},
	} {
		_, _, err = command(t, append(args, c.flags...)...)
		require.ErrorContains(t, err, c.want)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage)
	}
}

// TestConvert_AutoUsesTheMeanOfEpsilonXY has a network of dialect 1 with EpsXY files.
func TestConvert_AutoUsesTheMeanOfEpsilonXY(t *testing.T) {
	m := converttest.New(3)
	n := converttest.Digits()
	n.Dialect = 1
	n.Layers[1] = m.SbS(converttest.Window(2, 2), 5, 5, 40)
	for i, side := range []int{6, 3, 1} {
		s := n.Layers[i].(*convert.SbS)
		s.EpsilonT = sbs.Schedule{}.EpsilonT(40)
		s.EpsilonXY = m.Tensor(0.01, 0.2, side, side, s.Kernel[0], s.Kernel[1])
	}
	folder, path := folderOf(t, n), filepath.Join(t.TempDir(), "auto.onnx")
	_, _, err := command(t, folder, path, "--input", "1x12x12", "--spikes", "10", "--epsilon-schedule", "auto")
	require.NoError(t, err)
	for i, l := range readModel(t, path).Layers {
		own := n.Layers[i].(*convert.SbS)
		d, err := sbs.Dynamics{Spikes: 10, Schedule: &sbs.Schedule{Auto: true}}.Resolve(
			sbs.Params{Spikes: 40, Epsilon0: own.Epsilon0, EpsilonT: own.EpsilonT}, own.EpsilonXY)
		require.NoError(t, err)
		require.Equal(t, d.Epsilon0, l.(*convert.SbS).Epsilon0)
		require.InDelta(t, 4.6, d.Epsilon0, 0.6, "more than four times, since 1+e is raised to the power of 4")
	}
}
