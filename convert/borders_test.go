package convert_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/metadata"
)

func TestBorders_AreStoredInTheModel(t *testing.T) {
	n := converttest.Digits()
	n.Borders = &convert.Borders{Lower: [3]float32{0, 0.1, 0.2}, Median: [3]float32{0, 0.2, 0.5}, Upper: [3]float32{0.1, 0.5, 1}}
	data, err := convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	back, err := convert.FromONNX(data)
	require.NoError(t, err)
	require.Equal(t, n.Borders, back.Borders)

	_, err = convert.FromONNX(withProperty(t, data, metadata.Border, `{"lower":[0,0,0]}`))
	require.ErrorIs(t, err, convert.ErrNotConverted)
	require.ErrorContains(t, err, "metadata ai.sbs.border")

	n.Borders.Upper[2] = 1.5
	_, err = convert.ToONNX(n, convert.Options{})
	require.ErrorContains(t, err, "convert: borders: ")
	n.Borders = nil
	data, err = convert.ToONNX(n, convert.Options{})
	require.NoError(t, err)
	back, err = convert.FromONNX(data)
	require.NoError(t, err)
	require.Nil(t, back.Borders)
}
