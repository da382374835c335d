package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/clitest"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

func TestLoad_InvertsPicturesForAModelThatLearnedTheOther(t *testing.T) {
	n := converttest.Digits()
	n.Borders = &convert.Borders{}
	paper := t.TempDir()
	clitest.Paper(t, paper, 120)
	require.NoError(t, os.WriteFile(filepath.Join(paper, "notes.txt"), nil, 0o600))
	for how, brightness := range map[string]float32{"auto": 0, "no": 1, "yes": 0} {
		f := flags{validation: paper, invert: how, resize: true}
		i, err := f.load(t.Context(), n, nil, false)
		require.NoError(t, err)
		require.Equal(t, brightness, i.search.Borders().Median[1], how)
		require.Contains(t, i.notes[0], "1 file in "+paper+" was skipped: notes.txt")
		if how == "auto" {
			require.Contains(t, i.notes[1], "120 of 120 images were inverted")
		} else {
			require.Len(t, i.notes, 1)
		}
	}
}
