package classify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/runtime"
)

// Unlabeled is the label of an image whose class is unknown.
const Unlabeled = -1

// Files is a sequence of images in files.
type Files struct {
	source  dataset.Source
	rename  func(string) string // see Rename
	shard   span
	classes []string // their names, nil if unknown
}

// span is a range of images of a source.
type span struct{ first, count int }

// OpenFiles opens the images in paths: image files, folders of image files, IDX files
// such as those of MNIST, .npy and .npz files, CSV files, and batches of CIFAR-10; see
// docs/formats.md. If a folder contains one folder per class, the images are labeled.
// labels is the path of a file with the labels of all images: an IDX, .npy or .npz file, or
// a text file with one label per line or with columns for the file and the label. ""
// selects the labels that come with the images. All decodes each image when its batch is
// classified, so the Files must stay open until then.
func (c *Classifier) OpenFiles(paths []string, labels string) (*Files, error) {
	if !c.made() {
		return nil, errNotMade
	}
	opt := c.reading()
	opt.Labels = labels
	source, err := dataset.Open(paths, opt)
	if err != nil {
		return nil, err
	}
	f := &Files{source: source, shard: span{0, source.Len()}, classes: c.classes}
	if names := source.Classes(); f.classes == nil && len(names) == c.count {
		f.classes = names
	}
	return f, nil
}

// Len returns the number of images: those of the shard, after Shard.
func (f *Files) Len() int {
	if f == nil || f.source == nil {
		return 0
	}
	return f.shard.count
}

// Limit reduces f to its first n images. If the images are in class folders, it takes an
// equal share of every class instead, as far as a class has that many, and reports true.
// Limit undoes an earlier Shard.
func (f *Files) Limit(n int) (shared bool) {
	if f == nil || f.source == nil {
		return false
	}
	f.source, shared = dataset.Limit(f.source, max(n, 0))
	f.shard = span{0, f.source.Len()}
	return shared
}

// Rename changes the names of the files: in the results, in the texts of their errors, and in
// Fingerprint. name returns the new text for a name or for the text of an error. A program that
// classifies copies of files can so report the names of the originals.
func (f *Files) Rename(name func(text string) string) {
	if f != nil {
		f.rename = name
	}
}

// named returns the source with the names that Rename has set.
func (f *Files) named() dataset.Source {
	if f.rename == nil {
		return f.source
	}
	return &renamed{f.source, f.rename}
}

// renamed is a source with other names.
type renamed struct {
	dataset.Source

	rename func(string) string
}

func (r *renamed) Name(i int) string { return r.rename(r.Source.Name(i)) }

func (r *renamed) Warnings() []string {
	var texts []string
	for _, w := range r.Source.Warnings() {
		texts = append(texts, r.rename(w))
	}
	return texts
}

func (r *renamed) At(i int) dataset.Image {
	m := r.Source.At(i)
	m.Name = r.rename(m.Name)
	if m.Err != nil {
		m.Err = &renamedError{m.Err, r.rename}
	}
	return m
}

type renamedError struct {
	error

	rename func(string) string
}

func (e *renamedError) Error() string { return e.rename(e.error.Error()) }
func (e *renamedError) Unwrap() error { return e.error }

// Shard reduces f to one of n shards, the i-th, from 1: consecutive images, whose numbers in
// all shards differ by at most 1. It returns the number of the first of them. Every image
// keeps its number, so that All returns for the shards one after the other exactly what it
// returns without Shard. Shard replaces an earlier Shard. It is an error if i is not in 1 to n.
func (f *Files) Shard(i, n int) (first int, err error) {
	switch {
	case f == nil || f.source == nil:
		return 0, errNotOpened
	case i < 1 || i > n:
		return 0, fmt.Errorf("classify: there is no shard %d of %d: the shards have the numbers 1 to n", i, n)
	}
	each, more := f.source.Len()/n, f.source.Len()%n
	f.shard = span{(i-1)*each + min(i-1, more), each}
	if i <= more {
		f.shard.count++
	}
	return f.shard.first, nil
}

// Fingerprint returns a hexadecimal number by which processes find out whether they have
// opened the same images, also if they classify different shards of them. It depends on the
// names and labels of all images and on the pixels of 16 of them.
func (f *Files) Fingerprint() string {
	if f == nil || f.source == nil {
		return ""
	}
	return dataset.Fingerprint(f.named())
}

// Classes returns the names of the classes, from the model or from the files, in the
// order of the class numbers. It returns nil if the names are unknown.
func (f *Files) Classes() []string {
	if f == nil {
		return nil
	}
	return slices.Clone(f.classes)
}

// Warnings returns sentences about files that are not images and were left out.
func (f *Files) Warnings() []string {
	if f == nil || f.source == nil {
		return nil
	}
	return slices.Clone(f.named().Warnings())
}

// Close closes the files.
func (f *Files) Close() error {
	if f == nil || f.source == nil {
		return nil
	}
	return f.source.Close()
}

// FileResult is the result for one image of Files.
type FileResult struct {
	// File is the path of the image file. If the file contains several images, the
	// number of the image follows: "t10k-images-idx3-ubyte[17]".
	File string

	// Label is the number of the true class, or Unlabeled, and LabelName is the name of
	// the class, or its number if the names are unknown.
	Label     int
	LabelName string

	// Err says why the image could not be classified, and is nil otherwise. Its text
	// begins with File. If Err is not nil, Result is the zero value.
	Err error

	Result
}

// All classifies the first limit images of f, or all images if limit is 0, and yields
// their results in order. An image that cannot be read does not affect the others: the
// error is in its FileResult. An error of the run or of ctx is yielded as the second
// value and ends the sequence.
func (c *Classifier) All(ctx context.Context, f *Files, limit int) iter.Seq2[FileResult, error] {
	return func(yield func(FileResult, error) bool) {
		if err := c.checkAll(ctx, f); err != nil {
			yield(FileResult{}, err)
			return
		}
		total := f.Len()
		if limit > 0 {
			total = min(total, limit)
		}
		inner, cancel := context.WithCancel(ctx)
		batches := c.read(inner, f, f.shard.first, total)
		defer func() {
			cancel()
			for range batches { // wait until no image is being read
			}
		}()
		for b := range batches {
			if err := c.classify(inner, f, b); err != nil {
				yield(FileResult{}, err)
				return
			}
			for _, r := range b.results {
				if !yield(r, nil) {
					return
				}
			}
		}
		if err := ctx.Err(); err != nil {
			yield(FileResult{}, err)
		}
	}
}

func (c *Classifier) checkAll(ctx context.Context, f *Files) error {
	switch {
	case !c.made():
		return errNotMade
	case ctx == nil:
		return errors.New("classify: the context is nil")
	case f == nil || f.source == nil:
		return errNotOpened
	}
	return nil
}

// errNotOpened reports the use of Files that OpenFiles did not return.
var errNotOpened = errors.New("classify: the Files were not opened: use OpenFiles")

// batch is a number of consecutive images on their way to the model. The pixels of an
// image that cannot be read are 0: every image keeps its number, and so its random
// numbers.
type batch struct {
	first   int
	results []FileResult
	pixels  []float32
}

// read reads total images from the given one, batch by batch, one batch ahead of the model.
func (c *Classifier) read(ctx context.Context, f *Files, from, total int) <-chan *batch {
	out, source := make(chan *batch, 1), f.named()
	go func() {
		defer close(out)
		for first := from; first < from+total; first += c.batch {
			n := min(c.batch, from+total-first)
			b := &batch{first: first, results: make([]FileResult, n), pixels: c.newPixels(n)}
			err := c.decode.For(ctx, len(b.results), 1, func(i, _ int) error {
				m := source.At(first + i)
				b.results[i] = FileResult{File: m.Name, Label: m.Label, Err: m.Err, Result: Result{Inverted: m.Inverted, Blank: m.Blank}}
				switch {
				case m.Label == Unlabeled:
				case m.Label < c.count:
					b.results[i].LabelName = nameOf(f.classes, m.Label)
				case m.Err == nil:
					b.results[i].Err = fmt.Errorf("%s: the label is %d, but the model has %d classes", m.Name, m.Label, c.count)
				}
				pixels := b.pixels[i*c.pixels() : (i+1)*c.pixels()]
				copy(pixels, m.Pixels)
				if m.Err == nil {
					c.addNoise(pixels, first+i)
				}
				return nil
			})
			if err != nil {
				return // the context is done
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// classify completes the results of a batch.
func (c *Classifier) classify(ctx context.Context, f *Files, b *batch) error {
	outputs, err := c.run(ctx, b.pixels, len(b.results), runtime.Seed(c.seed), runtime.FirstImage(uint64(b.first)))
	if err != nil {
		return err
	}
	for i, out := range outputs {
		r := &b.results[i]
		if r.Err == nil {
			if err := c.setResult(&r.Result, out, f.classes); err != nil {
				r.Err = fmt.Errorf("%s: %w", r.File, err)
			}
		}
		if r.Err != nil {
			r.Result = Result{}
		}
	}
	return nil
}
