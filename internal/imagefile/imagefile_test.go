package imagefile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const maxPixels = 1 << 26

func file(t testing.TB, name string) []byte {
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return content
}

// expectation is a line of testdata/expected.txt.
type expectation struct {
	name      string
	refused   string // part of the error, "" if the file is read
	h, w      int
	tolerance int    // of each color, 0 to 255
	pixels    []byte // red, green, blue
}

func expectations(t testing.TB) []expectation {
	var all []expectation
	for line := range strings.Lines(string(file(t, "expected.txt"))) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		e := expectation{name: fields[0]}
		if fields[1] == "refused" {
			e.refused = fields[2]
			all = append(all, e)
			continue
		}
		_, err := fmt.Sscanf(fields[1], "%dx%d", &e.h, &e.w)
		require.NoError(t, err)
		e.tolerance, err = strconv.Atoi(fields[2])
		require.NoError(t, err)
		e.pixels, err = hex.DecodeString(fields[3])
		require.NoError(t, err)
		all = append(all, e)
	}
	require.Greater(t, len(all), 130)
	return all
}

// TestDecode_EqualsPillow checks that every file in testdata is decoded as Pillow decodes it,
// or refused by name.
func TestDecode_EqualsPillow(t *testing.T) {
	for _, e := range expectations(t) {
		t.Run(e.name, func(t *testing.T) {
			content := file(t, e.name)
			h, headerErr := ReadHeader(content, maxPixels)
			img, err := Decode(content, maxPixels)
			if e.refused != "" {
				require.ErrorContains(t, err, e.refused)
				require.ErrorContains(t, err, "save it as PNG")
				require.Nil(t, img)
				require.Equal(t, err, headerErr, "the header is refused for the same reason")
				return
			}
			require.NoError(t, err)
			require.NoError(t, headerErr)
			require.Equal(t, []int{e.h, e.w}, []int{h.Height, h.Width})
			b := img.Bounds()
			require.Equal(t, []int{e.h, e.w}, []int{b.Dy(), b.Dx()})
			for i := range e.h * e.w {
				r, g, bl, a := img.At(b.Min.X+i%e.w, b.Min.Y+i/e.w).RGBA()
				require.Equal(t, uint32(0xffff), a, "opaque")
				for c, v := range []uint32{r, g, bl} {
					require.InDelta(t, e.pixels[3*i+c], v>>8, float64(e.tolerance), "row %d, column %d, color %d", i/e.w, i%e.w, c)
				}
			}
		})
	}
}

// TestDecode_TestdataIsUsed checks that no file in testdata is forgotten.
func TestDecode_TestdataIsUsed(t *testing.T) {
	known := map[string]bool{"expected.txt": true, "make.py": true, "README.md": true}
	for _, e := range expectations(t) {
		known[e.name] = true
	}
	entries, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, e := range entries {
		if !e.IsDir() { // fuzzing adds a folder
			require.True(t, known[e.Name()], "%s is not in expected.txt", e.Name())
		}
	}
}

func TestReadHeader_KnowsGrayImages(t *testing.T) {
	for name, gray := range map[string]bool{
		"gray.png": true, "gray16.png": true, "gray-alpha.png": true, "gray-trns.png": true, "1.png": true, "gray2.png": true, "gray.jpg": true,
		"gray.bmp": true, "1.bmp": true, "4.bmp": true, "gray.tif": true, "white-g4-msb.tif": true, "white-16.tif": true,
		"rgb.png": false, "rgba.png": false, "palette4.png": false, "rgb.jpg": false, "cmyk-adobe.jpg": false, "palette.gif": false, "rgb.bmp": false,
		"rgb.webp": false, "palette.tif": false,
	} {
		h, err := ReadHeader(file(t, name), maxPixels)
		require.NoError(t, err, name)
		require.Equal(t, gray, h.Gray, name)
	}
}

func TestDecode_KeepsSixteenBits(t *testing.T) {
	for _, name := range []string{"gray16.png", "gray16.tif", "turn6-after.png"} {
		img, err := Decode(file(t, name), maxPixels)
		require.NoError(t, err)
		src, ok := img.(*image.Gray16)
		require.True(t, ok, name)
		low := false
		for i := 0; i < len(src.Pix); i += 2 {
			low = low || src.Pix[i] != src.Pix[i+1]
		}
		require.True(t, low, "the lower 8 bits are there")
	}
}

func TestDecode_TurnsEveryPixel(t *testing.T) {
	// 1 2 3
	// 4 5 6
	stored := &image.Gray{Pix: []byte{1, 2, 3, 4, 5, 6}, Stride: 3, Rect: image.Rect(0, 0, 3, 2)}
	for o, want := range map[orientation][]byte{
		1: {1, 2, 3, 4, 5, 6}, 2: {3, 2, 1, 6, 5, 4}, 3: {6, 5, 4, 3, 2, 1}, 4: {4, 5, 6, 1, 2, 3},
		5: {1, 4, 2, 5, 3, 6}, 6: {4, 1, 5, 2, 6, 3}, 7: {6, 3, 5, 2, 4, 1}, 8: {3, 6, 2, 5, 1, 4},
	} {
		src, ok := turn(stored, o).(*image.Gray)
		require.True(t, ok)
		require.Equal(t, want, src.Pix, "orientation %d", o)
		require.Equal(t, o.swaps(), src.Rect.Dx() == 2)
	}
}

func TestOrientation_IgnoresBrokenEXIF(t *testing.T) {
	good := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	require.Equal(t, orientation(6), orientationIn(good))
	for n := range 22 { // the whole entry is needed
		require.Equal(t, upright, orientationIn(good[:n]), "cut to %d bytes", n)
	}
	for i := range good {
		for _, v := range []byte{0, 1, 0x7f, 0xff} {
			bad := bytes.Clone(good)
			bad[i] = v
			o := orientationIn(bad)
			require.True(t, o >= 1 && o <= 8)
		}
	}
}

func TestFlatten_PutsTransparentPixelsOnWhite(t *testing.T) {
	r := image.Rect(3, 4, 5, 5) // an image need not start at 0, 0
	fill := func(img interface {
		image.Image
		Set(x, y int, c color.Color)
	},
	) image.Image {
		img.Set(3, 4, color.NRGBA{100, 150, 200, 51})
		img.Set(4, 4, color.NRGBA{0, 0, 0, 0})
		return img
	}
	palette := image.NewPaletted(r, color.Palette{color.NRGBA{100, 150, 200, 51}, color.Transparent})
	palette.Pix[1] = 1
	for name, img := range map[string]image.Image{
		"NRGBA": fill(image.NewNRGBA(r)), "RGBA": fill(image.NewRGBA(r)), "NRGBA64": fill(image.NewNRGBA64(r)), "RGBA64": fill(image.NewRGBA64(r)),
		"palette": palette,
	} {
		flat := Flatten(img)
		require.Equal(t, r, flat.Bounds(), name)
		for c, want := range []float64{224, 234, 244} { // 255 - 0.2 * (255 - v)
			r, g, b, a := flat.At(3, 4).RGBA()
			require.InDelta(t, want, float64([]uint32{r, g, b}[c])/257, 1, name)
			require.Equal(t, uint32(0xffff), a)
		}
		white, _ := color.NRGBAModel.Convert(flat.At(4, 4)).(color.NRGBA)
		require.Equal(t, color.NRGBA{255, 255, 255, 255}, white, name)
	}
	// Colors above their alpha, which a damaged file may have, do not wrap around.
	flat := Flatten(&image.RGBA{Pix: []byte{255, 200, 0, 100}, Stride: 4, Rect: image.Rect(0, 0, 1, 1)})
	require.Equal(t, color.RGBA{255, 255, 155, 255}, flat.At(0, 0))
}

func TestDecode_PlacesTheFirstFrameOfAGIFOnItsCanvas(t *testing.T) {
	frame := image.NewPaletted(image.Rect(1, 0, 2, 1), color.Palette{color.Gray{Y: 51}, color.Black})
	var b bytes.Buffer
	require.NoError(t, gif.EncodeAll(&b, &gif.GIF{
		Image: []*image.Paletted{frame, frame}, Delay: []int{0, 0},
		Config: image.Config{ColorModel: frame.Palette, Width: 2, Height: 2},
	}))
	img, err := Decode(b.Bytes(), maxPixels)
	require.NoError(t, err)
	for i, want := range []uint8{255, 51, 255, 255} {
		require.Equal(t, color.RGBA{want, want, want, 255}, img.At(i%2, i/2))
	}
}

// huge returns a PNG file whose header claims w x h pixels.
func huge(t testing.TB, w, h uint32) []byte {
	b := bytes.Clone(file(t, "gray.png"))
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestDecode_RefusesDamagedImages(t *testing.T) {
	old := formats
	t.Cleanup(func() { formats = old })
	formats = append(formats, format{magic: "PANIC", config: func(io.Reader) (image.Config, error) { panic("index out of range") }})
	gray := file(t, "gray.png")
	for text, content := range map[string][]byte{
		"this is a text (":          []byte("hello"),
		"this is an empty file":     nil,
		"EOF":                       gray[:len(gray)-20],
		"damaged: index out of":     []byte("PANIC"),
		"claims 16000x16000 pixels": huge(t, 16000, 16000),
		"pixels (height x width)":   huge(t, 1<<27, 1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		img, err := Decode(content, maxPixels)
		runtime.ReadMemStats(&after)
		require.ErrorContains(t, err, text)
		require.Nil(t, img)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	}
}

func TestDecode_DoesNotBlameTheVariantForDamage(t *testing.T) {
	for _, name := range []string{"gray.tif", "gray.bmp", "rgb.jpg", "rgb.webp", "gray.png"} {
		content := file(t, name)
		for n := 16; n < 40; n += 4 {
			_, err := Decode(content[:n], maxPixels)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "save it", "%s cut to %d bytes", name, n)
		}
	}
}

func TestDecode_NamesOtherFormats(t *testing.T) {
	for head, want := range map[string]string{
		"\x00\x00\x00\x18ftypheic":    "the format of the file is HEIC, which cannot be read: save it as PNG",
		"<svg>":                       "the format of the file is SVG, which cannot be read: save it as PNG",
		"<html>":                      "want a PNG, JPEG, GIF, BMP, TIFF or WebP file, but this is an HTML page",
		"version https://git-lfs.x\n": "but this is a Git LFS pointer",
		"":                            "but this is an empty file",
	} {
		require.False(t, Known([]byte(head)), want)
		_, err := Decode([]byte(head), maxPixels)
		require.ErrorContains(t, err, want)
	}
}

// A BMP with the masks after a header of 40 bytes is common.
func TestDecode_NamesMasksOfBMP(t *testing.T) {
	content := slices.Clone(file(t, "gray.bmp"))
	content[28], content[30] = 32, 3 // bits per pixel, compression
	_, err := Decode(content, maxPixels)
	require.ErrorContains(t, err, "a BMP with unusual masks of its colors")
}

func TestKnown_NeedsAFewBytes(t *testing.T) {
	for _, e := range expectations(t) {
		if e.refused == "" {
			content := file(t, e.name)
			require.True(t, Known(content[:HeadLength]), e.name)
			require.True(t, HasExtension(e.name))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range expectations(f) {
		f.Add(file(f, e.name))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		const limit = 1 << 12
		h, headerErr := ReadHeader(content, limit)
		img, err := Decode(content, limit)
		if err != nil {
			require.Nil(t, img)
			return
		}
		require.NoError(t, headerErr)
		require.Equal(t, []int{h.Height, h.Width}, []int{img.Bounds().Dy(), img.Bounds().Dx()})
		require.LessOrEqual(t, h.Height*h.Width, limit)
		switch src := img.(type) {
		case *image.Gray, *image.Gray16:
		case *image.RGBA:
			require.True(t, src.Opaque())
		case *image.RGBA64:
			require.True(t, src.Opaque())
		default:
			t.Errorf("a %T", img)
		}
	})
}

// A small file must not take much memory or time, whatever its tags and texts are.
func TestDecode_LimitsTheMemoryForTags(t *testing.T) {
	const entries = 1 << 15
	tiff := []byte("II*\x00\x08\x00\x00\x00\x00\x80")
	for i := range entries {
		entry := make([]byte, 12)
		binary.LittleEndian.PutUint16(entry, uint16(i/100)) // most tags occur often
		binary.LittleEndian.PutUint16(entry[2:], 3)
		binary.LittleEndian.PutUint32(entry[4:], maxValues)
		binary.LittleEndian.PutUint32(entry[8:], 8)
		tiff = append(tiff, entry...)
	}
	bomb := make([]byte, 1<<18)
	for i := range bomb {
		bomb[i] = ' '
	}
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, err := w.Write(bomb)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	text := append([]byte("Raw profile type exif\x00\x00"), z.Bytes()...)
	png := bytes.Clone(file(t, "gray.png")[:33])
	for range 1000 {
		png = binary.BigEndian.AppendUint32(png, uint32(len(text)))
		chunk := append([]byte("zTXt"), text...)
		png = binary.BigEndian.AppendUint32(append(png, chunk...), crc32.ChecksumIEEE(chunk))
	}
	png = append(png, file(t, "gray.png")[33:]...)
	for _, content := range [][]byte{tiff, png} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = Decode(content, maxPixels) // whatever it returns
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
	}
}
