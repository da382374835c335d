package classify

import (
	"fmt"
	"image"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// Prepared is an image as an input of the model.
type Prepared struct {
	Pixels   *runtime.Tensor // float32 (1, channels, height, width)
	Inverted bool            // see Invert
	Blank    bool            // all pixels have nearly the same value
}

// Prepare returns an image as Images gives it to the model, for a program that runs the model
// itself: with Resize and Invert, and with the noise of image 0. Results names the classes of what
// the model returns.
func (c *Classifier) Prepare(img image.Image) (Prepared, error) {
	if !c.made() {
		return Prepared{}, errNotMade
	}
	m, err := c.fromImage(0, img)
	if err != nil {
		return Prepared{}, err
	}
	t, err := c.tensor(m.Pixels)
	return Prepared{Pixels: t, Inverted: m.Inverted, Blank: m.Blank}, err
}

// CheckValues returns an error if a batch of images has a value that Run refuses. The error wraps
// runtime.ErrValue.
func (c *Classifier) CheckValues(images *runtime.Tensor) error {
	if !c.made() {
		return errNotMade
	}
	return c.checkValues(images)
}

// Results returns the classification of images from the outputs of a run of the model, which it
// does not modify. effort is what runtime.ReportEffort has reported about the run, or the zero
// value.
func (c *Classifier) Results(outputs map[string]*runtime.Tensor, effort runtime.Effort) ([]Result, error) {
	if !c.made() {
		return nil, errNotMade
	}
	t := outputs[c.output]
	if t.DType() != ops.Float32 || t.Len()%c.count != 0 {
		return nil, fmt.Errorf("classify: %w: the output %q of the model is %v, want %d numbers per image", ops.ErrShape, c.output, t, c.count)
	}
	v := slices.Clone(t.Float32s())
	results := make([]Result, len(v)/c.count)
	for i := range results {
		if err := c.setResult(&results[i], c.outputOf(v, effort, i), c.classes); err != nil {
			return nil, fmt.Errorf("classify: image %d: %w", i, err)
		}
	}
	return results, nil
}
