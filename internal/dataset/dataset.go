// Package dataset reads labelled images, from image files and from the array
// files that MNIST, CIFAR-10 and PyTorch-SbS come in: one at a time (Source),
// or all of a training or test set (Samples), which an Augmentation varies.
//
// What a path holds is decided by its content first and by its name second:
//
//   - a PNG, JPEG, GIF (its first picture), BMP, TIFF or WebP file;
//   - a folder of these, or of folders of these, each of which is a class. A
//     folder without any may hold one of the following instead;
//   - an IDX file of images (MNIST), also compressed with gzip;
//   - an .npy file of images, also compressed with gzip: (n, height, width),
//     (n, height, width, channels) or (n, channels, height, width);
//   - a batch of CIFAR-10, the binary version (data_batch_1.bin) or the one that
//     was pickled by Python (data_batch_1);
//   - a folder with the folders train and test, which hold any of the above.
//
// Of a folder with several files, or with the folders train and test, it is the
// Subset that is read.
//
// Labels are the class folders, stand in the file (CIFAR-10) or in a second
// file beside it (IDX: "labels" for "images" and "idx1" for "idx3" in the
// name; .npy: "LabelStorage" for "PatternStorage").
package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
)

// Size is the size of an image.
type Size struct{ Channels, Height, Width int }

// String returns the size as "1x28x28".
func (s Size) String() string { return fmt.Sprintf("%dx%dx%d", s.Channels, s.Height, s.Width) }

func (s Size) len() int { return s.Channels * s.Height * s.Width }

// Unlabelled is the label of an image whose class is not known.
const Unlabelled = -1

// Image is one image of a Source.
type Image struct {
	// Name is the path of an image file, and the file's name and the image's
	// number for one of many: "t10k-images-idx3-ubyte[17]".
	Name string

	// Label is the number of the class, or Unlabelled.
	Label int

	// Pixels holds the values from 0 to 1, channel by channel, row by row. They
	// are those of the file divided by the largest that its format has (255 or
	// 65535; also for IDX and CIFAR-10), and in an .npy file by the largest
	// value that is in the file, as PyTorch-SbS does.
	Pixels []float32

	// Err says, beginning with the name, why the image could not be read. Pixels
	// is nil then. Other images are not affected.
	Err error
}

// Source is a sequence of images. It is safe for concurrent use, and At
// decodes different images in parallel when several goroutines call it.
type Source interface {
	// Len returns the number of images.
	Len() int

	// Size returns the size of every image.
	Size() Size

	// Classes returns the names of the classes, in the order of the labels; nil
	// when only the labels are known, or not even these.
	Classes() []string

	// At reads image i of [0, Len). It does not keep it.
	At(i int) Image

	// Close closes the files. Images cannot be read afterwards.
	Close() error
}

// Options says what to make of the files.
type Options struct {
	// Size is the size of every image that the Source yields. Files with images
	// of another size are an error unless Resize is true. Zero stands for the size
	// of the first image.
	Size Size

	// Subset is the part of a data set that is read. It has no meaning where a
	// file is named.
	Subset Subset

	// Resize scales images to the Size, whatever their proportions, converts
	// colours to gray (ITU-R 601) and repeats gray for three channels.
	Resize bool

	// Classes holds the names of the classes in the order of their labels, nil
	// when they are not known. Class folders and names in label files are
	// numbers, which are labels, or all of them are in Classes. When Classes is
	// nil they may be any names, which are numbered in natural order.
	Classes []string

	// NumClasses is the number of classes, 0 when it is not known. Names are
	// numbered in natural order only if there are as many: a part of the classes
	// would get other labels than all of them.
	NumClasses int

	// Labels is a file with the labels of all images, in place of any others: an
	// IDX or .npy file (both also compressed with gzip), or text with a number
	// or the name of a class in every line.
	Labels string
}

// maxPixels bounds the pixels of one image, of which a decoder needs up to 8
// bytes each.
const maxPixels = 1 << 26

// Open opens files and folders, whose images follow each other in the order of
// paths; in a folder they are in natural order (2.png before 10.png). Hidden
// files, and files in a folder of images that are not named as such, are
// passed over; images in folders within class folders are an error. Errors name
// the file; those about a missing one wrap fs.ErrNotExist, those about a folder
// without the Subset ErrNoSubset.
func Open(paths []string, opt Options) (Source, error) {
	s := &set{}
	if err := s.open(paths, opt); err != nil {
		return nil, errors.Join(fmt.Errorf("dataset: %w", err), s.Close())
	}
	return s, nil
}

// part is the images of one path. Errors do not name the image.
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
	ends  []int // number of images up to the end of each part
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

// find returns the part that has image i, and the image's number there.
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

// labels are those of the images of one path. They are numbers or names, or
// neither when they are not known.
type labels struct {
	numbers []int
	names   []string
	classes []string // what the numbers mean, where the format says that
}

func (l labels) len() int { return max(len(l.numbers), len(l.names)) }

// set is the Source: a sequence of parts.
type set struct {
	joined
	labels  []int // nil when none is known
	classes []string
}

func (s *set) open(paths []string, opt Options) error {
	if len(paths) == 0 {
		return errors.New("no file or folder with images was named")
	}
	if z := opt.Size; z != (Size{}) && (z.Channels < 1 || z.Height < 1 || z.Width < 1 ||
		z.Height > maxPixels/z.Width || z.Channels > maxPixels/(z.Height*z.Width)) {
		return fmt.Errorf("images of %v cannot be read: every size must be at least 1 and the product at most %d", z, maxPixels)
	}
	all := make([]labels, 0, len(paths))
	for _, path := range paths {
		p, l, err := openPath(path, opt)
		if err != nil {
			return err
		}
		s.add(p)
		opt.Size = p.size() // of all others too
		all = append(all, l)
	}
	if opt.Labels != "" {
		l, err := readLabels(opt.Labels, s.Len())
		if err != nil {
			return err
		}
		all = []labels{l}
	}
	return s.number(all, opt)
}

// number turns the labels of the parts into numbers.
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
		return fmt.Errorf("some images have numbers as labels and others names of classes (%s) that the network does not know: "+
			"give the labels of all in one file", list(c.names))
	}
	s.classes = c.names
	if known := all[0].classes; c.names == nil && (opt.NumClasses == 0 || opt.NumClasses == len(known)) &&
		!slices.ContainsFunc(all, func(l labels) bool { return !slices.Equal(l.classes, known) }) {
		s.classes = known
	}
	s.labels = make([]int, 0, s.Len())
	for i, l := range all {
		for _, name := range l.names {
			s.labels = append(s.labels, c.label[name])
		}
		s.labels = append(s.labels, l.numbers...)
		for l.len() == 0 && len(s.labels) < s.ends[i] {
			s.labels = append(s.labels, Unlabelled)
		}
	}
	return nil
}

func (s *set) Len() int { return s.len() }

func (s *set) Size() Size { return s.size() }

func (s *set) Classes() []string { return s.classes }

func (s *set) At(i int) Image {
	if i < 0 || i >= s.Len() {
		return Image{Label: Unlabelled, Err: fmt.Errorf("dataset: there is no image %d, only %d", i, s.Len())}
	}
	image := Image{Label: Unlabelled}
	if s.labels != nil {
		image.Label = s.labels[i]
	}
	p, i := s.find(i)
	image.Name = p.name(i)
	pixels, err := p.pixels(i)
	if err != nil {
		image.Err = fmt.Errorf("dataset: %s: %w", image.Name, withoutPath(err))
		return image
	}
	image.Pixels = pixels
	return image
}

func (s *set) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	return nil
}

// withoutPath removes the path that the errors of package os begin with, where
// another text names the file already.
func withoutPath(err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // only the outermost error
		return e.Err
	}
	return err
}
