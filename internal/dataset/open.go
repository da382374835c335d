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

	"github.com/spike-by-spike/sbs/internal/imagefile"
	"github.com/spike-by-spike/sbs/internal/sniff"
)

const accepted = "pictures (PNG, JPEG, ...), images in a file (IDX, .npy, .npz, CSV, CIFAR-10) or a folder of these"

// kind is the format of a file.
type kind int

const (
	unknown      kind = iota
	plainText         // a text, such as one of labels
	picture           // an image file
	idxImages         // an IDX file of more than one dimension
	idxLabels         // an IDX file of one dimension
	npyArray          // an .npy file
	npzArchive        // an .npz file
	imageTable        // a text file with the pixels of an image in each row
	cifar             // a batch of CIFAR-10
	pickledCIFAR      // a batch of CIFAR-10 for Python
)

// openPath opens a file or a folder. Errors name the path.
func openPath(path string, opt Options) (part, labels, error) {
	path, member := splitMember(path)
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
	switch {
	case k == npzArchive:
		return openNPZ(path, member, opt)
	case member != "":
		return nil, labels{}, fmt.Errorf("%s: %w", path, describe(path, "an .npz file with the array "+member))
	}
	return openFile(path, k, opt)
}

// IsDivided reports whether a path can contain several parts of a data set: a folder or an
// .npz file. Errors name the path.
func IsDivided(path string) (bool, error) {
	path, member := splitMember(path)
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	if !info.Mode().IsRegular() || member != "" {
		return info.IsDir(), nil
	}
	k, err := detect(path)
	return k == npzArchive, err
}

func openFile(path string, k kind, opt Options) (part, labels, error) {
	switch k {
	case picture:
		p, err := openPictures([]string{path}, opt)
		return p, labels{}, err
	case idxImages:
		return withLabels(path, opt, openIDX, idxLabelNames)
	case npyArray:
		return withLabels(path, opt, openPattern, npyLabelNames)
	case npzArchive:
		return openNPZ(path, "", opt)
	case imageTable:
		return openTable(path, opt)
	case cifar:
		return openCIFAR(path, opt)
	case pickledCIFAR:
		return openPickledCIFAR(path, opt)
	case idxLabels:
		return nil, labels{}, fmt.Errorf("%s contains labels: name the file of the images, whose labels are found automatically", path)
	}
	if format := otherPicture(path); format != "" {
		return nil, labels{}, fmt.Errorf("the format of %s is %s, which cannot be read: save it as PNG with another program", path, format)
	}
	return nil, labels{}, fmt.Errorf("%s: %w", path, describe(path, accepted))
}

// describe returns the error that a file is not what is wanted.
func describe(path, want string) error {
	head, err := sniff.ReadHead(path)
	if err != nil {
		return withoutPath(err)
	}
	if name := strings.ToLower(path); strings.HasSuffix(name, ".bin") && isBatchName(path) {
		info, err := os.Stat(path)
		if err == nil && info.Size() > 0 && info.Size()%cifarRecord != 0 {
			return fmt.Errorf("a batch of CIFAR-10 has %d bytes per image, but the file has %d: %d bytes are missing after image %d",
				cifarRecord, info.Size(), cifarRecord-info.Size()%cifarRecord, info.Size()/cifarRecord-1)
		}
	}
	return sniff.Error(want, head)
}

// The replacements that turn the name of a file of images into that of the file of their labels.
var (
	idxLabelNames = []string{"images", "labels", "idx3", "idx1", "idx4", "idx1"}
	npyLabelNames = []string{"PatternStorage", "LabelStorage", "images", "labels", "x_", "y_", "X_", "y_"}
)

// withLabels opens a file of images. Unless the options name a file of labels, it also
// reads the file of labels, whose name results from the replacements in rename.
func withLabels(path string, opt Options, open func(string, Options) (part, error), rename []string) (part, labels, error) {
	p, err := open(path, opt)
	if err != nil {
		return nil, labels{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	l, err := labelsBeside(path, opt, p, rename)
	if err != nil {
		return nil, labels{}, errors.Join(err, p.close())
	}
	return p, l, nil
}

func labelsBeside(path string, opt Options, p part, rename []string) (labels, error) {
	if opt.Labels != "" {
		return labels{}, nil
	}
	if file := fileOfLabels(path, rename); file != "" {
		return readLabels(file, p)
	}
	return labels{}, nil
}

// fileOfLabels returns the path of the file with the labels of the images in a file, or "" if there
// is none.
func fileOfLabels(path string, rename []string) string {
	folder, file := filepath.Split(path)
	name := strings.NewReplacer(rename...).Replace(file)
	if name == file {
		return ""
	}
	other := name + ".gz"
	if plain, ok := strings.CutSuffix(name, ".gz"); ok {
		other = plain
	}
	for _, name := range []string{name, other} {
		file := folder + name
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
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
	case imagefile.Known(head) && !packed:
		return picture, nil
	case bytes.HasPrefix(head, []byte("\x93NUMPY")):
		return npyArray, nil
	case strings.HasSuffix(name, ".bin") && !packed && isCIFAR(f):
		return cifar, nil
	case !packed && (sniff.IsNPZ(head) || sniff.IsZIP(head) && strings.HasSuffix(name, ".npz")):
		return npzArchive, nil
	case sniff.IsPickle(head) && !packed:
		return pickledCIFAR, nil
	case bytes.HasPrefix(head, []byte{0, 0}) && len(head) >= 4 && head[2] >= 8 && head[2] <= 14 && head[3] >= 1:
		if head[3] == 1 {
			return idxLabels, nil
		}
		return idxImages, nil
	case imagefile.HasExtension(path):
		return picture, nil // a damaged one
	case isImageTable(head):
		return imageTable, nil
	case sniff.IsText(head):
		return plainText, nil
	}
	return unknown, nil
}

// start returns the first bytes of a file, decompressed if it is compressed with gzip.
func start(f io.Reader) (head []byte, packed bool, err error) {
	r := bufio.NewReaderSize(f, sniff.Length)
	if packed = isGzip(r); packed {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, true, err
		}
		r = bufio.NewReaderSize(z, sniff.Length)
	}
	head, err = r.Peek(sniff.Length)
	if err == io.EOF || packed && errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // a short file, or one whose end is missing, which its reader reports
	}
	return head, packed, err
}

func isGzip(r *bufio.Reader) bool {
	magic, err := r.Peek(2)
	return err == nil && magic[0] == 0x1f && magic[1] == 0x8b
}
