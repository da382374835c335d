package sweep

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops/sbs"
)

func TestParseNoise_HasExactLevels(t *testing.T) {
	for text, want := range map[string]string{
		"gaussian=0:0.6:0.1":             "gaussian=0.1, 0.2, 0.3, 0.4, 0.5, 0.6",
		"gaussian=0:0.5:0.2":             "gaussian=0.2, 0.4",
		"gaussian=0.25:1:.25":            "gaussian=0.25, 0.5, 0.75, 1",
		"gaussian=0:3:1":                 "gaussian=1, 2, 3",
		"gaussian=0.00:0.07:0.01":        "gaussian=0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07",
		"gaussian=99.7:100:0.1":          "gaussian=99.7, 99.8, 99.9, 100",
		"contrast=0.6":                   "contrast=0.6",
		"contrast = 0.6, 0.2,0,-0, 1e-3": "contrast=0.001, 0.2, 0.6",
		"occlusion=4:12:4":               "occlusion=4, 8, 12",
	} {
		kinds, err := parseNoise([]string{text})
		require.NoError(t, err, text)
		require.Equal(t, want, kinds[0].String())
	}
	kinds, err := parseNoise([]string{"contrast=0.5", "gaussian=1"})
	require.NoError(t, err)
	require.Equal(t, "contrast=0.5, gaussian=1", texts(kinds, kindLevels.String))
}

func TestParseNoise_RefusesOtherTexts(t *testing.T) {
	for text, want := range map[string]string{
		"contrast=0:1.2:0.4":     "level 1.2: contrast takes a level from 0 to 1",
		"contrast=1.5":           "level 1.5: contrast takes a level from 0 to 1",
		"contrast=-0.5":          "level -0.5: contrast takes a level from 0 to 1",
		"contrast=nan":           "contrast takes a level from 0 to 1",
		"contrast=inf":           "contrast takes a level from 0 to 1",
		"occlusion=0:4:0.5":      "occlusion takes a whole number",
		"fog=0.5":                `"fog" is not a kind of noise; the kinds are gaussian`,
		"fog":                    `"fog" is not a kind of noise`,
		"":                       "want KIND=LEVEL",
		"contrast":               "the levels are missing: write contrast=FROM:TO:STEP or a list of levels",
		"contrast=":              "the levels are missing",
		"contrast=0.1,0.2,0.10":  "the level 0.1 occurs twice",
		"contrast=0":             "the only level is 0, which is no noise",
		"contrast=0.1,":          "contrast",
		"contrast=0.1,uniform=1": "each kind of noise has a --noise of its own",
		"contrast=0:1":           "want FROM:TO:STEP, such as 0:0.6:0.1",
		"contrast=0:1:0.1:2":     "want FROM:TO:STEP",
		"contrast=0:1:0":         "a STEP above 0",
		"contrast=0:1:-0.1":      "a STEP above 0",
		"contrast=1:0:0.1":       "a TO of at least FROM",
		"contrast=0:1:1/3":       `"1/3" is not a decimal number`,
		"contrast=0:1:1e-99999":  `"1e-99999" is not a decimal number`,
		"contrast=0:1:0.000001":  "there are more than 10000 values: give a larger STEP",
		"contrast=0:x:0.1":       `"x" is not a decimal number`,
		"contrast=0::0.1":        `"" is not a decimal number`,
	} {
		_, err := parseNoise([]string{text})
		require.ErrorContains(t, err, "--noise "+text+": ", text)
		require.ErrorContains(t, err, want, text)
	}
	_, err := parseNoise([]string{"contrast=0.1", "contrast=0.2"})
	require.ErrorContains(t, err, "contrast is given twice")
}

func TestParseSpikes(t *testing.T) {
	for text, want := range map[string][]int{
		"":               nil,
		"100":            {100},
		"400, 25,100":    {25, 100, 400},
		"log=1:1600":     {1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 1600},
		"log=1:10":       {1, 2, 3, 5, 10},
		"log=4:25":       {4, 5, 10, 20, 25},
		"log=7:7":        {7},
		"log=1:16777216": {1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10000, 20000, 30000, 50000, 100000, 200000, 300000, 500000, 1000000, 2000000, 3000000, 5000000, 10000000, 16777216},
	} {
		list, err := parseSpikes(text)
		require.NoError(t, err)
		require.Equal(t, want, list, text)
	}
	for text, want := range map[string]string{
		"0": "want whole numbers from 1 to 16777216", "-3": "want whole numbers", "1.5": "want whole numbers", "5,": "want whole numbers", "16777217": "want whole numbers",
		"log=1": "want log=FROM:TO", "log=5:1": "a TO of at least FROM", "log=0:5": "want whole numbers", "log=1:2:3": "want whole numbers", "5,6,5": "5 occurs twice",
	} {
		_, err := parseSpikes(text)
		require.ErrorContains(t, err, "--spikes "+text+": ")
		require.ErrorContains(t, err, want, text)
	}
}

func TestParseSamplers(t *testing.T) {
	list, err := parseSamplers("low-discrepancy, iid")
	require.NoError(t, err)
	require.Equal(t, []sbs.Sampler{sbs.LowDiscrepancy, sbs.IID}, list)
	for text, want := range map[string]string{"sobol": "want iid, low-discrepancy, or both", "iid,": "want iid", "iid,iid": "iid occurs twice"} {
		_, err := parseSamplers(text)
		require.ErrorContains(t, err, "--sampler "+text+": "+want)
	}
}

func TestShortNames_TellModelsApart(t *testing.T) {
	require.Equal(t, []string{"a.onnx", "b.onnx"}, shortNames([]string{"x/y/a.onnx", "./b.onnx"}))
	require.Equal(t, []string{"y/a.onnx", "z/a.onnx", "b.onnx"}, shortNames([]string{"x/y/a.onnx", "x/z/a.onnx", "b.onnx"}))
	require.Equal(t, []string{"mnist-fast/model.onnx"}, shortNames([]string{"models/mnist-fast/model.onnx"}))
	require.Equal(t, []string{"model.onnx"}, shortNames([]string{"model.onnx"}))
	require.Equal(t, []string{"../a.onnx", "a.onnx"}, shortNames([]string{"../a.onnx", "a.onnx"}))
	require.Equal(t, []string{"a\ufffdb\ufffdc.onnx", "b ä.onnx"}, shortNames([]string{"x/a\xffb\nc.onnx", "b ä.onnx"}))
}
