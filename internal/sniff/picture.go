package sniff

import (
	"bytes"
	"path/filepath"
	"strings"
)

// pictures are formats of pictures, and of files that people take for pictures, which package imagefile
// does not read, by the bytes at an offset.
var pictures = []signature{
	{4, "ftypavif", "AVIF"},
	{4, "ftypavis", "AVIF"},
	{4, "ftypheic", "HEIC"},
	{4, "ftypheix", "HEIC"},
	{4, "ftyphevc", "HEIC"},
	{4, "ftyphevx", "HEIC"},
	{4, "ftypheim", "HEIC"},
	{4, "ftypheis", "HEIC"},
	{4, "ftypmif1", "HEIF"},
	{4, "ftypmsf1", "HEIF"},
	{4, "ftypcrx ", "Canon raw"},
	{4, "ftypqt  ", "QuickTime video"},
	{4, "ftyp", "MP4 video"},
	{0, "\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"},
	{0, "\xff\x4f\xff\x51", "JPEG 2000"},
	{0, "\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"},
	{0, "\xff\x0a", "JPEG XL"},
	{0, "8BPS", "Photoshop (PSD)"},
	{0, "gimp xcf", "GIMP (XCF)"},
	{0, "%PDF-", "PDF"},
	{0, "%!PS", "PostScript"},
	{0, "\xc5\xd0\xd3\xc6", "PostScript"},
	{0, "<svg", "SVG"},
	{0, "II+\x00", "BigTIFF"},
	{0, "MM\x00+", "BigTIFF"},
	{0, "\x00\x00\x01\x00", "icon (ICO)"},
	{0, "icns", "icon (ICNS)"},
	{0, "P1\n", "PBM"}, {0, "P2\n", "PGM"}, {0, "P3\n", "PPM"}, {0, "P4\n", "PBM"}, {0, "P5\n", "PGM"}, {0, "P6\n", "PPM"}, {0, "P7\n", "PAM"},
	{0, "P1 ", "PBM"}, {0, "P2 ", "PGM"}, {0, "P3 ", "PPM"}, {0, "P4 ", "PBM"}, {0, "P5 ", "PGM"}, {0, "P6 ", "PPM"},
	{0, "PF\n", "PFM"}, {0, "Pf\n", "PFM"},
	{0, "v/1\x01", "OpenEXR"},
	{0, "#?RADIANCE", "Radiance HDR"},
	{0, "#?RGBE", "Radiance HDR"},
	{0, "qoif", "QOI"},
	{0, "DDS ", "DDS"},
	{0, "farbfeld", "farbfeld"},
	{0, "BPG\xfb", "BPG"},
	{0, "FLIF", "FLIF"},
	{0, "\x8aMNG\r\n\x1a\n", "MNG"},
	{0, "\x8bJNG\r\n\x1a\n", "JNG"},
	{0, "AT&TFORM", "DjVu"},
	{0, "\xd7\xcd\xc6\x9a", "WMF"},
	{0, "II\xbc\x01", "JPEG XR"},
	{0, "FUJIFILMCCD-RAW", "Fujifilm raw"},
	{0, "IIRO", "Olympus raw"},
	{0, "IIU\x00", "Panasonic raw"},
	{0, "SIMPLE  =", "FITS"},
	{128, "DICM", "DICOM"},
	{0, "ZISRAWFILE", "Zeiss CZI"},
	{0, "\x1a\x45\xdf\xa3", "WebM or Matroska video"},
	{0, "RIFF????AVI ", "AVI video"},
}

// pictureExtensions are formats whose first bytes say little.
var pictureExtensions = map[string]string{
	".heic": "HEIC", ".heif": "HEIF", ".avif": "AVIF", ".svg": "SVG", ".svgz": "SVG", ".tga": "TGA", ".pcx": "PCX", ".psb": "Photoshop (PSB)",
	".psd": "Photoshop (PSD)", ".pdf": "PDF", ".eps": "PostScript", ".ai": "Illustrator", ".jp2": "JPEG 2000", ".j2k": "JPEG 2000", ".jpx": "JPEG 2000",
	".jxl": "JPEG XL", ".jxr": "JPEG XR", ".ico": "icon (ICO)", ".cur": "cursor (CUR)", ".emf": "EMF", ".wmf": "WMF", ".xbm": "XBM", ".xpm": "XPM", ".ppm": "PPM", ".pgm": "PGM",
	".pbm": "PBM", ".pnm": "PNM", ".dng": "raw (DNG)", ".cr2": "Canon raw", ".cr3": "Canon raw", ".nef": "Nikon raw", ".arw": "Sony raw",
	".orf": "Olympus raw", ".rw2": "Panasonic raw", ".raf": "Fujifilm raw", ".pef": "Pentax raw", ".exr": "OpenEXR", ".hdr": "Radiance HDR",
	".dcm": "DICOM", ".fits": "FITS", ".nii": "NIfTI", ".czi": "Zeiss CZI", ".nd2": "Nikon ND2", ".lif": "Leica LIF", ".mp4": "MP4 video", ".mov": "QuickTime video",
	".avi": "AVI video",
}

// Picture returns the name of the format of a file that begins with head, such as "HEIC", if it
// is a picture that package imagefile does not read, and "" if it is something else.
func Picture(head []byte, path string) string {
	for _, f := range pictures {
		if f.matches(head) {
			return f.what
		}
	}
	if text := bytes.TrimSpace(head); (bytes.HasPrefix(text, []byte("<?xml")) || bytes.HasPrefix(text, []byte("<!--")) || bytes.HasPrefix(text, []byte("<!DOCTYPE svg"))) && bytes.Contains(text, []byte("<svg")) {
		return "SVG"
	}
	return pictureExtensions[strings.ToLower(filepath.Ext(path))]
}
