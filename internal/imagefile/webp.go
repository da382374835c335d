package imagefile

import (
	"bytes"
	"image"
	"image/color"
	"math"

	"golang.org/x/image/webp"
)

// checkWebP refuses animations, which package webp cannot read.
func checkWebP(content []byte) error {
	const animation = 1 << 1
	for kind, data := range webpChunks(content) {
		if kind == "VP8X" && len(data) > 0 && data[0]&animation != 0 {
			return refuse("an animated WebP")
		}
	}
	return nil
}

// decodeWebP returns the image of a WebP file.
func decodeWebP(content []byte) (image.Image, error) {
	img, err := webp.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	switch src := img.(type) {
	case *image.YCbCr:
		return videoColors(src, nil), nil
	case *image.NYCbCrA:
		return videoColors(&src.YCbCr, func(x, y int) uint8 { return src.A[src.AOffset(x, y)] }), nil
	}
	return img, nil
}

// videoColors converts an image whose values have the range of video: 16 to 235 for the
// brightness and 16 to 240 for the colors, as the VP8 format has them. Package webp returns
// them in a type whose values would have the range 0 to 255. alpha is nil for an image
// without transparency.
func videoColors(src *image.YCbCr, alpha func(x, y int) uint8) *image.NRGBA {
	b := src.Bounds()
	out := image.NewNRGBA(b)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := videoColor(src.Y[src.YOffset(x, y)], src.Cb[src.COffset(x, y)], src.Cr[src.COffset(x, y)])
			if alpha != nil {
				c.A = alpha(x, y)
			}
			out.SetNRGBA(x, y, c)
		}
	}
	return out
}

// videoColor converts a color by ITU-R BT.601. The factors have 16 bits after the binary
// point.
func videoColor(y, cb, cr uint8) color.NRGBA {
	const (
		luma    = 76309  // 255/219
		redCr   = 104597 // 1.402 * 255/224
		greenCb = 25675  // 0.344136 * 255/224
		greenCr = 53279  // 0.714136 * 255/224
		blueCb  = 132201 // 1.772 * 255/224
		half    = 1 << 15
	)
	l, u, v := luma*(int(y)-16)+half, int(cb)-128, int(cr)-128
	limit := func(w int) uint8 { return uint8(min(max(w>>16, 0), math.MaxUint8)) }
	return color.NRGBA{R: limit(l + redCr*v), G: limit(l - greenCb*u - greenCr*v), B: limit(l + blueCb*u), A: math.MaxUint8}
}
