package imagefile

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"slices"

	"golang.org/x/image/tiff"
)

// Values of tagCompression.
const (
	compressionNone       = 1
	compressionG3         = 3
	compressionG4         = 4
	compressionLZW        = 5
	compressionDeflate    = 8
	compressionDeflateOld = 32946
)

// Values of tagPhotometric.
const (
	whiteIsZero = 0
	blackIsZero = 1
	rgb         = 2
	paletted    = 3
)

var compressions = map[uint32]string{
	2: "CCITT (modified Huffman)", 6: "JPEG", 7: "JPEG", 34661: "JBIG", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "Zstandard",
	50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 33003: "JPEG 2000", 33005: "JPEG 2000", 32809: "ThunderScan", 34676: "SGI LogLuv", 34677: "SGI LogLuv",
}

var photometrics = map[uint32]string{
	4: "a transparency mask", 5: "CMYK or other inks", 6: "YCbCr", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*",
	32803: "a camera's color filters (raw)", 32844: "LogL", 32845: "LogLuv", 34892: "a camera's raw colors",
}

// checkTIFF refuses TIFF files that package tiff cannot read, and those that it would read
// wrongly without an error: it does not look at the order of planes, at the number of samples
// or, unless the file is compressed for fax, at the order of bits.
func checkTIFF(content []byte) error {
	d := readDirectory(content)
	if len(d) == 0 {
		return nil // damaged
	}
	compression, photometric := d.first(tagCompression, compressionNone), d.first(tagPhotometric, blackIsZero)
	bits := d[tagBits]
	if bits == nil {
		bits = []uint32{1}
	}
	samples := d.first(tagSamples, 1)
	fax := compression == compressionG3 || compression == compressionG4
	switch {
	case d.first(tagSubfileType, 0)&1 != 0:
		return refuse("a TIFF that begins with a reduced copy of its image (a camera's raw file?)")
	case compressions[compression] != "":
		return refuse("a TIFF with %s compression", compressions[compression])
	case d[tagPhotometric] == nil:
		return refuse("a TIFF that does not say what its values mean (no PhotometricInterpretation)")
	case photometrics[photometric] != "":
		return refuse("a TIFF with %s", photometrics[photometric])
	case photometric > paletted:
		return refuse("a TIFF with values of an unknown meaning (PhotometricInterpretation %d)", photometric)
	case slices.ContainsFunc(d[tagSampleFormat], func(f uint32) bool { return f != 1 && f != 4 }):
		return refuse("a TIFF with signed or floating-point values")
	case int(samples) != len(bits):
		return refuse("a TIFF with %d samples per pixel but the bits of %d", samples, len(bits))
	case bits[0] != 1 && bits[0] != 8 && bits[0] != 16, slices.ContainsFunc(bits, func(b uint32) bool { return b != bits[0] }),
		photometric == paletted && bits[0] == 16, fax && bits[0] != 1:
		return refuse("a TIFF with %s bits per sample and %s", listed(bits), meanings[photometric])
	case samples > 1 && d.first(tagPlanes, 1) != 1:
		return refuse("a TIFF with one plane per color (PlanarConfiguration 2)")
	case photometric != rgb && samples > 1:
		return refuse("a TIFF with %s and %d more values per pixel", meanings[photometric], samples-1)
	case photometric == rgb && samples != 3 && (samples != 4 || d.first(tagExtraSamples, 0) != 1 && d.first(tagExtraSamples, 0) != 2):
		return refuse("a TIFF with colors and other values than their transparency, %d per pixel in all", samples)
	case d.first(tagFillOrder, 1) != 1 && !fax:
		return refuse("a TIFF with the bits of a byte in reversed order")
	case compression == compressionG3 && d.first(tagT4Options, 0) != 0:
		return refuse("a TIFF with a variant of fax compression (T4Options %d)", d.first(tagT4Options, 0))
	}
	switch predictor := d.first(tagPredictor, 1); {
	case predictor == 1:
	case predictor != 2 || compression != compressionLZW && compression != compressionDeflate && compression != compressionDeflateOld:
		return refuse("a TIFF with predictor %d and compression %d", predictor, compression)
	}
	return nil
}

// meanings describe the values of tagPhotometric that package tiff reads.
var meanings = [...]string{whiteIsZero: "grays (white is zero)", blackIsZero: "grays (black is zero)", rgb: "colors", paletted: "a palette"}

// listed returns numbers as "8, 8, 8", or one number if all are equal.
func listed(numbers []uint32) string {
	if len(slices.Compact(slices.Clone(numbers))) == 1 {
		return fmt.Sprint(numbers[0])
	}
	text := fmt.Sprint(numbers)
	return text[1 : len(text)-1]
}

// decodeTIFF returns the first image of a TIFF file.
func decodeTIFF(content []byte) (image.Image, error) {
	img, err := tiff.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	d := readDirectory(content)
	switch src := img.(type) {
	case *image.Gray:
		// Package tiff takes the white runs of fax compression as white. They are zeros, which
		// are black here.
		fax := d.first(tagCompression, 0) == compressionG3 || d.first(tagCompression, 0) == compressionG4
		if fax && d.first(tagPhotometric, 0) == blackIsZero {
			for i := range src.Pix {
				src.Pix[i] = ^src.Pix[i]
			}
		}
	case *image.Paletted:
		src.Palette = palette8(src.Palette, d[tagColorMap])
	}
	return img, nil
}

// palette8 returns a palette with 8 bits per color. The values in the file have 16 bits, of
// which some programs set only the upper or only the lower 8.
func palette8(p color.Palette, values []uint32) color.Palette {
	shift := 8
	if !slices.ContainsFunc(values, func(v uint32) bool { return v > 0xff }) {
		shift = 0
	}
	out := make(color.Palette, len(p))
	for i, c := range p {
		r, g, b, _ := c.RGBA()
		out[i] = color.RGBA{R: uint8(r >> shift), G: uint8(g >> shift), B: uint8(b >> shift), A: 0xff}
	}
	return out
}
