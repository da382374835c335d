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

// The parts of a data set. The name of a file, folder or array determines its part.
const (
	// All is the only file or folder, or the test set if there are several.
	All Subset = iota

	// Training is a file or folder that is named as a training set
	// (train-images-idx3-ubyte, TrainPatternStorage.npy, data_batch_1.bin to
	// data_batch_5.bin, x_train, a folder train). If there is no such file or folder,
	// Training is a file or folder that is named neither as a test set nor as a validation
	// set, such as a folder of class folders or the only file of a folder.
	Training

	// Test is a file or folder that is named as a test set (t10k-images-idx3-ubyte,
	// TestPatternStorage.npy, test_batch.bin, x_test, a folder test), or, if there is none,
	// as a validation set (a folder val, valid or validation, x_val).
	Test
)

// ErrNoSubset is wrapped by errors about a folder without the Subset.
var ErrNoSubset = errors.New("the folder lacks this part of the data set")

// includes reports whether files with a role belong to the subset if there are several.
func (s Subset) includes(r dataRole) bool {
	if s == Training {
		return r == trainingSet
	}
	return r == testSet
}

// missing returns an error that wraps ErrNoSubset.
func missing(folder string, s Subset) error {
	names, set, what := "train-images-idx3-ubyte, TrainPatternStorage.npy, data_batch_1.bin or data_batch_1", "train", "training"
	if s == Test {
		names, set, what = "t10k-images-idx3-ubyte, TestPatternStorage.npy, test_batch.bin or test_batch", "test, val or valid", "test"
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
	chosen := subset(paths, s)
	if len(chosen) == 0 && s != All {
		return "", missing(folder, s)
	}
	if len(chosen) != 1 {
		return "", several(folder, paths)
	}
	return chosen[0], nil
}

func several(folder string, paths []string) error {
	return fmt.Errorf("%s contains several files or folders of images, name one of them: %s", folder, list(paths))
}

// subset returns the names of part s of the data set.
func subset(names []string, s Subset) []string {
	of := func(roles ...dataRole) []string {
		for _, r := range roles {
			chosen := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return role(name) != r })
			if len(chosen) > 0 {
				return chosen
			}
		}
		return nil
	}
	switch {
	case s == Test:
		return of(testSet, validationSet)
	case s == Training:
		return of(trainingSet, otherSet)
	case len(names) > 1:
		return of(testSet, validationSet)
	}
	return names
}

// dataRole is the part of a data set that a name indicates.
type dataRole int

const (
	otherSet dataRole = iota
	trainingSet
	testSet
	validationSet
)

// role returns the part of a data set that a name indicates.
func role(path string) dataRole {
	w := words(path)
	has := func(is func(string) bool) bool { return slices.ContainsFunc(w, is) }
	switch {
	case has(func(w string) bool { return w == "t10k" || strings.HasPrefix(w, "test") }):
		return testSet
	case len(w) > 1 && w[0] == "data" && w[1] == "batch", has(func(w string) bool { return strings.HasPrefix(w, "train") }):
		return trainingSet
	case has(func(w string) bool { return w == "val" || strings.HasPrefix(w, "valid") }):
		return validationSet
	}
	return otherSet
}

// words returns the words of the last element of a path, in lower case.
func words(path string) []string {
	return strings.FieldsFunc(strings.ToLower(filepath.Base(path)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
