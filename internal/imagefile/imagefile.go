// Package imagefile decodes image files: PNG, JPEG, GIF, BMP, TIFF and WebP. The images
// are as a viewer shows them: turned as their orientation tag says, and opaque, with
// transparent pixels on white. What a decoder of another package would get wrong without
// an error is corrected or refused by name.
package imagefile

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/spike-by-spike/sbs/internal/sniff"
)

// Header is what the first bytes of an image file say about the image.
type Header struct {
	Height, Width int  // of the image as it is seen, after its orientation
	Gray          bool // stored as gray, or with a palette of grays only
}

// format is a format of image files. '?' in magic matches any byte.
type format struct {
	magic  string
	check  func(content []byte) error // refuses by name what the decoder cannot do; may be nil
	config func(io.Reader) (image.Config, error)
	decode func(content []byte) (image.Image, error)
	exif   func(content []byte) []byte // returns the EXIF data, nil if there is none; may be nil
}

var formats = []format{
	{"\x89PNG\r\n\x1a\n", nil, png.DecodeConfig, read(png.Decode), exifOfPNG},
	{"\xff\xd8\xff", checkJPEG, jpeg.DecodeConfig, read(jpeg.Decode), exifOfJPEG},
	{"GIF87a", nil, gif.DecodeConfig, decodeGIF, nil},
	{"GIF89a", nil, gif.DecodeConfig, decodeGIF, nil},
	// A text may begin with BM too, so the four reserved bytes after the file size count.
	{"BM????\x00\x00\x00\x00", checkBMP, bmp.DecodeConfig, decodeBMP, nil},
	{"II*\x00", checkTIFF, tiff.DecodeConfig, decodeTIFF, exifOfTIFF},
	{"MM\x00*", checkTIFF, tiff.DecodeConfig, decodeTIFF, exifOfTIFF},
	{"RIFF????WEBP", checkWebP, webp.DecodeConfig, decodeWebP, exifOfWebP},
}

// read adapts a decoder to content in memory.
func read(decode func(io.Reader) (image.Image, error)) func([]byte) (image.Image, error) {
	return func(content []byte) (image.Image, error) { return decode(bytes.NewReader(content)) }
}

// Known reports whether a file that begins with head is an image file.
func Known(head []byte) bool { return find(head) != nil }

// HeadLength is the number of bytes at the start of a file that Known needs.
const HeadLength = 16

// HasExtension reports whether a path has the extension of a format that Decode reads.
func HasExtension(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp":
		return true
	}
	return false
}

// find returns the format of a file that begins with head, nil if it is unknown.
func find(head []byte) *format {
	for i := range formats {
		if matches(head, formats[i].magic) {
			return &formats[i]
		}
	}
	return nil
}

func matches(head []byte, magic string) bool {
	if len(head) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != head[i] {
			return false
		}
	}
	return true
}

// ReadHeader returns the header of an image file, or an error if it claims more than limit
// pixels.
func ReadHeader(content []byte, limit int) (h Header, err error) {
	defer Recover(&err)
	_, h, err = header(content, limit)
	return h, err
}

// header returns the format and the header of an image file.
func header(content []byte, limit int) (*format, Header, error) {
	f := find(content)
	if f == nil {
		return nil, Header{}, notAnImage(content)
	}
	if f.check != nil {
		if err := f.check(content); err != nil {
			return nil, Header{}, err
		}
	}
	config, err := f.config(bytes.NewReader(content))
	if err != nil {
		return nil, Header{}, advise(err)
	}
	h := Header{config.Height, config.Width, isGray(content, config.ColorModel)}
	if f.orientation(content).swaps() {
		h.Height, h.Width = h.Width, h.Height
	}
	if h.Width < 1 || h.Height < 1 || h.Height > limit/h.Width {
		return nil, Header{}, fmt.Errorf("the image claims %dx%d pixels (height x width), want 1 to %d", h.Height, h.Width, limit)
	}
	return f, h, nil
}

// isGray reports whether the colors of an image file are grays.
func isGray(content []byte, model color.Model) bool {
	if palette, ok := model.(color.Palette); ok {
		for _, c := range palette {
			if r, g, b, _ := c.RGBA(); r != g || g != b {
				return false
			}
		}
		return len(palette) > 0
	}
	return model == color.GrayModel || model == color.Gray16Model || isGrayPNG(content)
}

// Decode returns the image of an image file: an *image.Gray, *image.Gray16, *image.RGBA or
// *image.RGBA64 without transparent pixels. The first frame of an animation is its image.
// It is an error if the header claims more than limit pixels.
func Decode(content []byte, limit int) (img image.Image, err error) {
	defer Recover(&err)
	img, f, err := decode(content, limit)
	if err != nil {
		return nil, err
	}
	return turn(img, f.orientation(content)), nil
}

// DecodeStored is Decode for programs that expect an image as it is stored: its orientation
// does not count.
func DecodeStored(content []byte, limit int) (image.Image, error) {
	img, _, err := decode(content, limit)
	return img, err
}

func decode(content []byte, limit int) (img image.Image, f *format, err error) {
	defer Recover(&err)
	if f, _, err = header(content, limit); err != nil {
		return nil, nil, err
	}
	if img, err = f.decode(content); err != nil {
		return nil, nil, advise(err)
	}
	return Flatten(img), f, nil
}

// orientation returns the orientation of an image file.
func (f *format) orientation(content []byte) orientation {
	if f.exif == nil {
		return upright
	}
	return orientationIn(f.exif(content))
}

// Recover converts a panic of a decoder or of an image to an error. Some decoders of other packages have
// panicked for malformed files.
func Recover(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the image is damaged: %v", r)
	}
}

const adviseSave = "save it as PNG with another program"

// refuse returns an error about a variant of a format, such as "a CMYK TIFF".
func refuse(variant string, args ...any) error {
	return fmt.Errorf("the file is "+variant+", which cannot be read: "+adviseSave, args...)
}

// advise adds advice to an error of a decoder about a variant that it does not support.
func advise(err error) error {
	var inJPEG jpeg.UnsupportedError
	var inPNG png.UnsupportedError
	var inTIFF tiff.UnsupportedError
	if errors.As(err, &inJPEG) || errors.As(err, &inPNG) || errors.As(err, &inTIFF) || errors.Is(err, bmp.ErrUnsupported) {
		return fmt.Errorf("%w: %s", err, adviseSave)
	}
	return err
}

// decodeGIF returns the first frame of a GIF file. Where the frame does not cover the
// canvas, the image is transparent.
func decodeGIF(content []byte) (image.Image, error) {
	config, err := gif.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	frame, err := gif.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	all := image.Rect(0, 0, config.Width, config.Height)
	if frame.Bounds() == all {
		return frame, nil
	}
	canvas := image.NewNRGBA(all)
	draw.Draw(canvas, frame.Bounds(), frame, frame.Bounds().Min, draw.Src)
	return canvas, nil
}

// notAnImage returns an error about a file of an unknown format.
func notAnImage(content []byte) error {
	head := content[:min(len(content), sniff.Length)]
	if name := sniff.Picture(head, ""); name != "" {
		return fmt.Errorf("the format of the file is %s, which cannot be read: %s", name, adviseSave)
	}
	return sniff.Error("a PNG, JPEG, GIF, BMP, TIFF or WebP file", head)
}
