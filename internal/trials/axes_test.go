package trials

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/training"
)

func TestParseAxis_ReadsLists(t *testing.T) {
	for text, want := range map[string][]string{
		"lr=0.1,0.2":                         {"0.1", "0.2"},
		"lr=0.1:0.3:0.1":                     {"0.1", "0.2", "0.3"},
		"seed=1:3:1":                         {"1", "2", "3"},
		"spikes=50; 100,50,50":               {"50", "100,50,50"},
		"noise=gaussian=0:0.4;contrast=0.3":  {"gaussian=0:0.4", "contrast=0.3"},
		"noise=gaussian=0:0.4":               {"gaussian=0:0.4"},
		"number_of_spikes=[1,2],[3]":         {"[1,2]", "[3]"},
		"network_structure.strides=[[1,1]];": {"[[1,1]]", ""},
		`data_mode="a,b;c",MNIST`:            {`"a,b;c"`, "MNIST"},
		"freeze=default,rest":                {"default", "rest"},
	} {
		a, err := parseAxis(text, training.TrialFlags())
		if want[len(want)-1] == "" {
			require.ErrorContains(t, err, "value 2 is empty")
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, a.Values, text)
	}
	_, err := parseAxis("set=a=1", training.TrialFlags())
	require.ErrorContains(t, err, "give the key of the configuration as the name")
}

func TestSetting_IsAFlag(t *testing.T) {
	flags := training.TrialFlags()
	require.Equal(t, "--lr=0.1", setting{"lr", "0.1"}.flag(flags))
	require.Equal(t, "--set=batch_size=3", setting{"batch_size", "3"}.flag(flags))
	require.Empty(t, setting{"lr", unset}.flag(flags))
}

func TestPoints_AreAllCombinations(t *testing.T) {
	list := [][]setting{{{"a", "1"}}, {{"a", "2"}, {"b", "3"}}}
	all, err := points(list, []axis{{"c", []string{"4", "5"}}})
	require.NoError(t, err)
	require.Equal(t, [][]setting{
		{{"a", "1"}, {"c", "4"}}, {{"a", "1"}, {"c", "5"}},
		{{"a", "2"}, {"b", "3"}, {"c", "4"}}, {{"a", "2"}, {"b", "3"}, {"c", "5"}},
	}, all)
	_, err = points(list, []axis{{"b", []string{"4"}}})
	require.ErrorContains(t, err, "--vary b: the file of --list has it, too")
	many := make([]string, maxTrials)
	for _, axes := range [][]axis{{{"a", many}, {"b", many}}, {{"a", many[:101]}, {"b", many[:100]}}} {
		require.Less(t, testing.AllocsPerRun(1, func() { _, err = points(nil, axes) }), 2.0*maxTrials, "before memory is taken")
		require.ErrorContains(t, err, "there are more than 10000 trials")
	}
	all, err = points(nil, nil)
	require.NoError(t, err)
	require.Equal(t, [][]setting{nil}, all)
}

func TestReadList_NamesTheLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.txt")
	for text, want := range map[string]string{
		"lr=1\n\nlr\n":     ":3: lr: want NAME=VALUE, separated by blanks",
		"lr=1 lr=2":        ":1: lr=2: lr is given twice",
		"# nothing\n":      "list.txt has no trials",
		"lr=1\nspike=3 # ": `:2: spike=3: "spike" is neither a flag`,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := readList(path, training.TrialFlags())
		require.ErrorContains(t, err, want)
	}
}

// A grid that is too large is refused before memory is taken for it.
func TestSettings_AreBounded(t *testing.T) {
	f := &Flags{Models: []string{"a", "b"}, names: training.TrialFlags()}
	f.axes = []axis{{"lr", make([]string, maxTrials)}}
	f.seeds = cli.OptionalInt{Value: maxTrials, Set: true}
	allocations := testing.AllocsPerRun(1, func() {
		_, err := f.settings()
		require.ErrorContains(t, err, "there are more than 10000 trials: give fewer values, networks or seeds")
	})
	require.Less(t, allocations, 5.0*maxTrials)

	f.axes, f.list = nil, filepath.Join(t.TempDir(), "list.txt")
	require.NoError(t, os.WriteFile(f.list, bytes.Repeat([]byte("lr=1\n"), maxTrials+1), 0o600))
	_, err := readList(f.list, f.names)
	require.ErrorContains(t, err, "list.txt:10001: there are more than 10000 trials")
}

func TestSeedsFrom_EndsWithTheLargestSeed(t *testing.T) {
	list, err := seedsFrom(math.MaxUint64-1, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"18446744073709551614", "18446744073709551615"}, list)
	_, err = seedsFrom(math.MaxUint64, 2)
	require.ErrorContains(t, err, "--seeds 2: want at most 10000 seeds")
}
