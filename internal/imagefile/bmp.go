package imagefile

import (
	"bytes"
	"encoding/binary"
	"image"
	"math"

	"golang.org/x/image/bmp"
)

// bmpHeader are the fields of a BMP file that matter here.
type bmpHeader struct {
	size        uint32 // of the header after the file header
	bits        uint16 // per pixel
	compression uint32
	masks       [4]uint32 // of the bits of red, green, blue and the opacity, of headers that have all four
}

// usualMasks are the masks that package bmp reads.
var usualMasks = [4]uint32{0xff0000, 0xff00, 0xff, 0xff000000}

func readBMPHeader(b []byte) bmpHeader {
	const size, bits, compression, masks = 14, 28, 30, 54
	var h bmpHeader
	if len(b) < compression+4 {
		return h // damaged
	}
	h.size = binary.LittleEndian.Uint32(b[size:])
	h.bits = binary.LittleEndian.Uint16(b[bits:])
	h.compression = binary.LittleEndian.Uint32(b[compression:])
	const withAlpha = 56 // the size of the first header with a mask of the opacity
	for i := range h.masks {
		if at := masks + 4*i; h.size >= withAlpha && len(b) >= at+4 {
			h.masks[i] = binary.LittleEndian.Uint32(b[at:])
		}
	}
	return h
}

// checkBMP refuses BMP files that package bmp cannot read.
func checkBMP(content []byte) error {
	switch h := readBMPHeader(content); {
	case h.size == 0: // damaged
	case h.size != 40 && h.size != 108 && h.size != 124:
		return refuse("a BMP with a header of %d bytes (of OS/2?)", h.size)
	case h.compression == 1 || h.compression == 2:
		return refuse("a BMP with run-length compression")
	case h.compression == 4 || h.compression == 5:
		return refuse("a BMP that contains a JPEG or PNG file")
	case h.bits == 16:
		return refuse("a BMP with 16 bits per pixel")
	case h.compression == 3 && h.masks != usualMasks:
		return refuse("a BMP with unusual masks of its colors")
	}
	return nil
}

// decodeBMP returns the image of a BMP file.
func decodeBMP(content []byte) (image.Image, error) {
	img, err := bmp.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	// Many programs leave the fourth byte of a pixel 0, also with a header that can give it
	// the meaning of an opacity. Such an image is not invisible.
	if src, ok := img.(*image.NRGBA); ok && (readBMPHeader(content).masks[3] == 0 || isInvisible(src)) {
		for i := 3; i < len(src.Pix); i += 4 {
			src.Pix[i] = math.MaxUint8
		}
	}
	return img, nil
}

func isInvisible(img *image.NRGBA) bool {
	for i := 3; i < len(img.Pix); i += 4 {
		if img.Pix[i] != 0 {
			return false
		}
	}
	return true
}
