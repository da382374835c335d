package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Split returns the path of the file or folder that a path names. It is shorter than the path of an
// array in an .npz file, such as mnist.npz:x_test.
func Split(path string) (file string) {
	file, _ = splitMember(path)
	return file
}

// maxFilesDepth is the number of levels of folders that Files lists, more than Open looks at.
const maxFilesDepth = 8

// Files returns the paths of the files that Open may read for a path: all files in a folder, or a
// file and the files with its labels. Broken links to pictures, which Open reports, are among them.
func Files(path string) ([]string, error) {
	path = Split(path)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	if info.IsDir() {
		return filesBelow(path, maxFilesDepth)
	}
	files := []string{path}
	for _, rename := range [][]string{idxLabelNames, npyLabelNames} {
		if l := fileOfLabels(path, rename); l != "" && !slices.Contains(files, l) {
			files = append(files, l)
		}
	}
	return files, nil
}

func filesBelow(folder string, depth int) ([]string, error) {
	l, err := readFolder(folder)
	if err != nil {
		return nil, err
	}
	files := slices.Concat(l.pictures, l.files, l.broken)
	if depth == 0 {
		return files, nil
	}
	for _, sub := range l.folders {
		below, err := filesBelow(filepath.Clean(sub), depth-1)
		if err != nil {
			return nil, err
		}
		files = append(files, below...)
	}
	return files, nil
}
