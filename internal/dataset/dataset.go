// Package dataset reads labeled images from image files and from the array files of
// MNIST, CIFAR-10 and PyTorch-SbS: one image at a time (Source), or a whole training or
// test set (Samples), which an Augmentation varies.
//
// A path can name
//
//   - a PNG, JPEG, GIF, BMP, TIFF or WebP file: the first frame of an animation, turned as
//     the orientation tag says, with transparent pixels on white
//   - a folder of such files, or of one folder of such files per class
//   - an IDX file of images (the format of MNIST)
//   - an .npy file of images: (n, height, width), (n, height, width, channels),
//     (n, channels, height, width) or (n, pixels), or of one image
//   - an .npz file with such an array, or one of its arrays: mnist.npz:x_test
//   - a text file with the pixels of an image in each row (CSV, numpy.savetxt, Kaggle)
//   - a batch of CIFAR-10, in the binary version (data_batch_1.bin) or the version for
//     Python (data_batch_1)
//   - a folder that contains one of these files, or several of which one is the Subset
//   - a folder with folders for the training, test and validation set, each with any of
//     the above
//   - a folder in which only one folder, up to three levels down, contains any of the above
//
// IDX, .npy and text files may be compressed with gzip. The content of a file determines its
// format; the name matters only if the content is ambiguous.
//
// The label of an image is the name of its class folder, or a number in the same file
// (CIFAR-10, .npz, Kaggle) or in a second file in the same folder. The name of the second file is the
// name of the first file with "labels" instead of "images" and "idx1" instead of "idx3"
// (IDX), or "LabelStorage", "labels" or "y_" instead of "PatternStorage", "images" or "x_"
// (.npy).
package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"

	"github.com/spike-by-spike/sbs/internal/metadata"
)

// Size is the size of an image.
type Size struct{ Channels, Height, Width int }

// String returns the size as "1x28x28".
func (s Size) String() string { return fmt.Sprintf("%dx%dx%d", s.Channels, s.Height, s.Width) }

func (s Size) len() int { return s.Channels * s.Height * s.Width }

// Unlabeled is the label of an image whose class is unknown.
const Unlabeled = -1

// Image is one image of a Source.
type Image struct {
	// Name is the path of an image file. For an image in a file with many images, it is
	// the name of the file with the number of the image: "t10k-images-idx3-ubyte[17]".
	Name string

	// Label is the number of the class, or Unlabeled.
	Label int

	// Pixels holds the values from 0 to 1, channel by channel, row by row. The values in
	// the file are divided by the largest value of the format, 255 or 65535. The values
	// of an .npy file are divided by the largest value in the file, as in PyTorch-SbS.
	Pixels []float32

	// Inverted is true if the pixels were inverted, by Options.Invert.
	Inverted bool

	// Blank is true for a picture, not from an array, in which all pixels have nearly the same value.
	Blank bool

	// Err is the reason why the image could not be read. It starts with the name. Pixels
	// is nil then. Other images are not affected.
	Err error
}

// Source is a sequence of images. It is safe for concurrent use: goroutines that call At
// decode images in parallel.
type Source interface {
	// Len returns the number of images.
	Len() int

	// Size returns the size of every image.
	Size() Size

	// Classes returns the names of the classes in the order of the labels, nil if they
	// are unknown.
	Classes() []string

	// Warnings returns sentences about what Open left out.
	Warnings() []string

	// Name and Label return those of image i, from 0 to Len()-1, without reading the image.
	Name(i int) string
	Label(i int) int

	// At reads image i, from 0 to Len()-1. The Source does not keep the image.
	At(i int) Image

	// Close closes the files. Images cannot be read afterwards.
	Close() error
}

// Options controls Open.
type Options struct {
	// Size is the size of all images of the Source. Images of another size are an error
	// unless Resize is set. The zero value means the size of the first image.
	Size Size

	// Subset is the part of a data set to read from a folder. It is ignored for a file.
	Subset Subset

	// Resize scales images to Size without keeping the aspect ratio, converts colors to
	// gray (ITU-R 601), and repeats gray for three channels.
	Resize bool

	// Invert says which images are inverted, and Borders describes the images that the
	// network was trained with, for InvertAuto; nil if they are unknown.
	Invert  Invert
	Borders *metadata.Borders

	// Classes holds the names of the network's classes in the order of their labels, nil
	// if they are unknown. The names of class folders and in label files must be all
	// numbers, which are labels, or all in Classes. If Classes is nil, they may be any
	// names, and their labels are their positions in natural order. Two spellings of one
	// number, such as 1 and 01, are an error.
	Classes []string

	// NumClasses is the number of the network's classes, 0 if it is unknown. If Classes
	// is nil, there must be as many different names: if some classes were absent, the
	// positions of the others would change.
	NumClasses int

	// Labels is a file with the labels of all images, which replaces all others: an IDX,
	// .npy or text file (which may be compressed with gzip), or an .npz file, or one of its
	// arrays (mnist.npz:y_test). A text file has a number or the name of a class in each
	// line, in the order of the images, or columns with the file or the number of an image
	// and its label.
	Labels string

	warn func(text string) // adds a warning to the Source
}

// maxPixels bounds the pixels of one image. A decoder needs up to 8 bytes per pixel, and as much
// again for an image without transparent pixels and for a turned one.
const maxPixels = 1 << 26

// Open opens files and folders. The images of a folder are in natural order (2.png before
// 10.png), and the folders and files in the order of paths. Open ignores hidden files,
// and in a folder of images all files without the extension of an image. Images in
// folders below class folders are an error. Errors name the file. They wrap
// fs.ErrNotExist if the file does not exist, and ErrNoSubset if a folder does not contain
// the Subset.
func Open(paths []string, opt Options) (Source, error) {
	s := &set{}
	if err := s.open(paths, opt); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// part is the sequence of the images of one path. Errors do not name the image.
type part interface {
	len() int
	size() Size
	name(i int) string
	pixels(i int) ([]float32, error)
	close() error
}

// joined is a sequence of parts.
type joined struct {
	parts []part
	ends  []int // number of images in each part and those before it
}

func (j *joined) add(p part) {
	j.parts = append(j.parts, p)
	j.ends = append(j.ends, j.len()+p.len())
}

func (j *joined) len() int {
	if len(j.ends) == 0 {
		return 0
	}
	return j.ends[len(j.ends)-1]
}

// find returns the part that has image i, and the number of the image in the part.
func (j *joined) find(i int) (part, int) {
	k := sort.SearchInts(j.ends, i+1)
	if k > 0 {
		i -= j.ends[k-1]
	}
	return j.parts[k], i
}

func (j *joined) size() Size { return j.parts[0].size() }

func (j *joined) name(i int) string {
	p, i := j.find(i)
	return p.name(i)
}

func (j *joined) pixels(i int) ([]float32, error) {
	p, i := j.find(i)
	return p.pixels(i)
}

func (j *joined) close() error {
	var errs []error
	for _, p := range j.parts {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// labels are the labels of the images of one path: numbers, names, or neither if they are
// unknown.
type labels struct {
	numbers []int
	names   []string
	folders bool     // the names are those of class folders
	classes []string // the names for the numbers, if the format defines them
}

func (l labels) len() int { return max(len(l.numbers), len(l.names)) }

// set implements Source.
type set struct {
	joined
	labels   []int // nil if none is known
	classes  []string
	folders  bool // all labels are those of class folders
	warnings []string

	invert  Invert
	borders *metadata.Borders
}

func (s *set) open(paths []string, opt Options) error {
	if len(paths) == 0 {
		return errors.New("no file or folder with images was given")
	}
	if z := opt.Size; z != (Size{}) && (z.Channels < 1 || z.Height < 1 || z.Width < 1 ||
		z.Height > maxPixels/z.Width || z.Channels > maxPixels/(z.Height*z.Width)) {
		return fmt.Errorf("images of %v cannot be read, want at least 1 in each dimension and a product of at most %d", z, maxPixels)
	}
	s.invert, s.borders = opt.Invert, opt.Borders
	opt.warn = func(text string) { s.warnings = append(s.warnings, text) }
	all := make([]labels, 0, len(paths))
	for _, path := range paths {
		p, l, err := openPath(path, opt)
		if err != nil {
			return err
		}
		s.add(p)
		opt.Size = p.size() // all other images must have this size too
		all = append(all, l)
	}
	if opt.Labels != "" {
		l, err := readLabels(opt.Labels, s)
		if err != nil {
			return err
		}
		all = []labels{l}
	}
	return s.number(all, opt)
}

// number converts the labels of the parts to numbers.
func (s *set) number(all []labels, opt Options) error {
	var names []string
	numbers := false
	for _, l := range all {
		names = append(names, l.names...)
		numbers = numbers || len(l.numbers) > 0
	}
	if len(names) == 0 && !numbers {
		return nil
	}
	c, err := numberClasses(names, opt)
	if err != nil {
		return err
	}
	if numbers && c.invented {
		return fmt.Errorf("some images have a number as label and others the name of a class (%s), but the network does not name its classes: "+
			"give all labels in one file", list(c.names))
	}
	s.classes = c.names
	if known := all[0].classes; c.names == nil && (opt.NumClasses == 0 || opt.NumClasses == len(known)) &&
		!slices.ContainsFunc(all, func(l labels) bool { return !slices.Equal(l.classes, known) }) {
		s.classes = known
	}
	s.folders = !slices.ContainsFunc(all, func(l labels) bool { return !l.folders })
	s.labels = make([]int, 0, s.Len())
	for i, l := range all {
		for _, name := range l.names {
			s.labels = append(s.labels, c.label[name])
		}
		s.labels = append(s.labels, l.numbers...)
		for l.len() == 0 && len(s.labels) < s.ends[i] {
			s.labels = append(s.labels, Unlabeled)
		}
	}
	return nil
}

func (s *set) Len() int { return s.len() }

func (s *set) Size() Size { return s.size() }

func (s *set) Classes() []string { return s.classes }

func (s *set) Warnings() []string { return s.warnings }

func (s *set) Name(i int) string { return s.name(i) }

func (s *set) Label(i int) int {
	if s.labels == nil {
		return Unlabeled
	}
	return s.labels[i]
}

func (s *set) At(i int) Image {
	if i < 0 || i >= s.Len() {
		return Image{Label: Unlabeled, Err: fmt.Errorf("image %d does not exist, want 0 to %d", i, s.Len()-1)}
	}
	image := Image{Name: s.Name(i), Label: s.Label(i)}
	p, i := s.find(i)
	pixels, err := p.pixels(i)
	if err != nil {
		image.Err = fmt.Errorf("%s: %w", image.Name, withoutPath(err))
		return image
	}
	image.Pixels = pixels
	_, isPicture := p.(*pictures)
	image.finish(s.Size(), s.invert, s.borders, isPicture)
	return image
}

func (s *set) Close() error { return s.close() }

// withoutPath removes the path from an error of package os, for errors that name the file
// already.
func withoutPath(err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // only the outermost error
		return e.Err
	}
	return err
}
