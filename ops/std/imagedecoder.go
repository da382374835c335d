package std

import (
	"fmt"
	"image"

	"github.com/spike-by-spike/sbs/internal/imagefile"
	"github.com/spike-by-spike/sbs/ops"
)

// newImageDecoder returns ImageDecoder (opset 20): the image (height, width, channels), uint8,
// of an image file, whose bytes are a uint8 vector. PNG, JPEG, GIF, BMP, TIFF and WebP files
// can be read; JPEG 2000 and the portable formats (PNM) cannot. The image of a file that
// cannot be read is empty: (0, 0, channels). Transparent pixels are put on white, and the
// image is not turned as EXIF data say.
//
// Attributes: pixel_format (default RGB; or BGR, Grayscale with one channel).
func newImageDecoder(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only("pixel_format"); err != nil {
		return nil, err
	}
	format, err := choiceAttr(n.Attributes, "pixel_format", "RGB", "BGR", "Grayscale")
	return imageDecoder{format}, err
}

type imageDecoder struct{ format string }

// onlyInRuns implements runOnly.
func (imageDecoder) onlyInRuns() {}

// channels returns the number of channels of the image.
func (k imageDecoder) channels() int {
	if k.format == "Grayscale" {
		return 1
	}
	return 3
}

func (k imageDecoder) inferAll(in []*ops.Input) ([]ops.Type, error) {
	_, err := checkVector("encoded_stream", in[0], ops.Uint8)
	return []ops.Type{{DType: ops.Uint8, Shape: []ops.Dim{unknown, unknown, {Size: k.channels()}}}}, err
}

// maxPixels is the maximum number of pixels of an image file.
const maxPixels = 1 << 28

func (k imageDecoder) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	content, ok := ops.Data[uint8](in[0])
	if !ok {
		return fmt.Errorf("%w: encoded_stream is %v", ops.ErrDType, in[0].DType())
	}
	channels := k.channels()
	header, err := imagefile.ReadHeader(content, maxPixels)
	if err != nil {
		out[0], err = ops.Zeros(ops.Uint8, []int{0, 0, channels})
		return err
	}
	// The decoder's image, an opaque copy of up to 8 bytes per pixel, and the output.
	if err := ctx.Reserve(int64(header.Height) * int64(header.Width) * int64(16+channels)); err != nil {
		return err
	}
	img, err := imagefile.DecodeStored(content, maxPixels)
	if err != nil {
		out[0], err = ops.Zeros(ops.Uint8, []int{0, 0, channels})
		return err
	}
	b := img.Bounds()
	if out[0], err = ops.Zeros(ops.Uint8, []int{b.Dy(), b.Dx(), channels}); err != nil {
		return err
	}
	pixels, _ := ops.Data[uint8](out[0])
	return ctx.For(b.Dy(), max(1, grain/max(1, 16*b.Dx())), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for y := lo; y < hi; y++ {
			k.row(pixels[y*b.Dx()*channels:][:b.Dx()*channels], img, b.Min.X, b.Min.Y+y)
			if err := watching.after(16 * b.Dx()); err != nil {
				return err
			}
		}
		return nil
	})
}

// row sets the pixels of a row, which starts at a place in the image.
func (k imageDecoder) row(pixels []uint8, img image.Image, x, y int) {
	channels := k.channels()
	for i := range len(pixels) / channels {
		r16, g16, b16, _ := img.At(x+i, y).RGBA()
		r, g, b := r16>>8, g16>>8, b16>>8
		p := pixels[i*channels:][:channels]
		switch k.format {
		case "RGB":
			p[0], p[1], p[2] = uint8(r), uint8(g), uint8(b)
		case "BGR":
			p[0], p[1], p[2] = uint8(b), uint8(g), uint8(r)
		default: // the luma of ITU-R BT.601, rounded
			p[0] = uint8((19595*r + 38470*g + 7471*b + 1<<15) >> 16)
		}
	}
}
