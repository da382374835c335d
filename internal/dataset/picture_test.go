package dataset

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// gradient returns the image of 4x3 pixels in the WebP files of testdata.
func gradient() *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 4, 3))
	for y := range 3 {
		for x := range 4 {
			img.SetNRGBA(x, y, color.NRGBA{uint8(60 * x), uint8(100 * y), uint8(255 - 60*x), 255})
		}
	}
	return img
}

func encoded(t testing.TB, encode func(b *bytes.Buffer) error) []byte {
	var b bytes.Buffer
	require.NoError(t, encode(&b))
	return b.Bytes()
}

func file(t testing.TB, path string) []byte {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func TestOpen_ReadsEveryImageFormat(t *testing.T) {
	img := gradient()
	tests := []struct {
		name    string
		content []byte
		delta   float64
	}{
		{"png", encodePNG(t, img), 0},
		{"jpeg", encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, img, &jpeg.Options{Quality: 100}) }), 0.3},
		{"gif", encoded(t, func(b *bytes.Buffer) error { return gif.Encode(b, img, nil) }), 0.15},
		{"bmp", encoded(t, func(b *bytes.Buffer) error { return bmp.Encode(b, img) }), 0},
		{"tiff", encoded(t, func(b *bytes.Buffer) error { return tiff.Encode(b, img, nil) }), 0},
		{"tiff deflate", encoded(t, func(b *bytes.Buffer) error { return tiff.Encode(b, img, &tiff.Options{Compression: tiff.Deflate}) }), 0},
		{"webp lossless", file(t, "testdata/lossless.webp"), 0},
		{"webp lossy", file(t, "testdata/lossy.webp"), 0.3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The name of the file does not give its format.
			path := filepath.Join(write(t, map[string][]byte{"image.txt": test.content}), "image.txt")
			s, err := Open([]string{path}, Options{Size: Size{3, 3, 4}})
			require.NoError(t, err)
			m := s.At(0)
			require.NoError(t, m.Err)
			require.Equal(t, path, m.Name)
			require.Equal(t, Unlabeled, m.Label)
			want := make([]float32, 36)
			for i := range 12 {
				c := img.NRGBAAt(i%4, i/4)
				want[i], want[12+i], want[24+i] = float32(c.R)/255, float32(c.G)/255, float32(c.B)/255
			}
			require.InDeltaSlice(t, want, m.Pixels, test.delta)
			if test.delta == 0 {
				require.Equal(t, want, m.Pixels)
			}
		})
	}
}

func TestDecode_ConvertsColors(t *testing.T) {
	gray := encodePNG(t, &image.Gray{Pix: []byte{0, 51, 102, 255}, Stride: 2, Rect: image.Rect(0, 0, 2, 2)})
	deep := image.NewGray16(image.Rect(0, 0, 2, 1))
	deep.SetGray16(0, 0, color.Gray16{Y: 1})
	deep.SetGray16(1, 0, color.Gray16{Y: 40000})
	deepColor := image.NewNRGBA64(image.Rect(0, 0, 1, 1))
	deepColor.SetNRGBA64(0, 0, color.NRGBA64{R: 1000, G: 2000, B: 3000, A: 65535})
	colored, equal := image.NewNRGBA(image.Rect(0, 0, 2, 1)), image.NewNRGBA(image.Rect(0, 0, 2, 1))
	colored.SetNRGBA(0, 0, color.NRGBA{200, 100, 50, 255})
	equal.SetNRGBA(0, 0, color.NRGBA{7, 7, 7, 255})
	equal.SetNRGBA(1, 0, color.NRGBA{0, 0, 0, 51})
	tests := []struct {
		name    string
		content []byte
		opt     Options
		want    []float32
		err     string
	}{
		{"gray", gray, Options{Size: Size{1, 2, 2}}, []float32{0, 0.2, 0.4, 1}, ""},
		{"gray for three channels", gray, Options{Size: Size{3, 2, 2}}, nil, "the image is gray, but the network needs 3 channels: allow conversion (--resize"},
		{"gray repeated", gray, Options{Size: Size{3, 2, 2}, Resize: true}, []float32{0, 0.2, 0.4, 1, 0, 0.2, 0.4, 1, 0, 0.2, 0.4, 1}, ""},
		{"16 bits", encodePNG(t, deep), Options{Size: Size{1, 1, 2}}, []float32{1.0 / 65535, 40000.0 / 65535}, ""},
		{"16 bits of color", encodePNG(t, deepColor), Options{Size: Size{3, 1, 1}}, []float32{1000.0 / 65535, 2000.0 / 65535, 3000.0 / 65535}, ""},
		{"16 bits luma", encodePNG(t, deepColor), Options{Size: Size{1, 1, 1}, Resize: true}, []float32{1815.0 / 65535}, ""},
		{"equal colors on white", encodePNG(t, equal), Options{Size: Size{1, 1, 2}}, []float32{7.0 / 255, 0.8}, ""},
		{"equal colors for three channels", encodePNG(t, equal), Options{Size: Size{3, 1, 2}}, []float32{7.0 / 255, 0.8, 7.0 / 255, 0.8, 7.0 / 255, 0.8}, ""},
		{"color", encodePNG(t, colored), Options{Size: Size{1, 1, 2}}, nil, "the image has colors, but the network needs 1 channel: allow conversion to gray (--resize"},
		{"luma", encodePNG(t, colored), Options{Size: Size{1, 1, 2}, Resize: true}, []float32{124.0 / 255, 1}, ""}, // 59.8 + 58.7 + 5.7 = 124.2
		{"size", gray, Options{Size: Size{1, 3, 5}}, nil, "the image has 2x2 pixels, but the network needs 3x5 (height x width): allow scaling (--resize"},
		{"channels", gray, Options{Size: Size{2, 2, 2}}, nil, "images have 1 or 3 channels, but the network needs 2"},
		{"too high", encodePNG(t, image.NewGray(image.Rect(0, 0, 1, 20000))), Options{Size: Size{1, 1, 1000}, Resize: true}, nil, "20000 pixels high"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pixels, err := decode(test.content, test.opt, maxPixels)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, pixels)
		})
	}
}

func TestDecode_ScalesImages(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 300, 200))
	for y := range 200 {
		for x := range 300 {
			img.SetRGBA(x, y, color.RGBA{uint8(x * 255 / 299), 128, uint8((x + y) % 2 * 255), 255})
		}
	}
	pixels, err := decode(encodePNG(t, img), Options{Size: Size{3, 4, 6}, Resize: true}, maxPixels)
	require.NoError(t, err)
	require.Len(t, pixels, 3*4*6)
	for i := range 24 {
		require.InDelta(t, (float64(i%6)+0.5)/6, pixels[i], 0.01)
		require.InDelta(t, 128.0/255, pixels[24+i], 1e-4)
		require.InDelta(t, 0.5, pixels[48+i], 0.01, "a fine pattern becomes its mean")
	}
	// A white image stays white.
	white := image.NewGray(image.Rect(0, 0, 5, 7))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	pixels, err = decode(encodePNG(t, white), Options{Size: Size{1, 3, 3}, Resize: true}, maxPixels)
	require.NoError(t, err)
	require.Equal(t, []float32{1, 1, 1, 1, 1, 1, 1, 1, 1}, pixels)
}

// testImage returns the path of a test image of package imagefile.
func testImage(name string) string { return filepath.Join("..", "imagefile", "testdata", name) }

func TestOpen_TurnsImages(t *testing.T) {
	for _, name := range []string{"turn6.jpg", "turn6.png", "turn6.webp", "turn6.tif", "turn8-old.png"} {
		s, err := Open([]string{testImage(name)}, Options{})
		require.NoError(t, err)
		size := s.Size()
		require.Equal(t, []int{7, 5}, []int{size.Height, size.Width}, "%s has 5x7 pixels before it is turned", name)
		require.NoError(t, s.At(0).Err)

		s, err = Open([]string{testImage(name)}, Options{Size: Size{size.Channels, 5, 7}})
		require.NoError(t, err)
		require.ErrorContains(t, s.At(0).Err, "the image has 7x5 pixels, but the network needs 5x7")
	}
}

// hugePNG returns a PNG file whose header claims w x h pixels.
func hugePNG(t testing.TB, w, h uint32) []byte {
	b := grayPNG(t, 0)
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestDecode_RefusesDamagedImages(t *testing.T) {
	gray := grayPNG(t, 1)
	for text, content := range map[string][]byte{
		"want a PNG":                []byte("hello"),
		"EOF":                       gray[:len(gray)/2],
		"claims 16000x16000 pixels": hugePNG(t, 16000, 16000),
		"pixels (height x width)":   hugePNG(t, 1<<27, 1),
	} {
		opt := small
		opt.Resize = true
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		pixels, err := decode(content, opt, maxPixels)
		runtime.ReadMemStats(&after)
		require.ErrorContains(t, err, text)
		require.Nil(t, pixels)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	}
	for n := range gray {
		_, err := decode(gray[:n], small, maxPixels)
		if n < len(gray)-12 { // the last chunk only marks the end of the file
			require.Error(t, err, "cut to %d bytes", n)
		}
	}

	folder := write(t, map[string][]byte{"1.png": gray, "2.png": gray[:50], "3.png": nil, "4.png": grayPNG(t, 4)})
	s, err := Open([]string{folder}, small)
	require.NoError(t, err)
	for i, bad := range []bool{false, true, true, false} {
		m := s.At(i)
		require.Equal(t, bad, m.Err != nil)
		if bad {
			require.True(t, strings.HasPrefix(m.Err.Error(), m.Name+": "), m.Err)
		}
	}
	// A damaged file that is named directly is an image, too.
	s, err = Open([]string{filepath.Join(folder, "3.png")}, small)
	require.NoError(t, err)
	require.Error(t, s.At(0).Err)

	large := filepath.Join(folder, "4.png")
	require.NoError(t, os.Truncate(large, maxFile+1))
	_, err = readAll(large)
	require.ErrorContains(t, err, "has 268435457 bytes, want at most 268435456")
}

func FuzzDecode(f *testing.F) {
	img := gradient()
	f.Add(encodePNG(f, img))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return jpeg.Encode(b, img, nil) }))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return gif.Encode(b, img, nil) }))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return bmp.Encode(b, img) }))
	f.Add(encoded(f, func(b *bytes.Buffer) error { return tiff.Encode(b, img, nil) }))
	f.Add(file(f, "testdata/lossless.webp"))
	f.Add(file(f, "testdata/lossy.webp"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, size := range []Size{{1, 3, 4}, {3, 2, 2}} {
			pixels, err := decode(content, Options{Size: size, Resize: true}, 1<<12)
			if err != nil {
				require.Nil(t, pixels)
				continue
			}
			require.Len(t, pixels, size.len())
			for _, v := range pixels {
				require.True(t, v >= 0 && v <= 1)
			}
		}
	})
}

// Decode returns a gray picture with transparent pixels as colors.
func TestOpen_NeedsPermissionToRepeatGray(t *testing.T) {
	for _, name := range []string{"gray.png", "gray-alpha.png"} {
		path := filepath.Join("../imagefile/testdata", name)
		s, err := Open([]string{path}, Options{})
		require.NoError(t, err)
		size := s.Size()
		require.Equal(t, 1, size.Channels, name)
		size.Channels = 3
		s, err = Open([]string{path}, Options{Size: size})
		require.NoError(t, err)
		require.ErrorIs(t, s.At(0).Err, errGray)
		s, err = Open([]string{path}, Options{Size: size, Resize: true})
		require.NoError(t, err)
		require.NoError(t, s.At(0).Err)
	}
}
