package convert_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
)

// A layer without a mean is not a layer with the mean 0.5: it does not divide.
func TestOnOff_IsWrittenAndReadWithoutAMean(t *testing.T) {
	n := converttest.EveryLayer()
	n.Layers[1], n.Layers[8] = &convert.OnOff{}, &convert.OnOff{}
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	back, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.Equal(t, n.Layers, back.Layers)
	sizes, err := n.Sizes()
	require.NoError(t, err)
	require.Equal(t, 2*sizes[1].Channels, sizes[2].Channels)

	half := bytes.Replace(data, []byte("\x00\x00\x00\xbf"), []byte("\x00\x00\x80\xbf"), 1) // -0.5, -1
	require.NotEqual(t, data, half)
	_, err = convert.FromONNX(half, convert.IgnoreChecksum())
	require.ErrorContains(t, err, "minus_half is not -0.5")
}
