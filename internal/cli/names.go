package cli

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names replaces paths in texts by what the user gave. A process that reads copies of the files
// of a user shows the names of the originals. The zero value changes nothing.
type Names struct{ replacer *strings.Replacer }

// Name is the path of a file or folder, which must be absolute, and the argument of the user that
// it stands for.
type Name struct{ Path, Shown string }

// NewNames returns Names for paths and for the files in them.
func NewNames(names ...Name) Names {
	// The longest path first: train must not replace the beginning of train2.
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b Name) int { return cmp.Compare(len(b.Path), len(a.Path)) })
	var pairs []string
	for _, n := range names {
		folder := n.Path + string(os.PathSeparator)
		shown := strings.TrimSuffix(filepath.Join(n.Shown, "x"), "x") // the files in . have no prefix
		pairs = append(pairs,
			folder, shown, filepath.ToSlash(folder), filepath.ToSlash(shown),
			n.Path, n.Shown, filepath.ToSlash(n.Path), filepath.ToSlash(n.Shown))
	}
	return Names{strings.NewReplacer(pairs...)}
}

// Text replaces the paths in a text.
func (n Names) Text(text string) string {
	if n.replacer == nil {
		return text
	}
	return n.replacer.Replace(text)
}

// Error replaces the paths in the text of an error. It returns nil if err is nil.
func (n Names) Error(err error) error {
	if err == nil || n.replacer == nil {
		return err
	}
	return &namedError{err, n}
}

type namedError struct {
	err   error
	names Names
}

func (e *namedError) Error() string { return e.names.Text(e.err.Error()) }
func (e *namedError) Unwrap() error { return e.err }
