package training

import (
	"context"
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/runtime"
)

// trainingSize returns the size of the training images.
func (f *flags) trainingSize() (size dataset.Size, err error) {
	source, err := dataset.Open(f.data, dataset.Options{Subset: dataset.Training, Labels: f.labels})
	if err != nil {
		return size, err
	}
	return source.Size(), source.Close()
}

// loadTraining sets the training images. start is the network that is trained further, nil for a
// new one: the training images of a new one are never inverted automatically, because they decide
// whether it learns light on dark.
func (f *flags) loadTraining(ctx context.Context, j *job, size dataset.Size, classes []string, numClasses int, start *convert.Network) (*dataset.Samples, error) {
	opt := dataset.Options{
		Size: size, Subset: dataset.Training, Resize: f.resize, Invert: dataset.Invert(f.invert), Labels: f.labels,
		Classes: classes, NumClasses: numClasses,
	}
	if start != nil {
		opt.Borders = (*metadata.Borders)(start.Borders)
	}
	j.reading = opt
	return f.load(ctx, j, f.data, opt)
}

// loadTest returns the test images, or nil if there are none.
func (f *flags) loadTest(ctx context.Context, j *job) (*dataset.Samples, error) {
	opt := dataset.Options{
		Size: j.images.Size(), Subset: dataset.Test, Resize: f.resize, Labels: f.testLabels,
		Invert: dataset.Invert(f.invert), Borders: (*metadata.Borders)(j.network.Borders),
		Classes: j.network.Classes, NumClasses: j.classes,
	}
	if f.test != "" {
		opt.Subset = dataset.All
		return f.load(ctx, j, []string{f.test}, opt)
	}
	for _, path := range f.data {
		if divided, err := dataset.IsDivided(path); err != nil || !divided {
			j.note("no tests during the training: %s is not a folder or .npz file with a test set; give the test images with --test", path)
			return nil, err
		}
	}
	s, err := f.load(ctx, j, f.data, opt)
	if errors.Is(err, dataset.ErrNoSubset) {
		j.note("no tests during the training: %v with --test", err)
		return nil, nil
	}
	return s, err
}

// load loads images and notes what the user should know about them.
func (f *flags) load(ctx context.Context, j *job, paths []string, opt dataset.Options) (*dataset.Samples, error) {
	s, err := f.known.load(ctx, paths, opt, f.workers.Value)
	if err != nil {
		return nil, err
	}
	j.notes = append(j.notes, s.Warnings()...)
	j.notes = append(j.notes, cli.PictureWarnings(f.invert, s.Inverted(), s.Len(), s.Blank())...)
	return s, nil
}

// fingerprint identifies a set of images.
func fingerprint(s *dataset.Samples) string { return fmt.Sprintf("%x", s.Sum()) }

// subBatch holds the images of one step of the trainer.
type subBatch struct {
	pixels []float32
	labels []int
}

// epochOrder is the order of the images in an epoch.
type epochOrder struct {
	epoch  int
	images []int // nil before the first epoch
}

// prepare prepares sub-batch n of the training. order is that of the sub-batch before, or empty.
func (j *job) prepare(b *subBatch, n int, order *epochOrder) {
	whole := j.images.Size()
	image, _ := j.augment.Output(whole) // setAugmentation has checked the size
	size := image.Channels * image.Height * image.Width
	epoch, i := n/j.perEpoch(), n%j.perEpoch()
	if order.images == nil || order.epoch != epoch {
		order.images, order.epoch = dataset.Order(j.images.Len(), j.config.Seed, uint64(epoch)), epoch
	}
	if b.pixels == nil {
		b.pixels, b.labels = make([]float32, j.batch*size), make([]int, j.batch)
	}
	chosen := order.images[i*j.batch : min((i+1)*j.batch, len(order.images))]
	b.pixels, b.labels = b.pixels[:len(chosen)*size], b.labels[:len(chosen)]
	for k, n := range chosen {
		j.augment.Train(b.pixels[k*size:(k+1)*size], j.images, n, j.config.Seed, uint64(epoch), func(pixels []float32) {
			j.noise.Apply(pixels, whole.Channels, whole.Height, whole.Width, j.config.Seed, uint64(epoch), uint64(n))
		})
		b.labels[k] = j.images.Label(n)
	}
}

// imagesBefore returns the number of images of the sub-batches before sub-batch n of the training.
func (j *job) imagesBefore(n int) int64 {
	epochs, more := n/j.perEpoch(), n%j.perEpoch()
	return int64(epochs)*int64(j.images.Len()) + int64(more)*int64(j.batch)
}

// feed prepares the sub-batches first to end-1 of the training in another goroutine. The
// receiver returns each of them on used, so that its memory can be used again.
func (j *job) feed(ctx context.Context, first, end int) (batches <-chan *subBatch, used chan<- *subBatch) {
	const ahead = 2
	out, back := make(chan *subBatch, ahead), make(chan *subBatch, ahead+2)
	for range cap(back) {
		back <- &subBatch{}
	}
	go func() {
		defer close(out)
		var order epochOrder
		for n := first; n < end; n++ {
			var b *subBatch
			select {
			case b = <-back:
			case <-ctx.Done():
				return
			}
			j.prepare(b, n, &order)
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, back
}

// tensor returns a tensor of images with the given pixels.
func (j *job) tensor(pixels []float32, images int) (*runtime.Tensor, error) {
	size, err := j.augment.Output(j.images.Size())
	if err != nil {
		return nil, err
	}
	return runtime.NewTensor([]int{images, size.Channels, size.Height, size.Width}, pixels)
}
