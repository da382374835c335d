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

// The parts of a data set. Which part a file or folder is, is said by its name.
const (
	// All is the file or folder that is there; of several, the test set.
	All Subset = iota

	// Training is what is named as a training set (train-images-idx3-ubyte,
	// TrainPatternStorage.npy, data_batch_1.bin to 5, a folder train), or has no
	// name of that kind: a folder of class folders, the only file of a folder.
	Training

	// Test is what is named as a test set (t10k-images-idx3-ubyte,
	// TestPatternStorage.npy, test_batch.bin, a folder test).
	Test
)

// ErrNoSubset is the error about a folder that lacks the Subset.
var ErrNoSubset = errors.New("the folder lacks this part of the data set")

// missing returns an error that wraps ErrNoSubset.
func missing(folder string, s Subset) error {
	names, set, what := "train-images-idx3-ubyte, TrainPatternStorage.npy, data_batch_1.bin or data_batch_1", "train", "training"
	if s == Test {
		names, set, what = "t10k-images-idx3-ubyte, TestPatternStorage.npy, test_batch.bin or test_batch", "test", "test"
	}
	return &subsetError{fmt.Sprintf("%s holds no %s set (looked for %s, the first two also with .gz, and a folder %s): "+
		"put it there, or name the file or folder of the %s set itself", folder, what, names, set, what)}
}

type subsetError struct{ text string }

func (e *subsetError) Error() string { return e.text }
func (e *subsetError) Unwrap() error { return ErrNoSubset }

// choose returns the one of the paths in a folder that is the part s of the data
// set. The names that it looks at are those of the paths, without the folder.
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
		return "", fmt.Errorf("%s holds several files or folders of images, name one of them: %s", folder, list(paths))
	}
	return chosen[0], nil
}

// isTestSet reports whether a word of a name is t10k or begins with test:
// t10k-images-idx3-ubyte, test_batch.bin, TestPatternStorage.npy.
func isTestSet(path string) bool {
	return slices.ContainsFunc(words(path), func(w string) bool { return w == "t10k" || strings.HasPrefix(w, "test") })
}

// isTrainingSet reports whether a word of a name begins with train, or the name
// is that of a batch of CIFAR-10.
func isTrainingSet(path string) bool {
	w := words(path)
	return len(w) > 1 && w[0] == "data" && w[1] == "batch" ||
		slices.ContainsFunc(w, func(w string) bool { return strings.HasPrefix(w, "train") })
}

// isOther reports whether a name does not say which set it is.
func isOther(path string) bool { return !isTestSet(path) && !isTrainingSet(path) }

// words returns the words of a path's last name, in lower case.
func words(path string) []string {
	return strings.FieldsFunc(strings.ToLower(filepath.Base(path)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
