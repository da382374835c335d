package classify

import (
	"errors"
	"fmt"
	"image"

	"github.com/spike-by-spike/sbs/internal/imagefile"
)

// DecodeImage returns the image of a PNG, JPEG, GIF, BMP, TIFF or WebP file for
// [Classifier.Images], as [Classifier.OpenFiles] reads it: turned as its orientation tag says,
// which image.Decode does not do, and without transparent pixels. The first frame of an animation is
// its image. It is an error if the header of the file claims more than maxPixels pixels, before
// memory is taken for them, and if the file is of a variant that cannot be decoded.
func DecodeImage(file []byte, maxPixels int) (image.Image, error) {
	if maxPixels < 1 {
		return nil, errors.New("classify: the largest number of pixels must be at least 1")
	}
	img, err := imagefile.Decode(file, maxPixels)
	if err != nil {
		return nil, fmt.Errorf("classify: %w", err)
	}
	return img, nil
}
