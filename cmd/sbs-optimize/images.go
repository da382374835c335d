package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/dataset"
)

// images are the images that an optimization uses, each for one purpose.
type images struct {
	training *dataset.Samples // nil without fine-tuning
	search   *dataset.Samples // decide about networks
	check    *dataset.Samples // for the accuracy at the end and the calibration of stages
	test     *dataset.Samples // nil if there are none
	held     string           // describes search and check together

	// forget says that the training images may contain images that the model given has not
	// seen, so that a network loses its record when it is fine-tuned.
	forget bool
}

// fewest is the smallest number of images for the search, and for the check. With fewer,
// chance decides.
const fewest = 50

// load reads the images for the network n. holdout says which training images no weight of any of
// the models has seen.
func (f *flags) load(ctx context.Context, n *convert.Network, holdout *convert.Holdout, fineTune bool) (*images, error) {
	sizes, err := n.Sizes()
	if err != nil {
		return nil, err
	}
	opt := dataset.Options{
		Size: dataset.Size(n.Input), Resize: f.resize, Classes: n.Classes, NumClasses: sizes[len(sizes)-1].Channels,
	}
	i := &images{}
	if f.validation == "" && holdout == nil {
		return nil, fmt.Errorf("%s does not record which training images it has not seen, and images that it has seen would make few spikes look better than they are: "+
			"train it with sbs-train --holdout N, or give other labeled images with --validation PATH", f.paths[0])
	}
	var all *dataset.Samples
	if fineTune || f.validation == "" {
		opt.Subset = dataset.Training
		if all, err = f.read(ctx, f.data, opt); err != nil {
			return nil, err
		}
	}
	var search, check []int
	kept := all
	if holdout != nil && all != nil {
		sum := all.Sum()
		same := holdout.Of == all.Len() && holdout.Data == hex.EncodeToString(sum[:])
		if !same && f.validation == "" {
			return nil, fmt.Errorf("%s are not the images that the model was trained with (%d images, of which %d were held back): give the same --data, or other labeled images with --validation",
				strings.Join(f.data, ", "), holdout.Of, holdout.Images)
		}
		if same {
			numbers, _ := dataset.Holdout(all.Len(), holdout.Images)
			kept = all.Subset(numbers)
			search, check = dataset.Parts(all.Len(), holdout.Images)
			i.held = fmt.Sprintf("%d of %d training images that were held back", holdout.Images, holdout.Of)
		}
		i.forget = !same
	}
	from := all
	if f.validation != "" {
		opt.Subset = dataset.All
		if from, err = f.read(ctx, []string{f.validation}, opt); err != nil {
			return nil, fmt.Errorf("--validation: %w", err)
		}
		search, check = dataset.Parts(from.Len(), from.Len())
		// A model that is published need not name the folders of a machine.
		i.held = fmt.Sprintf("%d images of %s", from.Len(), strings.ToValidUTF8(filepath.Base(f.validation), "?"))
	}
	if len(check) < fewest {
		return nil, fmt.Errorf("there are only %s to decide with, of which one half is for the search and the other one checks the result: it takes at least %d", i.held, 2*fewest)
	}
	i.search, i.check = from.Subset(search), from.Subset(check)
	if fineTune {
		i.training = kept
	}
	if i.test, err = f.readTest(ctx, opt); err != nil {
		return nil, err
	}
	if f.validation != "" {
		return i, f.separate(from, i)
	}
	return i, nil
}

// separate returns an error if the images of --validation are also used for something else. A few
// equal images occur in data sets.
func (f *flags) separate(validation *dataset.Samples, i *images) error {
	for _, other := range []struct {
		name   string
		images *dataset.Samples
	}{{"training images", i.training}, {"test images", i.test}} {
		if other.images == nil {
			continue
		}
		if n := validation.Shared(other.images); n > validation.Len()/100 {
			return fmt.Errorf("--validation %s: %d of its %d images are also %s: give images that are used for nothing else", f.validation, n, validation.Len(), other.name)
		}
	}
	return nil
}

// readTest returns the test images, or nil if there are none.
func (f *flags) readTest(ctx context.Context, opt dataset.Options) (*dataset.Samples, error) {
	if f.test != "" {
		opt.Subset = dataset.All
		s, err := f.read(ctx, []string{f.test}, opt)
		if err != nil {
			return nil, fmt.Errorf("--test: %w", err)
		}
		return s, nil
	}
	for _, path := range f.data {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			return nil, err
		}
	}
	if len(f.data) == 0 {
		return nil, nil
	}
	opt.Subset = dataset.Test
	s, err := f.read(ctx, f.data, opt)
	if errors.Is(err, dataset.ErrNoSubset) {
		return nil, nil
	}
	return s, err
}

func (f *flags) read(ctx context.Context, paths []string, opt dataset.Options) (*dataset.Samples, error) {
	return dataset.LoadPaths(ctx, paths, opt, f.workers.Value)
}
