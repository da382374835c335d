package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/runtime"
)

// result is what is known of one image after a run.
type result struct {
	name  string
	label int // dataset.Unlabelled when it is not known
	err   error
	top   []guess // most probable first; nil with err
}

type guess struct {
	class       int
	probability float32
}

// batch is a number of consecutive images on their way to the model. A broken
// image leaves its pixels 0: every image keeps its number, and so its random
// numbers.
type batch struct {
	first  int
	images []result
	pixels []float32
}

func (f *flags) classify(ctx context.Context, stdout, stderr io.Writer, model string, paths []string) (err error) {
	n, err := openNetwork(model, f)
	if err != nil {
		return err
	}
	images, err := dataset.Open(paths, dataset.Options{
		Size: n.size, Resize: f.resize, Classes: n.classes, NumClasses: n.outputs, Labels: f.labels,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, images.Close()) }()
	if n.classes == nil {
		n.classes = images.Classes()
	}
	total := images.Len()
	if f.limit > 0 {
		total = min(total, f.limit)
	}
	p := newPrinter(f, n, stdout, stderr, total)
	sum := newSummary(n, model)
	start := time.Now()

	ctx, cancel := context.WithCancel(ctx)
	batches := decode(ctx, images, n, total, parallel.New(f.workers))
	defer func() {
		cancel()
		for range batches { // until no image is read any more
		}
	}()
	for b := range batches {
		if err := n.run(ctx, b, f); err != nil {
			p.stop()
			return interrupted(ctx, err)
		}
		for _, r := range b.images {
			sum.add(r)
		}
		if err := p.results(b.images); err != nil {
			p.stop()
			return err
		}
	}
	p.stop()
	if err := ctx.Err(); err != nil {
		return interrupted(ctx, err)
	}
	sum.seconds = time.Since(start).Seconds()
	if err := p.summary(sum); err != nil {
		return err
	}
	if sum.failed > 0 {
		return fmt.Errorf("%d of %d images could not be classified", sum.failed, total)
	}
	return nil
}

func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// decode reads the images batch by batch, one batch ahead of the model.
func decode(ctx context.Context, images dataset.Source, n *network, total int, pool *parallel.Pool) <-chan *batch {
	out := make(chan *batch, 1)
	size := n.size.Channels * n.size.Height * n.size.Width
	go func() {
		defer close(out)
		for first := 0; first < total; first += n.batch {
			b := &batch{
				first:  first,
				images: make([]result, min(n.batch, total-first)),
				pixels: make([]float32, n.batch*size),
			}
			err := pool.For(ctx, len(b.images), 1, func(i, _ int) error {
				m := images.At(first + i)
				b.images[i] = result{name: m.Name, label: m.Label, err: m.Err}
				if m.Label >= n.outputs {
					b.images[i].err = fmt.Errorf("%s: its label is %d, but the model has %d classes", m.Name, m.Label, n.outputs)
				}
				copy(b.pixels[i*size:(i+1)*size], m.Pixels)
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

// run classifies a batch.
func (n *network) run(ctx context.Context, b *batch, f *flags) error {
	count := len(b.images)
	if in := n.model.Inputs()[0].Shape[0]; in.Known() {
		count = n.batch // the rest is empty images
	}
	size := n.size.Channels * n.size.Height * n.size.Width
	x, err := runtime.NewTensor([]int{count, n.size.Channels, n.size.Height, n.size.Width}, b.pixels[:count*size])
	if err != nil {
		return err
	}
	out, err := n.model.Run(ctx, map[string]*runtime.Tensor{n.input: x}, runtime.Seed(f.seed), runtime.FirstImage(uint64(b.first)))
	if err != nil {
		return err
	}
	y := slices.Clone(out[n.output].Float32s())
	for i := range b.images {
		v := y[i*n.outputs : (i+1)*n.outputs]
		switch m := &b.images[i]; {
		case m.err != nil:
		case isFinite(v):
			m.top = best(n.probabilities(v), f.top)
		default:
			m.err = fmt.Errorf("%s: the model gives no finite numbers for it", m.name)
		}
	}
	return nil
}

// best returns the n most probable classes, the first of equals first.
func best(p []float32, n int) []guess {
	all := make([]guess, len(p))
	for i, v := range p {
		all[i] = guess{i, v}
	}
	slices.SortStableFunc(all, func(a, b guess) int { return cmp.Compare(b.probability, a.probability) })
	return all[:min(n, len(all))]
}
