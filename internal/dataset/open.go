package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const accepted = "want PNG, JPEG, GIF, BMP, TIFF or WebP files, IDX or .npy files of images (also .gz), " +
	"batches of CIFAR-10 (data_batch_1.bin or data_batch_1), or folders of these"

// kind is the format of a file.
type kind int

const (
	unknown      kind = iota
	picture           // an image file
	idxImages         // an IDX file of more than one dimension
	idxLabels         // an IDX file of one dimension
	npyArray          // an .npy file
	cifar             // a batch of CIFAR-10
	pickledCIFAR      // a batch of CIFAR-10 for Python
)

// openPath opens a file or a folder. Errors name the path.
func openPath(path string, opt Options) (part, labels, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	if info.IsDir() {
		return openFolder(path, opt)
	}
	if !info.Mode().IsRegular() {
		return nil, labels{}, fmt.Errorf("%s is neither a regular file nor a folder", path)
	}
	k, err := detect(path)
	if err != nil {
		return nil, labels{}, err
	}
	return openFile(path, k, opt)
}

func openFile(path string, k kind, opt Options) (part, labels, error) {
	switch k {
	case picture:
		p, err := openPictures([]string{path}, opt)
		return p, labels{}, err
	case idxImages:
		return withLabels(path, opt, openIDX, "images", "labels", "idx3", "idx1", "idx4", "idx1")
	case npyArray:
		return withLabels(path, opt, openPattern, "PatternStorage", "LabelStorage")
	case cifar:
		return openCIFAR(path, opt)
	case pickledCIFAR:
		return openPickledCIFAR(path, opt)
	case idxLabels:
		return nil, labels{}, fmt.Errorf("%s contains labels: name the file of the images, whose labels are found automatically", path)
	}
	return nil, labels{}, fmt.Errorf("%s contains no images: %s", path, accepted)
}

// withLabels opens a file of images. Unless the options name a file of labels, it also
// reads the file of labels, whose name results from the replacements in rename.
func withLabels(path string, opt Options, open func(string, Options) (part, error), rename ...string) (part, labels, error) {
	p, err := open(path, opt)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	l, err := labelsBeside(path, opt, p.len(), rename)
	if err != nil {
		return nil, labels{}, errors.Join(err, p.close())
	}
	return p, l, nil
}

func labelsBeside(path string, opt Options, n int, rename []string) (labels, error) {
	folder, file := filepath.Split(path)
	name := strings.NewReplacer(rename...).Replace(file)
	if opt.Labels != "" || name == file {
		return labels{}, nil
	}
	other := name + ".gz"
	if plain, ok := strings.CutSuffix(name, ".gz"); ok {
		other = plain
	}
	for _, name := range []string{name, other} {
		file := folder + name
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			continue
		}
		return readLabels(file, n)
	}
	return labels{}, nil
}

// detect returns the kind of a regular file. Errors name the path.
func detect(path string) (kind, error) {
	f, err := os.Open(path)
	if err != nil {
		return unknown, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	head, packed, err := start(f)
	if err != nil {
		return unknown, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	switch name := strings.ToLower(path); {
	case findFormat(head) != nil && !packed:
		return picture, nil
	case bytes.HasPrefix(head, []byte("\x93NUMPY")):
		return npyArray, nil
	case strings.HasSuffix(name, ".bin") && !packed && isCIFAR(f):
		return cifar, nil
	case isPickledCIFAR(path, head) && !packed:
		return pickledCIFAR, nil
	case bytes.HasPrefix(head, []byte{0, 0}) && len(head) >= 4 && head[2] >= 8 && head[2] <= 14 && head[3] >= 1:
		if head[3] == 1 {
			return idxLabels, nil
		}
		return idxImages, nil
	case isPictureName(path):
		return picture, nil // a damaged one
	}
	return unknown, nil
}

// start returns the first bytes of a file, decompressed if it is compressed with gzip.
func start(f io.Reader) (head []byte, packed bool, err error) {
	r := bufio.NewReader(f)
	if packed = isGzip(r); packed {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, true, err
		}
		r = bufio.NewReader(z)
	}
	head, err = r.Peek(16)
	if err == io.EOF {
		err = nil // a short file
	}
	return head, packed, err
}

func isGzip(r *bufio.Reader) bool {
	magic, err := r.Peek(2)
	return err == nil && magic[0] == 0x1f && magic[1] == 0x8b
}
