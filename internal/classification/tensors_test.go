package classification

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/clitest"
)

func TestRun_RunsAModelOnArrays(t *testing.T) {
	model := prototypes(t, convert.Options{})
	folder := t.TempDir()
	image := filepath.Join(folder, "image.npy")
	pixels := make([]float32, 28*28)
	for i := range pixels {
		pixels[i] = float32(i%28) / 28
	}
	clitest.Array(t, image, []int{1, 1, 28, 28}, pixels)
	out, errOut, err := command(t, model, "--input", "image="+image, "--output", filepath.Join(folder, "out"), "--seed", "3", "--workers", "1")
	require.NoError(t, err)
	require.Empty(t, errOut)
	require.Equal(t, "probabilities float32(1, 10): "+filepath.ToSlash(filepath.Join(folder, "out", "probabilities.npy"))+"\n", out)
	first, err := os.ReadFile(filepath.Join(folder, "out", "probabilities.npy"))
	require.NoError(t, err)
	_, _, err = command(t, model, "--input", image, "--output", filepath.Join(folder, "again.npy"), "--seed", "3")
	require.NoError(t, err)
	second, err := os.ReadFile(filepath.Join(folder, "again.npy"))
	require.NoError(t, err)
	require.Equal(t, first, second)
	_, _, err = command(t, model, "--input", image, "--output", filepath.Join(folder, "again.npy"), "--seed", "4", "--spikes", "500", "--force")
	require.NoError(t, err)
	second, err = os.ReadFile(filepath.Join(folder, "again.npy"))
	require.NoError(t, err)
	require.NotEqual(t, first, second)

	out, _, err = command(t, model, "--random", "--profile", "--runs", "1", "--format", "json")
	require.NoError(t, err)
	require.Contains(t, out, `"operator": "ai.sbs.SbS"`)
}

func TestRun_RefusesFlagsOfImagesForArrays(t *testing.T) {
	model := prototypes(t, convert.Options{})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--profile", digits}, "--profile applies only with --input or --random"},
		{[]string{"--random", digits}, "--input and --random take one model and no images"},
		{[]string{"--random", "--top", "3"}, "--top applies only to images"},
		{[]string{"--random", "--top", "3", "--quiet"}, "--top, --quiet apply only to images"},
		{[]string{"--random", "--format", "csv"}, "--format csv applies only to images"},
		{[]string{"--random", "-o", "-"}, "--output - applies only to images"},
		{[]string{"--random", "--runs", "0"}, "--runs 0: want a whole number of at least 1"},
		{nil, "sbs-run MODEL.onnx --input NAME=FILE.npy"},
	} {
		_, _, err := command(t, append([]string{model}, c.args...)...)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage)
		require.ErrorContains(t, err, c.want)
	}
}
