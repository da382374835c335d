package dataset

import (
	"errors"
	"fmt"
	"image"
	"io"
	"os"

	"golang.org/x/image/draw"

	"github.com/spike-by-spike/sbs/internal/imagefile"
)

// maxFile bounds the bytes of one image file or label file.
const maxFile = 1 << 28

// pictures are image files.
type pictures struct {
	paths []string
	opt   Options
}

func (p *pictures) len() int          { return len(p.paths) }
func (p *pictures) size() Size        { return p.opt.Size }
func (p *pictures) name(i int) string { return p.paths[i] }
func (p *pictures) close() error      { return nil }

func (p *pictures) pixels(i int) ([]float32, error) {
	content, err := readAll(p.paths[i])
	if err != nil {
		return nil, err
	}
	return decode(content, p.opt, maxPixels)
}

// openPictures opens image files. If the options have no size, all images must have the
// size of the first. Errors name the path.
func openPictures(paths []string, opt Options) (*pictures, error) {
	if opt.Size == (Size{}) {
		size, err := pictureSize(paths[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", paths[0], withoutPath(err))
		}
		opt.Size = size
	}
	return &pictures{paths: paths, opt: opt}, nil
}

// pictureSize returns the size of an image file, with one channel if it is stored as gray.
func pictureSize(path string) (Size, error) {
	content, err := readAll(path)
	if err != nil {
		return Size{}, err
	}
	h, err := imagefile.ReadHeader(content, maxPixels)
	if err != nil {
		return Size{}, err
	}
	size := Size{3, h.Height, h.Width}
	if h.Gray {
		size.Channels = 1
	}
	return size, nil
}

// readAll reads a file of at most maxFile bytes.
func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("the file has %d bytes, want at most %d", info.Size(), maxFile)
	}
	return io.ReadAll(io.LimitReader(f, maxFile)) // the file may grow meanwhile
}

// decode returns the pixels of an image file.
func decode(content []byte, opt Options, limit int) ([]float32, error) {
	// The size is checked before a decoder takes memory for it.
	h, err := imagefile.ReadHeader(content, limit)
	if err != nil {
		return nil, err
	}
	if !opt.Resize && (h.Width != opt.Size.Width || h.Height != opt.Size.Height) {
		return nil, sizeError(h.Height, h.Width, opt.Size)
	}
	img, err := imagefile.Decode(content, limit)
	if err != nil {
		return nil, err
	}
	if h.Gray && opt.Size.Channels == 3 && !opt.Resize {
		return nil, errGray // also with transparent pixels, which Decode returns as colors
	}
	return fit(img, opt)
}

var errGray = errors.New("the image is gray, but the network needs 3 channels: allow conversion " + adviseResize)

// adviseResize says how to allow scaling and conversion, on the command line and in a
// program.
const adviseResize = "(--resize, or Resize in a Go program)"

func sizeError(height, width int, want Size) error {
	return fmt.Errorf("the image has %dx%d pixels, but the network needs %dx%d (height x width): allow scaling %s",
		height, width, want.Height, want.Width, adviseResize)
}

// fit converts an image without transparent pixels to the size in the options.
func fit(img image.Image, opt Options) ([]float32, error) {
	want, b := opt.Size, img.Bounds()
	if want.Channels != 1 && want.Channels != 3 {
		return nil, fmt.Errorf("images have 1 or 3 channels, but the network needs %d", want.Channels)
	}
	gray := false
	switch img.(type) {
	case *image.Gray, *image.Gray16:
		gray = true
	}
	if b.Dx() != want.Width || b.Dy() != want.Height {
		// The scaler needs 32 bytes per row of the image and column of the result.
		if b.Dy() > maxPixels/4/want.Width {
			return nil, fmt.Errorf("the image is %d pixels high, which is too much to scale it to a width of %d", b.Dy(), want.Width)
		}
		// Catmull-Rom, with a support that grows as the image shrinks, is also the default
		// of Python's Pillow.
		scaled := image.NewRGBA64(image.Rect(0, 0, want.Width, want.Height))
		draw.CatmullRom.Scale(scaled, scaled.Rect, img, b, draw.Src, nil)
		img, b = scaled, scaled.Rect
	}
	src, ok := img.(image.RGBA64Image)
	if !ok {
		return nil, errors.New("images with this color model are not supported")
	}
	if want.Channels == 3 {
		if gray && !opt.Resize {
			return nil, errGray
		}
		return colors(src, b), nil
	}
	return grays(src, b, opt.Resize)
}

// colors returns the three channels of an image.
func colors(img image.RGBA64Image, b image.Rectangle) []float32 {
	n := b.Dx() * b.Dy()
	out := make([]float32, 3*n)
	i := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := img.RGBA64At(x, y)
			// For an 8-bit color v this is v*257/65535, the same float32 as v/255.
			out[i], out[n+i], out[2*n+i] = float32(c.R)/65535, float32(c.G)/65535, float32(c.B)/65535
			i++
		}
	}
	return out
}

// grays returns an image as one channel. Colors are an error unless convert is set.
func grays(img image.RGBA64Image, b image.Rectangle, convert bool) ([]float32, error) {
	colored, eightBit := false, true
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := img.RGBA64At(x, y)
			colored = colored || c.R != c.G || c.G != c.B
			eightBit = eightBit && c.R%257 == 0 && c.G%257 == 0 && c.B%257 == 0
		}
	}
	if colored && !convert {
		return nil, errors.New("the image has colors, but the network needs 1 channel: allow conversion to gray " + adviseResize)
	}
	// The coefficients of ITU-R 601. The result is rounded to the depth of the image: for
	// 8-bit images it equals Pillow's convert("L").
	depth := uint32(1)
	if eightBit {
		depth = 257
	}
	out := make([]float32, 0, b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := img.RGBA64At(x, y)
			l := (19595*(uint32(c.R)/depth) + 38470*(uint32(c.G)/depth) + 7471*(uint32(c.B)/depth) + 1<<15) >> 16
			out = append(out, float32(l*depth)/65535)
		}
	}
	return out, nil
}
