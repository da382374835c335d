package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	measuredFile = "../../../docs/benchmarks/cluster.csv"
	picture      = "../../../docs/images/cluster.svg"
	page         = "../../../docs/clusters.md"
)

// The picture, the table and the errors of the model on the page are those of the measurements.
func TestRun_PictureAndPageAreUpToDate(t *testing.T) {
	out := filepath.Join(t.TempDir(), "cluster.svg")
	var table bytes.Buffer
	require.NoError(t, run(measuredFile, out, &table))
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	want, err := os.ReadFile(picture)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "run go run ./internal/tools/clustermodel in the root of the repository")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for line := range strings.Lines(table.String()) {
		require.True(t, strings.Contains(string(text), line), "docs/clusters.md does not have the line %s", line)
	}
}

// A round of 2 machines with 3 sub-batches of 10 ms on a link of 1 Gbit/s: 2 MB of weights take 16 ms and the sum 8 ms, with
// the headers of the packets, and half of each gradient, 4 ms, crosses the link.
func TestRound_AddsUpItsParts(t *testing.T) {
	c := cluster{machines: 2, gbit: 1, slowed: 1}
	const size = 1 << 20 // a multiple of the piece, so that both machines begin at the same time
	wire := func(bytes float64) float64 { return bytes * 8 / 1e9 * 1514 / 1448 }
	require.InDelta(t, wire(2*size)+0.010+0.010+wire(size/2)+wire(size), c.round(size, 0.010, 0, 3), 1e-9)
	require.InDelta(t, wire(2*size)+0.001+wire(size)+wire(size/2)+wire(size), c.round(size, 0.001, 0, 3), 1e-9, "the link is slower than the computation")
	c.delay = 1e-3
	require.InDelta(t, wire(2*size)+0.010+wire(size)+wire(size)+0.008+0.5, c.round(size, 0.010, 0.5/size, 2), 1e-9)
	c = cluster{machines: 1, gbit: 1, delay: 1e-3, slowed: 2}
	require.InDelta(t, wire(size)+0.030+wire(size)+0.004+0.25, c.round(size, 0.010, 0.5/size, 3), 1e-9)
}

func TestRead_KeepsTheFastestOfSeveralMeasurements(t *testing.T) {
	head := strings.Join(columns, ",") + "\n"
	rows, err := read(strings.NewReader("# Xeon\n" + head +
		"mnist,1,0.2,8,2,4,10,20,30,1,2,3,5\nmnist,1,0.2,8,2,4,10,20,25,1,2,3,5\nmnist,1,0.2,8,2,4,10,20,26,1,2,3,5\nmnist,1,0.2,8,2,8,10,20,30,1,2,3,5\n"))
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, row{"mnist", cluster{2, 1, 0.2e-3, 8}, 4, 0.010, 0.025, 1e6, 2e6, 3e-3}, rows[0])
	for _, bad := range []string{"", head, "a,b\n1,2\n", head + "mnist,1,0.2,8,0,4,10,20,30,1,2,3,5\n", head + "mnist,1,x,8,2,4,10,20,30,1,2,3,5\n"} {
		_, err := read(strings.NewReader(bad))
		require.Error(t, err, bad)
	}
}
