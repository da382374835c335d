package models

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// quiet implements Observer.
type quiet struct{}

func (quiet) Waiting(int)             {}
func (quiet) Waited(time.Duration)    {}
func (quiet) Ran(int, time.Duration)  {}
func (quiet) Inferred(runtime.Effort) {}
func (quiet) Loaded(error)            {}

// TestPrepare_DecodesOneLargeImageAtATime decodes images while another large one is decoded.
func TestPrepare_DecodesOneLargeImageAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	require.NoError(t, os.WriteFile(path, modeltest.Write(t, converttest.Digits(), convert.Options{}), 0o600))
	s, err := New([]string{path}, Limits{MaxPixels: 2 << 20, Invert: "auto", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, func(string) Observer { return quiet{} })
	require.NoError(t, err)
	require.NoError(t, s.Load(t.Context()))
	defer s.Close()
	_, v, err := s.use("m", "")
	require.NoError(t, err)
	defer v.leave()
	file := func(width, height int) []byte {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))))
		return b.Bytes()
	}
	small, large := file(1024, 1024), file(1025, 1024)
	s.limits.largeDecoder <- struct{}{}
	soon, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err = v.prepare(soon, large)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = v.prepare(t.Context(), small)
	require.NoError(t, err)
	<-s.limits.largeDecoder
	_, err = v.prepare(t.Context(), large)
	require.NoError(t, err)
	require.Empty(t, s.limits.largeDecoder)
}
