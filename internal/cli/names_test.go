package cli

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames_ShowWhatTheUserGave(t *testing.T) {
	n := NewNames(Name{"/w/1/home/u/images", "images/"}, Name{"/w/2/home/u", "."}, Name{"/w/3/data/m.onnx", "../data/m.onnx"})
	for text, want := range map[string]string{
		"/w/1/home/u/images":            "images/",
		"/w/1/home/u/images/0/a.png: x": "images/0/a.png: x",
		"/w/2/home/u/0/a.png":           "0/a.png",
		"/w/2/home/u: empty":            ".: empty",
		"/w/3/data/m.onnx: /w/3":        "../data/m.onnx: /w/3",
	} {
		require.Equal(t, want, n.Text(text))
	}
	err := n.Error(&fs.PathError{Op: "open", Path: "/w/3/data/m.onnx", Err: fs.ErrNotExist})
	require.EqualError(t, err, "open ../data/m.onnx: file does not exist")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, n.Error(nil))
	same := errors.New("x")
	require.Equal(t, same, Names{}.Error(same))
	require.Equal(t, "/w/1", Names{}.Text("/w/1"))
}

// Shell completion gives folders with a slash, and the name of one may be the beginning of another.
func TestNames_OfPathsThatBeginWithEachOther(t *testing.T) {
	n := NewNames(Name{"/w/train", "train/"}, Name{"/w/train2", "train2/"}, Name{"/w/train/new", "./new"})
	for text, want := range map[string]string{
		"/w/train":         "train/",
		"/w/train/0/a.png": "train/0/a.png",
		"/w/train2":        "train2/",
		"/w/train2/a.png":  "train2/a.png",
		"/w/train/new":     "./new",
	} {
		require.Equal(t, want, n.Text(text))
	}
}
