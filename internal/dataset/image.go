package dataset

import (
	"errors"
	"fmt"
	"image"

	"github.com/spike-by-spike/sbs/internal/imagefile"
)

// FromImage returns an image in memory as a Source returns the image of a file: with the size,
// and inverted, as the options say. Its name is empty.
func FromImage(img image.Image, opt Options) (m Image, err error) {
	m = Image{Label: Unlabeled}
	if img == nil {
		return m, errors.New("the image is nil")
	}
	defer imagefile.Recover(&err)
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if w < 1 || h < 1 || h > maxPixels/w {
		return m, fmt.Errorf("the image has %dx%d pixels (height x width), want 1 to %d in total", h, w, maxPixels)
	}
	if !opt.Resize && (w != opt.Size.Width || h != opt.Size.Height) {
		return m, sizeError(h, w, opt.Size)
	}
	if m.Pixels, err = fit(imagefile.Flatten(img), opt); err != nil {
		return m, err
	}
	m.finish(opt.Size, opt.Invert, opt.Borders, true)
	return m, nil
}
