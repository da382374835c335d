package dataset

import (
	"errors"
	"fmt"
	"image"

	"github.com/spike-by-spike/sbs/internal/imagefile"
)

// FromImage returns the pixels of an image of the given size, as Image.Pixels has them.
// An image of another size or other channels is an error unless resize is true.
func FromImage(img image.Image, size Size, resize bool) (pixels []float32, err error) {
	if img == nil {
		return nil, errors.New("the image is nil")
	}
	defer imagefile.Recover(&err)
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if w < 1 || h < 1 || h > maxPixels/w {
		return nil, fmt.Errorf("the image has %dx%d pixels (height x width), want 1 to %d in total", h, w, maxPixels)
	}
	opt := Options{Size: size, Resize: resize}
	if !resize && (w != size.Width || h != size.Height) {
		return nil, sizeError(h, w, size)
	}
	return fit(imagefile.Flatten(img), opt)
}
