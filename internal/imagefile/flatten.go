package imagefile

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// Flatten returns an image without transparent pixels: an *image.Gray, *image.Gray16,
// *image.RGBA or *image.RGBA64. Transparent pixels are put on white. An image with colors of
// 8 bits keeps 8 bits, rounded to the nearest. The result may share memory with img.
func Flatten(img image.Image) image.Image {
	b := img.Bounds()
	switch src := img.(type) {
	case *image.Gray, *image.Gray16:
		return img
	case *image.YCbCr, *image.CMYK:
		// RGBA64At would return 16-bit colors that differ from the 8-bit colors of other
		// programs.
		rgba := image.NewRGBA(b)
		draw.Draw(rgba, b, src, b.Min, draw.Src)
		return rgba
	case *image.RGBA:
		if src.Opaque() {
			return src
		}
		return flatten8(b, func(x, y int) (r, g, b, a uint8) {
			c := src.RGBAAt(x, y)
			white := math.MaxUint8 - int(c.A)
			add := func(v uint8) uint8 { return uint8(min(int(v)+white, math.MaxUint8)) } // a damaged file may have colors above their opacity
			return add(c.R), add(c.G), add(c.B), math.MaxUint8
		})
	case *image.NRGBA:
		if src.Opaque() {
			return &image.RGBA{Pix: src.Pix, Stride: src.Stride, Rect: src.Rect}
		}
		return flatten8(b, func(x, y int) (r, g, b, a uint8) {
			c := src.NRGBAAt(x, y)
			return c.R, c.G, c.B, c.A
		})
	case *image.NYCbCrA:
		return flatten8(b, func(x, y int) (r, g, b, a uint8) {
			c := src.NYCbCrAAt(x, y)
			r, g, b = color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
			return r, g, b, c.A
		})
	case *image.Paletted:
		palette := make([]color.NRGBA, len(src.Palette))
		for i, c := range src.Palette {
			palette[i], _ = color.NRGBAModel.Convert(c).(color.NRGBA)
		}
		return flatten8(b, func(x, y int) (r, g, b, a uint8) {
			c := palette[src.ColorIndexAt(x, y)]
			return c.R, c.G, c.B, c.A
		})
	}
	return flatten16(img, b)
}

// flatten8 returns an image of colors, which are not multiplied by a, on white.
func flatten8(bounds image.Rectangle, colors func(x, y int) (r, g, b, a uint8)) *image.RGBA {
	out := image.NewRGBA(bounds)
	i := 0
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, a := colors(x, y)
			out.Pix[i], out.Pix[i+1], out.Pix[i+2], out.Pix[i+3] = onWhite(r, a), onWhite(g, a), onWhite(b, a), math.MaxUint8
			i += 4
		}
	}
	return out
}

// onWhite returns v, with the opacity a, on white.
func onWhite(v, a uint8) uint8 {
	const most = math.MaxUint8
	return uint8((int(v)*int(a) + most*(most-int(a)) + most/2) / most)
}

// flatten16 returns an image on white with 16 bits per color.
func flatten16(img image.Image, bounds image.Rectangle) *image.RGBA64 {
	out := image.NewRGBA64(bounds)
	src, ok := img.(image.RGBA64Image)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			var c color.RGBA64 // multiplied by its opacity
			if ok {
				c = src.RGBA64At(x, y) // unlike At, takes no memory
			} else {
				r, g, b, a := img.At(x, y).RGBA()
				c = color.RGBA64{R: uint16(r), G: uint16(g), B: uint16(b), A: uint16(a)}
			}
			white := math.MaxUint16 - int(c.A)
			add := func(v uint16) uint16 { return uint16(min(int(v)+white, math.MaxUint16)) }
			out.SetRGBA64(x, y, color.RGBA64{R: add(c.R), G: add(c.G), B: add(c.B), A: math.MaxUint16})
		}
	}
	return out
}
