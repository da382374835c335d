package cli

import (
	"bytes"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// values are flags of every kind.
type values struct {
	set      *pflag.FlagSet
	int      OptionalInt
	floats   []float32
	choice   string
	count    int
	seed     uint64
	rate     float64
	resize   bool
	noise    string
	dynamics DynamicsFlags
}

func newValues() *values {
	v := &values{set: pflag.NewFlagSet("test", pflag.ContinueOnError), choice: "text"}
	IntVar(v.set, &v.int, "limit", 2, "a `number`")
	FloatsVar(v.set, &v.floats, "mean", "some `numbers`")
	ChoiceVar(v.set, &v.choice, "format", []string{"text", "json", "csv"}, "a `format`")
	v.set.IntVar(&v.count, "count", 0, "a `count`")
	v.set.Uint64Var(&v.seed, "seed", 0, "a `seed`")
	v.set.Float64Var(&v.rate, "rate", 0, "a `rate`")
	NoiseVar(v.set, &v.noise, "noise")
	v.set.BoolVarP(&v.resize, "resize", "r", false, "resize images")
	v.dynamics.Register(v.set, "from the model")
	return v
}

func TestFlags_HaveTheGivenValues(t *testing.T) {
	v := newValues()
	require.NoError(t, v.set.Parse(nil))
	require.Equal(t, OptionalInt{}, v.int)
	require.Equal(t, 7, v.int.Or(7))
	require.Empty(t, v.floats)
	require.Equal(t, "text", v.choice)

	require.NoError(t, v.set.Parse([]string{"--limit", "2", "--mean", "0.5, 1e-3,-2", "--format=csv"}))
	require.Equal(t, OptionalInt{2, true}, v.int)
	require.Equal(t, 2, v.int.Or(7))
	require.Equal(t, []float32{0.5, 1e-3, -2}, v.floats)
	require.Equal(t, "csv", v.choice)
	require.Equal(t, "2", v.set.Lookup("limit").Value.String())
	require.Equal(t, "0.5,0.001,-2", v.set.Lookup("mean").Value.String())

	require.Empty(t, v.noise)
	require.NoError(t, v.set.Parse([]string{"--noise", "contrast=0.1", "--noise", " occlusion=8, gaussian=2e-1"}))
	require.Equal(t, "occlusion=8,gaussian=0.2", v.noise, "the last flag counts")
	require.Equal(t, "occlusion=8,gaussian=0.2", v.set.Lookup("noise").Value.String())

	require.NoError(t, v.set.Parse([]string{"--mean", "4"}))
	require.Equal(t, []float32{4}, v.floats, "the last flag counts")
}

func TestFlagError_SaysWhatIsWanted(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--limit", "x"}, "--limit x: want a whole number of at least 2"},
		{[]string{"--limit", "1"}, "--limit 1: want a whole number of at least 2"},
		{[]string{"--limit", "2.5"}, "--limit 2.5: want a whole number of at least 2"},
		{[]string{"--limit", "99999999999999999999"}, "--limit 99999999999999999999: the number is too large or too small"},
		{[]string{"--limit="}, "--limit : want a whole number of at least 2"},
		{[]string{"--mean", "1,,2"}, `--mean 1,,2: want numbers, separated by commas; "" is not a number`},
		{[]string{"--mean", "a"}, `--mean a: want numbers, separated by commas; "a" is not a number`},
		{[]string{"--format", "xml"}, "--format xml: want text, json or csv"},
		{[]string{"--count", "x"}, "--count x: want a whole number"},
		{[]string{"--count", "99999999999999999999"}, "--count 99999999999999999999: the number is too large or too small"},
		{[]string{"--seed", "-1"}, "--seed -1: want a whole number of at least 0"},
		{[]string{"--rate", "x"}, "--rate x: want a number"},
		{[]string{"--noise", "contrast=1.5"}, "--noise contrast=1.5: contrast takes a level from 0 to 1"},
		{[]string{"--noise", "contrast"}, "--noise contrast: the level is missing: write contrast=LEVEL; contrast takes a level from 0 to 1"},
		{[]string{"--noise", "fog=1"}, `--noise fog=1: "fog" is not a kind of noise; the kinds are gaussian, salt-and-pepper, uniform, shot, contrast, brightness, blur, occlusion, rotation, translation and crop-shift`},
		{[]string{"--resize=maybe"}, "--resize maybe: want true or false"},
		{[]string{"--limit"}, "--limit needs a value (see --help)"},
		{[]string{"--limits", "3"}, "unknown flag --limits (see --help)"},
		{[]string{"-x"}, "unknown flag -x (see --help)"},
		{[]string{"-limit", "3"}, "unknown flag -limit: write --limit"},
		{[]string{"-limit=3"}, "unknown flag -limit: write --limit"},
		{[]string{"---"}, "bad flag syntax: --- (see --help)"},
	} {
		v := newValues()
		err := v.set.Parse(c.args)
		require.Error(t, err, "%q", c.args)
		require.EqualError(t, flagError(v.set, err), c.want, "%q", c.args)
	}
}

func TestHelp_GroupsFlagsAndWrapsLines(t *testing.T) {
	v := newValues()
	v.set.SortFlags = false
	Group(v.set, "Numbers", "count", "rate")
	Group(v.set, "Dynamics", DynamicsFlagNames()...)
	Group(v.set, "Numbers", "seed")
	Group(v.set, "Robustness", "noise")
	var out bytes.Buffer
	require.NoError(t, printFlags(&out, v.set, 80))
	require.Equal(t, `
Flags:
      --limit number    a number
      --mean numbers    some numbers
      --format format   a format (default: text)
  -r, --resize          resize images

Numbers:
      --count count   a count
      --seed seed     a seed
      --rate rate     a rate

Robustness:
      --noise kind=level   noise to add to every image before the model
                           crops it, such as contrast=0.6; several kinds
                           are separated by commas and added in this
                           order. Kinds and their levels: gaussian
                           (standard deviation, from 0 to 100),
                           salt-and-pepper (share of pixels that become
                           black or white, from 0 to 1), uniform (share of
                           uniform noise, from 0 to 1), shot (standard
                           deviation of a white pixel, from 0 to 10),
                           contrast (share of contrast that is lost, from
                           0 to 1), brightness (change of all values, from
                           -1 to 1), blur (standard deviation in pixels,
                           from 0 to 100), occlusion (side of a black
                           square in pixels, a whole number from 0 to
                           65535), rotation (angle in degrees, from 0 to
                           180), translation (distance in pixels, from 0
                           to 65535), crop-shift (distance in pixels by
                           which the crop of the model moves, a whole
                           number from 0 to 65535)

Dynamics:
      --spikes number           number of spikes per output position, 1 to
                                16777216, for all SbS layers or one per
                                SbS layer, such as 25,100,200,200
                                (default: from the model)
      --sampler method          method of drawing spikes: iid
                                (independent, as PyTorch-SbS does) or
                                low-discrepancy (evenly spread; needs far
                                fewer spikes), for all SbS layers or one
                                per SbS layer
      --epsilon-schedule rule   rule for epsilon_t: inverse-sqrt,
                                constant, power:P for (t+1)^P, or auto;
                                for all SbS layers or one per SbS layer.
                                With fewer spikes, auto keeps epsilon_t
                                and chooses epsilon_0 so that all spikes
                                together change a layer as much as before
      --epsilon-0 value         value of epsilon_0, for all SbS layers or
                                one per SbS layer; auto for layers with
                                --epsilon-schedule auto
`, out.String())
	require.Panics(t, func() { Group(v.set, "Numbers", "unknown") })
}

func TestHelp_ShowsUsageExamplesAndFlags(t *testing.T) {
	cmd := testCommand(nil)
	cmd.Example = "  test succeed"
	var out bytes.Buffer
	require.NoError(t, Run(t.Context(), cmd, []string{"--help"}, &out, &out))
	require.Equal(t, `Usage:
  test ACTION [flags]

Examples:
  test succeed

Flags:
      --number number   a number
  -h, --help            print this help
  -v, --version         print the version

Exit codes: 0 after success, 1 after an error, 2 if the command line is invalid,
128 plus the number of the signal after an interruption (130 for Ctrl-C).
`, out.String())

	cmd = testCommand(nil)
	cmd.Use = "test [flags] ACTION\ntest --version"
	out.Reset()
	require.NoError(t, Run(t.Context(), cmd, []string{"-h"}, &out, &out))
	require.Contains(t, out.String(), "Usage:\n  test [flags] ACTION\n  test --version\n\nFlags:")
}

func TestHelpWidth_IsFixedWithoutATerminal(t *testing.T) {
	require.Equal(t, defaultWidth, helpWidth(&bytes.Buffer{}))
}
