package std

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestImageDecoder_DecodesPNG(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 2, 1))
	img.Set(0, 0, color.RGBA{255, 0, 0, 255})
	img.Set(1, 0, color.RGBA{10, 20, 30, 255})
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, img))
	for format, want := range map[string]*ops.Tensor{
		"RGB":       opstest.Tensor([]int{1, 2, 3}, uint8(255), 0, 0, 10, 20, 30),
		"BGR":       opstest.Tensor([]int{1, 2, 3}, uint8(0), 0, 255, 30, 20, 10),
		"Grayscale": opstest.Tensor([]int{1, 2, 1}, uint8(76), 18),
	} {
		op, err := find(t, "ImageDecoder").New(ops.Node{Opset: 20, NumInputs: 1, Attributes: attrs{"pixel_format": format}})
		require.NoError(t, err)
		run := func(content []byte) *ops.Tensor {
			out, err := ops.Run(op, &ops.Context{}, tensors{opstest.Tensor([]int{len(content)}, content...)})
			require.NoError(t, err)
			return out[0]
		}
		require.Equal(t, want.Shape(), run(file.Bytes()).Shape())
		require.Equal(t, want.Elements(), run(file.Bytes()).Elements())
		require.Equal(t, []int{0, 0, want.Shape()[2]}, run(file.Bytes()[:20]).Shape(), "a damaged file")
	}
}
