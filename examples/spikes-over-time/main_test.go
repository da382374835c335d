package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun_PrintsEveryLayerAndTheAnswers(t *testing.T) {
	t.Chdir("../..")
	for _, c := range []struct {
		args []string
		rows int    // per layer
		last string // line
	}{
		{nil, 8, "   200  1.000  ######################################## 7"},
		{[]string{"models/fashion-mnist/Weights", "models/fashion-mnist/images/8/00018.png"}, 9, "   400  1.000  ######################################## Bag"},
	} {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), c.args, &out))
		parts := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n\n")
		require.Len(t, parts, 7, "%s", out.String())
		for i, layer := range []string{"L0/SbS", "L2/SbS", "L4/SbS", "L5/SbS"} {
			lines := strings.Split(parts[1+i], "\n")
			require.Len(t, lines, 1+c.rows)
			require.Equal(t, layer, lines[0])
			require.Regexp(t, `^     1  0\.[4-9]\d\d  #{16}`, lines[1])
			require.Contains(t, lines[c.rows], "  0.000")
		}
		answers := strings.Split(parts[6], "\n")
		require.Len(t, answers, c.rows)
		require.Equal(t, c.last, answers[c.rows-1])
	}
}

func TestRun_ReportsMissingFiles(t *testing.T) {
	t.Chdir("../..")
	var out bytes.Buffer
	require.ErrorIs(t, run(t.Context(), []string{"missing.onnx"}, &out), os.ErrNotExist)
	require.ErrorIs(t, run(t.Context(), []string{"", "missing.png"}, &out), os.ErrNotExist)
}
