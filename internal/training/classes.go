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
		j.note("the model does not name its classes; the class folders name them, in this order: %s", listed(j.network.Classes))
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

// emptyClasses names the classes without images, "" if there are none.
func emptyClasses(s *dataset.Samples, names []string, count int) string {
	seen := make(map[int]bool, count)
	for i := range s.Len() {
		seen[s.Label(i)] = true
	}
	var missing []string
	for c := range count {
		switch {
		case seen[c]:
		case c < len(names):
			missing = append(missing, names[c])
		default:
			missing = append(missing, fmt.Sprint(c))
		}
	}
	return listed(missing)
}

// listed joins names, at most ten of them.
func listed(names []string) string {
	if len(names) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), len(names)-maxListed)
	}
	return strings.Join(names, ", ")
}

// maxListed is the largest number of classes that a message lists.
const maxListed = 10

// describeClasses names classes: "2 classes (cat, dog)".
func describeClasses(names []string, count int) string {
	what := fmt.Sprintf("%d classes", count)
	if count == 1 {
		what = "1 class"
	}
	if names == nil {
		return fmt.Sprintf("%s (labels 0 to %d)", what, count-1)
	}
	return fmt.Sprintf("%s (%s)", what, listed(names))
}
