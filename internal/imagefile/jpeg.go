package imagefile

import (
	"encoding/binary"
	"iter"
)

// Markers of the segments of a JPEG file, without the byte 0xff.
const (
	markerSOF0  = 0xc0 // start of a frame; also up to 0xcf, except for the next three
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
	markerSOF55 = 0xf7 // JPEG-LS
)

// segments yields the markers and the data of the segments of a JPEG file before the first
// scan, up to the first that is damaged.
func segments(content []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		rest := content
		for len(rest) >= 4 && rest[0] == 0xff {
			switch marker := rest[1]; {
			case marker == 0xff: // a fill byte
				rest = rest[1:]
			case marker == markerSOI || marker == 0x01 || marker >= 0xd0 && marker < markerSOI: // without data
				rest = rest[2:]
			case marker == markerSOS || marker == markerEOI:
				return
			default:
				n := int(binary.BigEndian.Uint16(rest[2:])) // with its own two bytes
				if n < 2 || n > len(rest)-2 || !yield(marker, rest[4:2+n]) {
					return
				}
				rest = rest[2+n:]
			}
		}
	}
}

// checkJPEG refuses JPEG files that package image/jpeg cannot read, and those in whose colors
// it differs from other decoders.
func checkJPEG(content []byte) error {
	const noMarker = -1
	jfif, transform := false, noMarker
	var frame []byte
	for marker, data := range segments(content) {
		switch {
		case marker == markerAPP0 && matches(data, "JFIF\x00"):
			jfif = true
		case marker == markerAPP14 && matches(data, "Adobe") && len(data) >= 12:
			transform = int(data[11])
		case marker == markerSOF55:
			return refuse("a JPEG-LS file")
		case marker >= markerSOF0 && marker <= 0xcf && marker != markerDHT && marker != markerJPG && marker != markerDAC:
			if err := checkFrame(marker, data); err != nil {
				return err
			}
			frame = data
		}
	}
	const components, size = 6, 3 // where the components of a frame begin, and their size
	if len(frame) < components+3*size {
		return nil // gray, or damaged
	}
	names := string([]byte{frame[components], frame[components+size], frame[components+2*size]})
	switch four := frame[components-1] == 4; {
	case four && transform == noMarker:
		return refuse("a JPEG with four colors (CMYK) but without Adobe's marker, so that it is unknown whether its colors are inverted")
	case !four && !jfif && transform > 0 && names == "RGB":
		return refuse("a JPEG whose components are named RGB although Adobe's marker says that they are not")
	}
	return nil
}

// checkFrame refuses the kinds of compression that package image/jpeg cannot read.
func checkFrame(marker byte, frame []byte) error {
	switch kind := marker - markerSOF0; {
	case kind == 3:
		return refuse("a lossless JPEG")
	case kind >= 8:
		return refuse("a JPEG with arithmetic coding")
	case kind > 3:
		return refuse("a hierarchical JPEG")
	}
	if len(frame) > 0 && frame[0] != 8 {
		return refuse("a JPEG with %d bits per color", frame[0])
	}
	return nil
}
