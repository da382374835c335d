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
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/metadata"
)

// images are the images that an optimization uses, each for one purpose.
type images struct {
	training *dataset.Samples // nil without fine-tuning
	search   *dataset.Samples // decide about networks
	check    *dataset.Samples // for the accuracy at the end and the calibration of stages
	test     *dataset.Samples // nil if there are none
	notes    []string         // warnings about the files of the images
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
	classes, err := cli.Classes(n)
	if err != nil {
		return nil, err
	}
	opt := dataset.Options{Size: dataset.Size(n.Input), Resize: f.resize, Invert: dataset.Invert(f.invert), Borders: (*metadata.Borders)(n.Borders), Classes: n.Classes, NumClasses: classes}
	i := &images{}
	if f.validation == "" && holdout == nil {
		return nil, noRecord(f.paths[0])
	}
	var all *dataset.Samples
	if len(f.data) > 0 {
		opt.Subset = dataset.Training
		all, err = f.read(ctx, i, f.data, opt)
		if err != nil && (fineTune || f.validation == "" || !errors.Is(err, dataset.ErrNoSubset)) {
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
		if from, err = f.read(ctx, i, []string{f.validation}, opt); err != nil {
			return nil, fmt.Errorf("--validation: %w", err)
		}
		search, check = dataset.Parts(from.Len(), from.Len())
		// A model that is published need not name the folders of a machine.
		i.held = fmt.Sprintf("%d images of %s", from.Len(), strings.ToValidUTF8(filepath.Base(f.validation), "?"))
	}
	if len(check) < fewest {
		return nil, fmt.Errorf("%s are too few: it takes at least %d, one half for the search and one half for the check", i.held, 2*fewest)
	}
	i.search, i.check = from.Subset(search), from.Subset(check)
	if fineTune {
		i.training = kept
	}
	if i.test, err = f.readTest(ctx, i, opt); err != nil {
		return nil, err
	}
	if f.validation != "" {
		if err := separate("--validation "+f.validation, from, kept, "training images"); err != nil {
			return nil, err
		}
		return i, separate("--validation "+f.validation, from, i.test, "test images")
	}
	if f.test != "" {
		return i, separate("--test "+f.test, i.test, all, "training images")
	}
	return i, nil
}

// noRecord is the error about a model whose training held no images back.
func noRecord(path string) error {
	return fmt.Errorf("%s does not record which training images it has not seen, and images that it has seen would make few spikes look better than they are: "+
		"train it with sbs-train --holdout N, or give other labeled images with --validation PATH", path)
}

// separate returns an error if images are also used for something else. A few equal images occur
// in data sets.
func separate(flag string, s, other *dataset.Samples, name string) error {
	if s == nil || other == nil {
		return nil
	}
	if n := s.Shared(other); n > s.Len()/100 {
		return fmt.Errorf("%s: %d of its %d images are also %s: give images that are used for nothing else", flag, n, s.Len(), name)
	}
	return nil
}

// readTest returns the test images, or nil if there are none.
func (f *flags) readTest(ctx context.Context, i *images, opt dataset.Options) (*dataset.Samples, error) {
	if f.test != "" {
		opt.Subset = dataset.All
		s, err := f.read(ctx, i, []string{f.test}, opt)
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
	s, err := f.read(ctx, i, f.data, opt)
	if errors.Is(err, dataset.ErrNoSubset) {
		return nil, nil
	}
	return s, err
}

// read loads images and notes what the user should know about them.
func (f *flags) read(ctx context.Context, i *images, paths []string, opt dataset.Options) (*dataset.Samples, error) {
	s, err := dataset.LoadPaths(ctx, paths, opt, f.workers.Value)
	if err != nil {
		return nil, err
	}
	i.notes = append(i.notes, s.Warnings()...)
	i.notes = append(i.notes, cli.PictureWarnings(f.invert, s.Inverted(), s.Len(), s.Blank())...)
	return s, nil
}
