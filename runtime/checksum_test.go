package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestNew_RefusesDamagedModels zeroes a part of a model at many places. Only parts that no
// result depends on may be damaged, such as comments.
func TestNew_RefusesDamagedModels(t *testing.T) {
	for name, data := range map[string][]byte{
		"model": modeltest.Write(t, converttest.EveryLayer(), convert.Options{}), "stages": writeStages(t, converttest.Staged()),
		"inline": modeltest.Write(t, converttest.Digits(), convert.Options{Body: convert.BodyInline}),
	} {
		t.Run(name, func(t *testing.T) {
			whole, err := runtime.New(data)
			require.NoError(t, err)
			image := modeltest.Pixels(3, 2, converttest.EveryLayer().Input)
			if name != "model" {
				image = modeltest.Pixels(3, 2, converttest.Digits().Input)
			}
			want := run(t, whole, image)
			refused, places := 0, 200
			for i := range places {
				damaged := bytes.Clone(data)
				clear(damaged[i*len(data)/places:][:min(64, len(data)-i*len(data)/places)])
				if bytes.Equal(damaged, data) {
					places--
					continue
				}
				m, err := runtime.New(damaged)
				if err != nil {
					require.ErrorIs(t, err, runtime.ErrModel)
					refused++
					continue
				}
				require.Equal(t, want, run(t, m, image), "byte %d", i*len(data)/places)
			}
			require.Greater(t, refused, places*9/10)
		})
	}
}

func TestIgnoreChecksum_LoadsModelsThatWereChanged(t *testing.T) {
	n := converttest.Digits()
	data := modeltest.Write(t, n, convert.Options{})
	pb, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	for _, p := range pb.GetGraph().GetInitializer() {
		if p.GetName() == "L0/SbS/W" {
			p.RawData[1] ^= 1
		}
	}
	changed, err := onnx.Marshal(pb)
	require.NoError(t, err)
	_, err = runtime.New(changed)
	require.ErrorIs(t, err, runtime.ErrChecksum)
	require.ErrorIs(t, err, runtime.ErrModel)
	require.ErrorContains(t, err, "--ignore-checksum")
	_, err = runtime.OpenFS(fstest.MapFS{"m.onnx": {Data: changed}}, "m.onnx")
	require.ErrorContains(t, err, "m.onnx: the contents of the model do not match its checksum")
	_, err = convert.FromONNX(changed)
	require.ErrorIs(t, err, runtime.ErrChecksum)
	_, err = runtime.New(changed, runtime.IgnoreChecksum())
	require.NoError(t, err)
	_, err = convert.FromONNX(changed, convert.IgnoreChecksum())
	require.NoError(t, err)
}

func TestLoadContext_EndsLoading(t *testing.T) {
	n := converttest.Digits()
	data := modeltest.Write(t, n, convert.Options{})
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	m, err := runtime.Open(path, runtime.LoadContext(t.Context()))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	checks := 0
	for ; ; checks++ { // cancel at every look at the context
		ctx := opstest.CanceledAfter(t.Context(), checks)
		m, err := runtime.Open(path, runtime.LoadContext(ctx))
		if err == nil {
			require.NoError(t, m.Close())
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, runtime.ErrModel)
	}
	require.Greater(t, checks, 20)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = runtime.New(data, runtime.LoadContext(canceled))
	require.ErrorIs(t, err, context.Canceled)
	_, err = runtime.OpenFS(os.DirFS(filepath.Dir(path)), "model.onnx", runtime.LoadContext(canceled))
	require.ErrorIs(t, err, context.Canceled)
	_, err = runtime.New(data, runtime.LoadContext(nil)) //nolint:staticcheck // it is refused
	require.ErrorIs(t, err, runtime.ErrOption)
}

// TestOpen_RefusesWhatIsNoFile opens files that never end, or that wait for a writer.
func TestOpen_RefusesWhatIsNoFile(t *testing.T) {
	for path, want := range map[string]string{
		t.TempDir(): "it is a folder, not an ONNX file", "/dev/zero": "it is a device, not an ONNX file", pipe(t): "it is a pipe, not an ONNX file",
	} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue // on this system
		}
		_, err := runtime.Open(path)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
		if path == "/dev/zero" {
			_, err = runtime.OpenFS(os.DirFS("/dev"), "zero")
			require.ErrorContains(t, err, want)
		}
	}
}
