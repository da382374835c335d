package dataset

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Subset is a part of a data set.
type Subset int

// The parts of a data set. The name of a file or folder determines its part.
const (
	// All is the only file or folder, or the test set if there are several.
	All Subset = iota

	// Training is a file or folder that is named as a training set
	// (train-images-idx3-ubyte, TrainPatternStorage.npy, data_batch_1.bin to
	// data_batch_5.bin, a folder train). If there is no such file or folder, Training is
	// a file or folder that is not named as a test set, such as a folder of class folders
	// or the only file of a folder.
	Training

	// Test is a file or folder that is named as a test set (t10k-images-idx3-ubyte,
	// TestPatternStorage.npy, test_batch.bin, a folder test).
	Test
)

// ErrNoSubset is wrapped by errors about a folder without the Subset.
var ErrNoSubset = errors.New("the folder lacks this part of the data set")

// missing returns an error that wraps ErrNoSubset.
func missing(folder string, s Subset) error {
	names, set, what := "train-images-idx3-ubyte, TrainPatternStorage.npy, data_batch_1.bin or data_batch_1", "train", "training"
	if s == Test {
		names, set, what = "t10k-images-idx3-ubyte, TestPatternStorage.npy, test_batch.bin or test_batch", "test", "test"
	}
	return &subsetError{fmt.Sprintf("%s contains no %s set (looked for %s, the first two also with .gz, and for a folder %s): "+
		"add it, or name its file or folder", folder, what, names, set)}
}

type subsetError struct{ text string }

func (e *subsetError) Error() string { return e.text }
func (e *subsetError) Unwrap() error { return ErrNoSubset }

// choose returns the path in a folder that is part s of the data set. It considers only
// the last element of each path.
func choose(folder string, paths []string, s Subset) (string, error) {
	is := func(want func(string) bool) []string {
		return slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return !want(path) })
	}
	chosen := paths
	switch {
	case s == Test:
		chosen = is(isTestSet)
	case s == Training:
		if chosen = is(isTrainingSet); len(chosen) == 0 {
			chosen = is(isOther)
		}
	case len(paths) > 1:
		chosen = is(isTestSet)
	}
	if len(chosen) == 0 && s != All {
		return "", missing(folder, s)
	}
	if len(chosen) != 1 {
		return "", fmt.Errorf("%s contains several files or folders of images, name one of them: %s", folder, list(paths))
	}
	return chosen[0], nil
}

// isTestSet reports whether a word of a name is t10k or begins with test, as in
// t10k-images-idx3-ubyte, test_batch.bin and TestPatternStorage.npy.
func isTestSet(path string) bool {
	return slices.ContainsFunc(words(path), func(w string) bool { return w == "t10k" || strings.HasPrefix(w, "test") })
}

// isTrainingSet reports whether a word of a name begins with train, or the name indicates
// a training batch of CIFAR-10.
func isTrainingSet(path string) bool {
	w := words(path)
	return len(w) > 1 && w[0] == "data" && w[1] == "batch" ||
		slices.ContainsFunc(w, func(w string) bool { return strings.HasPrefix(w, "train") })
}

// isOther reports whether a name indicates neither a test set nor a training set.
func isOther(path string) bool { return !isTestSet(path) && !isTrainingSet(path) }

// words returns the words of the last element of a path, in lower case.
func words(path string) []string {
	return strings.FieldsFunc(strings.ToLower(filepath.Base(path)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
