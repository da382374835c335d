package classify_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestRun_RefusesValuesThatNoImageHas changes one pixel of the second image.
func TestRun_RefusesValuesThatNoImageHas(t *testing.T) {
	c := open(t, shipped(t))
	_, images := pictures(t)
	x, err := c.Tensor(images[:2]...)
	require.NoError(t, err)
	_, err = c.Run(t.Context(), x)
	require.NoError(t, err)
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 255, 2.1, -1.1, 1e30} {
		at := &x.Float32s()[28*28+400]
		before := *at
		*at = float32(bad)
		_, err = c.Run(t.Context(), x)
		require.ErrorIs(t, err, runtime.ErrValue)
		require.ErrorIs(t, err, runtime.ErrInput)
		require.ErrorContains(t, err, "image 1 has the value ")
		require.ErrorContains(t, err, "the model takes pixels from 0 to 1, so divide bytes by 255")
		*at = before
	}
	other := open(t, passThrough(t, "y"))
	v := make([]float32, other.Size().Channels*other.Size().Height*other.Size().Width)
	v[0] = -200 // another model may take any number
	size := other.Size()
	x, err = runtime.NewTensor([]int{1, size.Channels, size.Height, size.Width}, v)
	require.NoError(t, err)
	_, err = other.Run(t.Context(), x)
	require.NoError(t, err)
	v[0] = float32(math.NaN())
	_, err = other.Run(t.Context(), x)
	require.ErrorContains(t, err, "image 0 has the value NaN: want finite numbers")
}

// TestWarnings_NameArraysWithAnUnusualLargestValue opens arrays of one image each.
func TestWarnings_NameArraysWithAnUnusualLargestValue(t *testing.T) {
	c := open(t, shipped(t))
	for largest, doubtful := range map[float32]bool{
		0: false, 0.3: true, 0.51: false, 1: false, 1.5: true, 12: true, 200: false, 255: false, 256: true, 40000: false, 65535: false, 1e6: true,
	} {
		values := make([]float32, 28*28)
		values[300] = largest
		var b bytes.Buffer
		require.NoError(t, npy.Write(&b, &npy.Array{Shape: []int{1, 28, 28}, Data: values}))
		path := filepath.Join(t.TempDir(), "images.npy")
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
		f, err := c.OpenFiles([]string{path}, "")
		require.NoError(t, err)
		if !doubtful {
			require.Empty(t, f.Warnings(), largest)
		} else {
			require.Len(t, f.Warnings(), 1, largest)
			require.Contains(t, f.Warnings()[0], "images.npy: the largest value is ")
		}
		require.NoError(t, f.Close())
	}
	require.Empty(t, new(classify.Files).Warnings())
}
