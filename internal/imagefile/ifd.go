package imagefile

import "encoding/binary"

// directory is an image file directory: the tags of an image in a TIFF file or in EXIF data,
// with their values. It has only the tags with a name here, so that a file with many tags does
// not take much memory.
type directory map[uint16][]uint32

// The tags of a directory.
const (
	tagSubfileType  = 254
	tagBits         = 258
	tagCompression  = 259
	tagPhotometric  = 262
	tagFillOrder    = 266
	tagOrientation  = 274
	tagSamples      = 277
	tagPlanes       = 284
	tagT4Options    = 292
	tagPredictor    = 317
	tagColorMap     = 320
	tagExtraSamples = 338
	tagSampleFormat = 339
)

func isKnown(tag uint16) bool {
	switch tag {
	case tagSubfileType, tagBits, tagCompression, tagPhotometric, tagFillOrder, tagOrientation, tagSamples, tagPlanes, tagT4Options, tagPredictor,
		tagColorMap, tagExtraSamples, tagSampleFormat:
		return true
	}
	return false
}

// maxValues bounds the values of a tag; a palette of 256 colors has 768. Tags with more are
// left out.
const maxValues = 768

// readDirectory returns the first directory of a TIFF file or of EXIF data, which have the
// same structure. Tags that are damaged are left out. It returns nil without a directory.
func readDirectory(b []byte) directory {
	if len(b) < 8 {
		return nil
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return nil
	}
	const entryLength = 12
	start := int64(order.Uint32(b[4:]))
	if start+2 > int64(len(b)) {
		return nil
	}
	entries := b[start+2:]
	d := directory{}
	for range order.Uint16(b[start:]) {
		if len(entries) < entryLength {
			break
		}
		tag := order.Uint16(entries)
		if isKnown(tag) && d[tag] == nil {
			if values := readValues(b, entries[:entryLength], order); values != nil {
				d[tag] = values
			}
		}
		entries = entries[entryLength:]
	}
	return d
}

// readValues returns the values of an entry of a directory, nil if they are damaged or not
// whole numbers.
func readValues(b, entry []byte, order binary.ByteOrder) []uint32 {
	size := int64(0)
	switch order.Uint16(entry[2:]) {
	case 1: // BYTE
		size = 1
	case 3: // SHORT
		size = 2
	case 4: // LONG
		size = 4
	}
	count := int64(order.Uint32(entry[4:]))
	if size == 0 || count < 1 || count > maxValues {
		return nil
	}
	data := entry[8:]
	if size*count > 4 {
		offset := int64(order.Uint32(data))
		if offset+size*count > int64(len(b)) {
			return nil
		}
		data = b[offset:]
	}
	values := make([]uint32, count)
	for i := range values {
		switch size {
		case 1:
			values[i] = uint32(data[i])
		case 2:
			values[i] = uint32(order.Uint16(data[2*i:]))
		case 4:
			values[i] = order.Uint32(data[4*i:])
		}
	}
	return values
}

// first returns the first value of a tag, or def if the tag is absent.
func (d directory) first(tag uint16, def uint32) uint32 {
	if v := d[tag]; len(v) > 0 {
		return v[0]
	}
	return def
}
