package train_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// TestNew_VerifiesTheChecksum changes a weight. The trained model has a new checksum.
func TestNew_VerifiesTheChecksum(t *testing.T) {
	m, err := onnx.Unmarshal(t.Context(), modeltest.Write(t, sbsNet(2), convert.Options{}))
	require.NoError(t, err)
	for _, p := range m.GetGraph().GetInitializer() {
		if p.GetName() == "L0/SbS/W" {
			p.RawData[1] ^= 1
		}
	}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	_, err = train.New(data, train.Config{})
	require.ErrorIs(t, err, runtime.ErrChecksum)
	_, err = train.Open(path, train.Config{})
	require.ErrorIs(t, err, runtime.ErrChecksum)
	require.ErrorContains(t, err, "model.onnx")
	trainer, err := train.Open(path, train.Config{IgnoreChecksum: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, trainer.Close()) }()
	step(t, trainer, bars(1, 1))
	trained, err := onnx.Unmarshal(t.Context(), fileOf(t, trainer))
	require.NoError(t, err)
	require.NoError(t, onnx.Verify(t.Context(), trained))
}

func TestNew_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	data := modeltest.Write(t, sbsNet(2), convert.Options{})
	trainer, err := train.New(data, train.Config{LoadContext: ctx})
	require.NoError(t, err)
	cancel()
	step(t, trainer, bars(1, 1)) // which has a context of its own
	require.NoError(t, trainer.Close())
	_, err = train.New(data, train.Config{LoadContext: ctx})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, runtime.ErrModel)
}
