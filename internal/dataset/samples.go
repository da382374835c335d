package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/spike-by-spike/sbs/internal/parallel"
)

// maxSamples bounds the values of all images of a training or test set, which are in
// memory at the same time.
const maxSamples = 1 << 34

// Samples holds the labeled images of a training or test set in memory. Values of 8-bit
// images take one byte each: the 60,000 images of MNIST take 47 MB. It is safe for
// concurrent use.
type Samples struct {
	size    Size
	bytes   []uint8   // values times 255, image after image; nil if not all are multiples of 1/255
	floats  []float32 // the values if bytes is nil
	labels  []int
	classes []string

	warnings []string
	inverted int
	blank    []string // names of the images
}

// Load reads all images of a source with the given number of workers; a number below 1
// means one per CPU. It returns an error that names the image if an image cannot be read,
// has no label, or has a label of numClasses or more. A numClasses of 0 allows all labels.
// The caller may close the source afterwards.
func Load(ctx context.Context, source Source, numClasses, workers int) (*Samples, error) {
	n, size := source.Len(), source.Size()
	if int64(n) > maxSamples/int64(size.len()) || n > math.MaxInt/4/size.len() {
		return nil, fmt.Errorf("%d images of %v (channels x height x width) do not fit in memory", n, size)
	}
	s := &Samples{size: size, labels: make([]int, n), classes: source.Classes(), warnings: source.Warnings()}
	pool := parallel.New(workers)
	s.bytes = make([]uint8, n*size.len())
	err := s.load(ctx, pool, source, numClasses, s.setBytes)
	if errors.Is(err, errNotBytes) {
		s.bytes, s.floats = nil, make([]float32, n*size.len())
		err = s.load(ctx, pool, source, numClasses, func(i int, pixels []float32) error {
			copy(s.floats[i*len(pixels):], pixels)
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// LoadPaths opens the images that paths name, loads all of them as Load does, and closes them.
// It is an error if there are none.
func LoadPaths(ctx context.Context, paths []string, opt Options, workers int) (s *Samples, err error) {
	source, err := Open(paths, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if source.Len() == 0 {
		return nil, fmt.Errorf("no images in %s", strings.Join(paths, ", "))
	}
	return Load(ctx, source, opt.NumClasses, workers)
}

func (s *Samples) load(ctx context.Context, pool *parallel.Pool, source Source, numClasses int, set func(int, []float32) error) error {
	var mu sync.Mutex
	s.inverted, s.blank = 0, nil
	return pool.For(ctx, len(s.labels), 64, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			image := source.At(i)
			switch {
			case image.Err != nil:
				return image.Err
			case image.Label == Unlabeled:
				return fmt.Errorf("%s has no label: put the images into one folder per class, put the file of labels beside the file of images, "+
					"or name the file of labels", image.Name)
			case numClasses > 0 && image.Label >= numClasses:
				return fmt.Errorf("%s has label %d, but the labels of the network's %d classes are 0 to %d", image.Name, image.Label, numClasses, numClasses-1)
			}
			if image.Inverted || image.Blank {
				mu.Lock()
				s.remark(image)
				mu.Unlock()
			}
			s.labels[i] = image.Label
			if err := set(i, image.Pixels); err != nil {
				return err
			}
		}
		return nil
	})
}

// remark counts an image that is inverted or blank.
func (s *Samples) remark(image Image) {
	if image.Inverted {
		s.inverted++
	}
	if image.Blank {
		s.blank = append(s.blank, image.Name)
	}
}

var errNotBytes = errors.New("the values are not multiples of 1/255")

// setBytes stores an image as bytes, or returns errNotBytes if bytes cannot represent the
// values exactly.
func (s *Samples) setBytes(i int, pixels []float32) error {
	dst := s.bytes[i*len(pixels):][:len(pixels)]
	for k, v := range pixels {
		b := math.Round(float64(v) * math.MaxUint8)
		if !(b >= 0 && b <= math.MaxUint8) || float32(b)/math.MaxUint8 != v {
			return errNotBytes
		}
		dst[k] = uint8(b)
	}
	return nil
}

// Subset returns the images with the given numbers, in this order.
func (s *Samples) Subset(numbers []int) *Samples {
	n := s.size.len()
	part := &Samples{size: s.size, labels: make([]int, len(numbers)), classes: s.classes}
	for k, i := range numbers {
		part.labels[k] = s.labels[i]
	}
	if s.bytes != nil {
		part.bytes = make([]uint8, 0, len(numbers)*n)
		for _, i := range numbers {
			part.bytes = append(part.bytes, s.bytes[i*n:(i+1)*n]...)
		}
		return part
	}
	part.floats = make([]float32, 0, len(numbers)*n)
	for _, i := range numbers {
		part.floats = append(part.floats, s.floats[i*n:(i+1)*n]...)
	}
	return part
}

// Len returns the number of images.
func (s *Samples) Len() int { return len(s.labels) }

// Size returns the size of every image.
func (s *Samples) Size() Size { return s.size }

// Classes returns the names of the classes in the order of the labels, nil if they are
// unknown.
func (s *Samples) Classes() []string { return s.classes }

// Warnings returns sentences about what Open left out.
func (s *Samples) Warnings() []string { return s.warnings }

// Inverted returns the number of images that were inverted, by Options.Invert.
func (s *Samples) Inverted() int { return s.inverted }

// Blank returns the names of the picture files in which all pixels have nearly the same value,
// in natural order.
func (s *Samples) Blank() []string { return slices.SortedFunc(slices.Values(s.blank), natural) }

// Label returns the number of the class of image i.
func (s *Samples) Label(i int) int { return s.labels[i] }

// Pixels stores the values of image i in dst, in the form of Image.Pixels: from 0 to 1,
// (channels, height, width). dst must have the length of an image.
func (s *Samples) Pixels(i int, dst []float32) {
	n := s.size.len()
	if len(dst) != n {
		panic(fmt.Sprintf("dataset: dst has %d values, an image of %v has %d", len(dst), s.size, n))
	}
	if s.bytes == nil {
		copy(dst, s.floats[i*n:])
		return
	}
	for k, v := range s.bytes[i*n:][:n] {
		dst[k] = float32(v) / math.MaxUint8
	}
}

// Sum returns a SHA-256 of the size, the labels and the values of all images.
func (s *Samples) Sum() [sha256.Size]byte {
	h := sha256.New()
	// Writing to a hash never fails.
	_, _ = fmt.Fprintln(h, s.size, s.labels)
	_, _ = h.Write(s.bytes)
	var block [4 << 10]byte
	for values := range slices.Chunk(s.floats, len(block)/4) {
		for i, v := range values {
			binary.LittleEndian.PutUint32(block[4*i:], math.Float32bits(v))
		}
		_, _ = h.Write(block[:4*len(values)])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Shared returns the number of images of s that o has too. It compares the values only.
func (s *Samples) Shared(o *Samples) int {
	if s.size != o.size {
		return 0
	}
	known := make(map[[sha256.Size]byte]bool, o.Len())
	for i := range o.Len() {
		known[o.sumOf(i)] = true
	}
	n := 0
	for i := range s.Len() {
		if known[s.sumOf(i)] {
			n++
		}
	}
	return n
}

// sumOf returns a SHA-256 of the values of an image, whether they are stored as bytes or not.
func (s *Samples) sumOf(i int) [sha256.Size]byte {
	values := make([]float32, s.size.len())
	s.Pixels(i, values)
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return sha256.Sum256(data)
}

// Means returns the mean of each channel over all images, which the on/off split of
// PyTorch-SbS subtracts.
func (s *Samples) Means() []float64 {
	means := make([]float64, s.size.Channels)
	plane := s.size.Height * s.size.Width
	image := make([]float32, s.size.len())
	for i := range s.Len() {
		s.Pixels(i, image)
		for c := range means {
			for _, v := range image[c*plane:][:plane] {
				means[c] += float64(v)
			}
		}
	}
	for c := range means {
		means[c] /= float64(s.Len()) * float64(plane)
	}
	return means
}
