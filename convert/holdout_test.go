package convert_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

func TestHoldout_IsStoredInTheModel(t *testing.T) {
	n := converttest.Digits()
	n.Holdout = &convert.Holdout{Images: 10, Of: 60, Data: strings.Repeat("0a", 32)}
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	back, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.Equal(t, n.Holdout, back.Holdout)

	for _, wrong := range []convert.Holdout{
		{Images: 10, Of: 60, Data: "0a"}, {Images: 10, Of: 60, Data: strings.Repeat("x", 64)},
		{Images: 0, Of: 60, Data: n.Holdout.Data}, {Images: 60, Of: 60, Data: n.Holdout.Data}, {Images: -5, Of: -2, Data: n.Holdout.Data},
	} {
		n.Holdout = &wrong
		_, err := convert.ToONNX(n, convert.Options{})
		require.ErrorContains(t, err, "convert: holdout: ")
		require.ErrorContains(t, n.Check(), "convert: holdout: ")
	}
	for _, text := range []string{`{"images":10,"of":60}`, `{"images":99`, `{"images":-1,"of":60,"data":"` + strings.Repeat("0a", 32) + `"}`} {
		_, err := convert.FromONNX(withProperty(t, data, metadata.Holdout, text))
		require.ErrorIs(t, err, convert.ErrNotConverted)
		require.ErrorContains(t, err, "metadata ai.sbs.holdout")
	}
}

// withProperty returns a model with another text for a key of its metadata.
func withProperty(t *testing.T, data []byte, key, text string) []byte {
	t.Helper()
	m, err := onnx.Unmarshal(t.Context(), data)
	require.NoError(t, err)
	found := false
	for _, p := range m.MetadataProps {
		if p.GetKey() == key {
			p.Value, found = text, true
		}
	}
	require.True(t, found)
	data, err = onnx.MarshalStamped(m)
	require.NoError(t, err)
	return data
}
