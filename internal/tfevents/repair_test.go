package tfevents

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRepair_RemovesDamagedRecords damages an event file in several ways.
func TestRepair_RemovesDamagedRecords(t *testing.T) {
	first, second, third := record([]byte("first")), record(bytes.Repeat([]byte("second"), 50)), record(nil)
	all := bytes.Join([][]byte{first, second, third}, nil)
	flipped := func(at int) []byte {
		b := bytes.Clone(all)
		b[at] ^= 4
		return b
	}
	folder := t.TempDir()
	path := filepath.Join(folder, Prefix+"1.host")
	for name, c := range map[string]struct {
		content, want []byte
		text          string
	}{
		"intact":              {all, all, ""},
		"empty":               {nil, nil, ""},
		"incomplete data":     {all[:len(first)+40], first, "removed 40 bytes at the end that are not a complete record"},
		"incomplete head":     {append(bytes.Clone(first), 7, 0), first, "removed 2 bytes at the end that are not a complete record"},
		"zeros at the end":    {append(bytes.Clone(first), make([]byte, 64)...), first, "removed 64 bytes at the end that are not a complete record"},
		"damaged data":        {flipped(len(first) + 30), append(bytes.Clone(first), third...), "removed 1 damaged record"},
		"damaged length":      {flipped(len(first) + 7), first, "removed 332 bytes at the end that are not a complete record"},
		"not an event file":   {[]byte("text that is longer than a head"), nil, "removed 31 bytes at the end that are not a complete record"},
		"damaged and missing": {flipped(headSize)[:len(first)+20], nil, "removed 1 damaged record and 20 bytes at the end that are not a complete record"},
	} {
		require.NoError(t, os.WriteFile(path, c.content, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("notes"), 0o600))
		repaired, err := Repair(folder)
		require.NoError(t, err)
		if c.text == "" {
			require.Empty(t, repaired, name)
		} else {
			require.Equal(t, []string{path + ": " + c.text}, repaired, name)
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(c.want), string(got), name)
		repaired, err = Repair(folder)
		require.NoError(t, err)
		require.Empty(t, repaired, name)
	}
	repaired, err := Repair(filepath.Join(folder, "missing"))
	require.NoError(t, err)
	require.Empty(t, repaired)
}
