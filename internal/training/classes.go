package training

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/dataset"
)

// loadForModel loads the training images of a fine-tuning. With --new-classes, the network gets a
// new last layer for their classes.
func (f *flags) loadForModel(ctx context.Context, j *job) (err error) {
	size := dataset.Size(j.network.Input)
	if f.newClasses {
		if j.images, err = f.loadTraining(ctx, j, size, nil, 0, j.network); err != nil {
			return err
		}
		return f.setNewClasses(j)
	}
	j.images, err = f.loadTraining(ctx, j, size, j.network.Classes, j.classes, j.network)
	if err == nil && j.network.Classes == nil && len(j.images.Classes()) == j.classes {
		j.network.Classes = slices.Clone(j.images.Classes())
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	// The images can be read if their classes do not matter: only the classes are wrong.
	if images, other := f.loadTraining(ctx, j, size, nil, 0, j.network); other == nil {
		return fmt.Errorf("%s: the images have %s, but the model has %s: train a new last layer for the classes of the images with --%s, or name the class folders as the classes of the model",
			strings.Join(f.data, ", "), describeClasses(images.Classes(), classesOf(images)), describeClasses(j.network.Classes, j.classes), flagNewClasses)
	}
	return err
}

// setNewClasses replaces the last layer by a new one for the classes of the training images.
func (f *flags) setNewClasses(j *job) error {
	count := classesOf(j.images)
	if count < 2 {
		return fmt.Errorf("--%s: the images of %s have %s, but a network needs at least two: put the images of each class into a folder of its own",
			flagNewClasses, strings.Join(f.data, ", "), describeClasses(j.images.Classes(), count))
	}
	n, err := pytorch.NewLastLayer(j.network, count, pytorch.Start{Seed: f.seed})
	if err != nil {
		return fmt.Errorf("--%s: %w", flagNewClasses, err)
	}
	n.Classes = slices.Clone(j.images.Classes())
	last, err := pytorch.LastLayer(n)
	if err != nil {
		return err
	}
	j.learned = false
	j.newLayer = fmt.Sprintf("layer %s (%s) is new, for %s", layerName(last), n.Layers[last].Kind(), describeClasses(n.Classes, count))
	if slices.Equal(j.network.Classes, n.Classes) && n.Classes != nil {
		j.note("the training images have the classes of the model; --%s replaces its last layer nevertheless", flagNewClasses)
	}
	if missing := emptyClasses(j.images, count); missing != nil {
		j.note("there are no training images of class %s: the network cannot learn it", strings.Join(missing, ", "))
	}
	j.network, j.classes = n, count
	return nil
}

// classesOf returns the number of classes of images.
func classesOf(s *dataset.Samples) int {
	count := len(s.Classes())
	for i := range s.Len() {
		count = max(count, s.Label(i)+1)
	}
	return count
}

// emptyClasses returns the classes without images, at most ten of them.
func emptyClasses(s *dataset.Samples, count int) []string {
	seen := make(map[int]bool, count)
	for i := range s.Len() {
		seen[s.Label(i)] = true
	}
	var missing []string
	for c := 0; c < count && len(missing) < maxListed; c++ {
		switch {
		case seen[c]:
		case c < len(s.Classes()):
			missing = append(missing, s.Classes()[c])
		default:
			missing = append(missing, fmt.Sprint(c))
		}
	}
	return missing
}

// maxListed is the largest number of classes that a message lists.
const maxListed = 10

// describeClasses names classes: "2 classes (cat, dog)".
func describeClasses(names []string, count int) string {
	what := fmt.Sprintf("%d classes", count)
	if count == 1 {
		what = "1 class"
	}
	switch {
	case names == nil:
		return fmt.Sprintf("%s (labels 0 to %d)", what, count-1)
	case len(names) > maxListed:
		return fmt.Sprintf("%s (%s and %d more)", what, strings.Join(names[:maxListed], ", "), len(names)-maxListed)
	}
	return fmt.Sprintf("%s (%s)", what, strings.Join(names, ", "))
}
