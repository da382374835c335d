package classification

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// piped runs the command with a standard input.
func piped(t *testing.T, in []byte, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var out, errOut bytes.Buffer
	cmd := Command(args)
	cmd.SetIn(bytes.NewReader(in))
	err = cli.Run(t.Context(), cmd, args, &out, &errOut)
	left, readErr := os.ReadDir(os.TempDir())
	require.NoError(t, readErr)
	require.Empty(t, left, "temporary files")
	return out.String(), errOut.String(), err
}

func TestRun_ReadsTheStandardInput(t *testing.T) {
	path := prototypes(t, convert.Options{})
	model, err := os.ReadFile(path)
	require.NoError(t, err)
	image := filepath.Join(digits, "7/00000.png")
	picture, err := os.ReadFile(image)
	require.NoError(t, err)
	want, _, err := command(t, path, image)
	require.NoError(t, err)
	want, _, _ = strings.Cut(want, "\n")

	out, _, err := piped(t, picture, path, "-")
	require.NoError(t, err)
	require.Contains(t, out, strings.Replace(want, image, "-", 1)+"\n")
	out, _, err = piped(t, model, "-", image)
	require.NoError(t, err)
	require.Contains(t, out, want+"\n")
	out, _, err = piped(t, model, "-", image, "--format", "json")
	require.NoError(t, err)
	require.Contains(t, out, `"summary":{"model":"-",`)
}

func TestRun_NamesTheStandardInputInErrors(t *testing.T) {
	model := prototypes(t, convert.Options{})
	_, _, err := piped(t, []byte("hello"), model, "-")
	require.ErrorContains(t, err, `-: want pictures`)
	require.NotContains(t, err.Error(), os.TempDir())
	_, _, err = piped(t, []byte("hello"), "-", digits)
	require.ErrorContains(t, err, `-: not a valid ONNX model: this is a text ("hello")`)
	_, _, err = piped(t, nil, model, "-")
	require.EqualError(t, err, "the standard input: there is no data")
	_, errOut, err := piped(t, []byte("\x89PNG\r\n\x1a\n0000"), model, "-")
	require.Error(t, err)
	require.NotContains(t, errOut, os.TempDir())
	var usage *cli.UsageError
	_, _, err = piped(t, nil, "-", "-")
	require.ErrorAs(t, err, &usage)
	require.ErrorContains(t, err, "can be given only once")
}
