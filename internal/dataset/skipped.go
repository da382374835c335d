package dataset

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/imagefile"
	"github.com/spike-by-spike/sbs/internal/sniff"
)

// warnSkipped warns about the files in a folder of images, and in its class folders, that are
// not images.
func (o Options) warnSkipped(folder string, files []string) {
	files = slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		return isLitter(file) || filepath.Clean(file) == filepath.Clean(o.Labels)
	})
	if len(files) == 0 {
		return
	}
	subject := fmt.Sprintf("%d files in %s were", len(files), folder)
	if len(files) == 1 {
		subject = fmt.Sprintf("1 file in %s was", folder)
	}
	pictures, others := sorted(folder, files) // pictures first: they may be missed most
	o.warn(fmt.Sprintf("%s skipped: %s", subject, list(append(pictures, others...))))
}

// isLitter reports whether a file is one that Windows puts into folders of pictures.
func isLitter(file string) bool {
	name := strings.ToLower(filepath.Base(file))
	return name == "thumbs.db" || name == "desktop.ini"
}

// unreadable describes the pictures of other formats among files for an error about a folder
// without images. It returns "" if there are none.
func unreadable(folder string, files []string) string {
	pictures, _ := sorted(folder, files)
	if len(pictures) == 0 {
		return ""
	}
	return fmt.Sprintf(" that can be read (but %s; save such pictures as PNG with another program)", list(pictures))
}

// sorted divides files into pictures of other formats, with the names of the formats, and others.
// The names are relative to a folder.
func sorted(folder string, files []string) (pictures, others []string) {
	const most = 1000 // files to look into
	for i, file := range files {
		name, err := filepath.Rel(folder, file)
		if err != nil {
			name = file
		}
		format := ""
		if i < most {
			format = otherPicture(file)
		}
		if format == "" {
			others = append(others, name)
			continue
		}
		pictures = append(pictures, fmt.Sprintf("%s (%s)", name, format))
	}
	return pictures, others
}

// otherPicture returns the format of a file that is a picture but cannot be read, "" if it is
// something else.
func otherPicture(path string) string {
	head, err := sniff.ReadHead(path)
	if err != nil {
		return ""
	}
	if imagefile.Known(head) {
		return "a picture without the extension of one"
	}
	return sniff.Picture(head, path)
}
