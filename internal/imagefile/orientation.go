package imagefile

import "image"

// orientation is the value of the orientation tag of EXIF and TIFF, 1 to 8. It says how the
// stored image must be turned to be seen as it was taken.
type orientation uint32

// upright is an image that is stored as it is seen.
const upright orientation = 1

// orientationIn returns the orientation in EXIF data or in a TIFF file: upright if it is
// absent, damaged or out of range, because broken EXIF data does not affect the pixels.
func orientationIn(exif []byte) orientation {
	o := orientation(readDirectory(exif).first(tagOrientation, uint32(upright)))
	if o < 1 || o > 8 {
		return upright
	}
	return o
}

// swaps reports whether the height of the stored image is the width of the turned one.
func (o orientation) swaps() bool { return o >= 5 }

// source returns the place in a stored image of height h and width w of the pixel that is
// seen at x, y.
func (o orientation) source(x, y, w, h int) (int, int) {
	switch o {
	case 2: // mirrored
		return w - 1 - x, y
	case 3: // turned by 180 degrees
		return w - 1 - x, h - 1 - y
	case 4: // upside down and mirrored
		return x, h - 1 - y
	case 5: // rows and columns swapped
		return y, x
	case 6: // must be turned clockwise by 90 degrees
		return y, h - 1 - x
	case 7: // swapped, and turned by 180 degrees
		return w - 1 - y, h - 1 - x
	case 8: // must be turned counterclockwise by 90 degrees
		return w - 1 - y, x
	}
	return x, y
}

// turn returns the image as it is seen. img must be a result of Flatten.
func turn(img image.Image, o orientation) image.Image {
	if o == upright {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	r := image.Rect(0, 0, w, h)
	if o.swaps() {
		r = image.Rect(0, 0, h, w)
	}
	switch src := img.(type) {
	case *image.Gray:
		dst := image.NewGray(r)
		turnPixels(dst.Pix, src.Pix, src.Stride, 1, r, o)
		return dst
	case *image.Gray16:
		dst := image.NewGray16(r)
		turnPixels(dst.Pix, src.Pix, src.Stride, 2, r, o)
		return dst
	case *image.RGBA:
		dst := image.NewRGBA(r)
		turnPixels(dst.Pix, src.Pix, src.Stride, 4, r, o)
		return dst
	case *image.RGBA64:
		dst := image.NewRGBA64(r)
		turnPixels(dst.Pix, src.Pix, src.Stride, 8, r, o)
		return dst
	}
	panic("not a result of Flatten")
}

// turnPixels turns pixels of size bytes each. r are the bounds of the turned image.
func turnPixels(dst, src []uint8, stride, size int, r image.Rectangle, o orientation) {
	w, h := r.Dx(), r.Dy() // of the stored image
	if o.swaps() {
		w, h = h, w
	}
	for y := range r.Dy() {
		for x := range r.Dx() {
			sx, sy := o.source(x, y, w, h)
			i := sy*stride + sx*size
			dst = dst[copy(dst, src[i:i+size]):]
		}
	}
}
