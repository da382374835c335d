package sniff

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func zipOf(t testing.TB, name string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, err := z.Create(name)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func gzipOf(t testing.TB, content string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func TestDescribe_NamesFormats(t *testing.T) {
	tests := []struct{ name, head, want string }{
		{"empty", "", "an empty file"},
		{"zeros", strings.Repeat("\x00", 100), "a file of zero bytes"},
		{"white space", " \n\n", "a file of white space"},
		{"LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", `a Git LFS pointer instead of the file itself: run "git lfs pull"`},
		{"npy", "\x93NUMPY\x01\x00", "an .npy file"},
		{"npz", zipOf(t, "arr_0.npy"), "an .npz archive of NumPy arrays"},
		{"PyTorch", zipOf(t, "archive/data.pkl"), "a PyTorch file (torch.save)"},
		{"old PyTorch", "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file (torch.save)"},
		{"PyTorch tensor pickle", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00", "a PyTorch file"},
		{"Office", zipOf(t, "[Content_Types].xml"), "an Office document"},
		{"zip", zipOf(t, "a.txt"), "a ZIP archive"},
		{"pickle 4", "\x80\x04\x95\x10\x00", "a Python pickle"},
		{"pickle 0", "(dp0\nS'a'\n", "a Python pickle"},
		{"pickle 1", "}q\x00(", "a Python pickle"},
		{"safetensors", "\x10\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\"", "a safetensors file"},
		{"HDF5", "\x89HDF\r\n\x1a\n", "an HDF5 file"},
		{"MATLAB", "MATLAB 5.0 MAT-file, Platform", "a MATLAB file"},
		{"ONNX", "\x08\x08\x12\x07pytorch", "an ONNX model"},
		{"HTML", "\n<!DOCTYPE html>\n<html>", "an HTML page"},
		{"HTML without a doctype", "<HTML lang=en><HEAD>", "an HTML page"},
		{"HTML gz", gzipOf(t, "<html><body>404"), "a file compressed with gzip, which contains an HTML page"},
		{"gz twice", gzipOf(t, gzipOf(t, "x")), "a file compressed with gzip twice"},
		{"tar", strings.Repeat("a", 100) + strings.Repeat("\x00", 157) + "ustar", "a tar archive"},
		{"tar.gz", gzipOf(t, strings.Repeat("a", 100)+strings.Repeat("\x00", 157)+"ustar"), "a file compressed with gzip, which contains a tar archive"},
		{"damaged gz", "\x1f\x8b\x00\x00", "a damaged gzip file"},
		{"xz", "\xfd7zXZ\x00", "a file compressed with xz"},
		{"HEIC", "\x00\x00\x00\x18ftypheic", "a file in the format HEIC"},
		{"AVIF", "\x00\x00\x00\x18ftypavif", "a file in the format AVIF"},
		{"PNG", "\x89PNG\r\n\x1a\n", "a PNG picture"},
		{"PDF", "%PDF-1.7", "a file in the format PDF"},
		{"SVG", "<?xml version='1.0'?>\n<svg>", "a file in the format SVG"},
		{"storage error", "<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "an XML error message"},
		{"JSON", "{\"a\": 1}", `a JSON text ("{\"a\": 1}")`},
		{"UTF-16", "\xff\xfe{\x00", "a text in UTF-16"},
		{"text", "label\n7\n", `a text ("label")`},
		{"pickle 1 of Python 2", "}q\x01(U", "a Python pickle"},
		{"Windows-1252", "Name;Gr\xf6\xdfe\n\xc4pfel;3\n", `a text that is not in UTF-8 ("Name;Gr\xf6\xdfe\n`},
		{"cut character", "caf\xc3", `a text ("caf")`},
		{"unknown", "\x01\x02\x03", `an unknown format (it begins with "\x01\x02\x03")`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Contains(t, Describe([]byte(test.head)), test.want)
			require.ErrorContains(t, Error("an .npy file", []byte(test.head)), "want an .npy file, but this is "+test.want)
		})
	}
}

func TestIsText(t *testing.T) {
	for text, want := range map[string]bool{
		"1\n2\n": true, "cat": true, "[1, 2]": true, "\ufeffa,b\n": true, "": false, "\x00\x01": false, "<html>": false,
		"version https://git-lfs.github.com/spec/v1": false, "\xff\xfe1\x00": false,
	} {
		require.Equal(t, want, IsText([]byte(text)), "%q", text)
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if Describe(head) == "" {
			t.Error("no description")
		}
	})
}

func TestPicture_NamesFormats(t *testing.T) {
	for want, head := range map[string]string{
		"HEIC": "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIF": "\x00\x00\x00\x18ftypmif1", "AVIF": "\x00\x00\x00\x1cftypavif",
		"JPEG 2000": "\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG XL": "\xff\x0a\xfa\x7f", "Photoshop (PSD)": "8BPS\x00\x01", "PDF": "%PDF-1.7",
		"SVG": "<?xml version=\"1.0\"?>\n<!-- drawn -->\n<svg xmlns=", "BigTIFF": "II+\x00\x08\x00", "icon (ICO)": "\x00\x00\x01\x00\x01\x00",
		"PGM": "P5\n28 28\n255\n", "DICOM": strings.Repeat("\x00", 128) + "DICM", "MP4 video": "\x00\x00\x00\x18ftypisom",
	} {
		require.Equal(t, want, Picture([]byte(head), "x.png"))
		require.Contains(t, Describe([]byte(head)), "a file in the format "+want)
	}
	require.Equal(t, "TGA", Picture([]byte("\x00\x00\x02\x01"), "a/b.TGA"))
	require.Empty(t, Picture([]byte("a text about <svg"), "notes.txt"))
	require.Empty(t, Picture(nil, "x"))
}
