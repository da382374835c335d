package train

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/ops"
)

// setNoise sets the noise of the training images, see Config.Noise.
func (t *Trainer) setNoise() (err error) {
	c, p := &t.config, t.program
	if c.NoiseShare != 0 && !(c.NoiseShare > 0 && c.NoiseShare <= 1) {
		return fmt.Errorf("NoiseShare is %v, want a number above 0, at most 1 (or 0 for the default)", c.NoiseShare)
	}
	share := c.NoiseShare
	if share == 0 {
		share = DefaultNoiseShare
	}
	if t.noise, err = noise.ParseMix(c.Noise, share); err != nil || t.noise.Empty() {
		return err
	}
	shape := p.Inputs[0].Shape
	if len(shape) != 4 || !shape[2].Known() || !shape[3].Known() {
		return fmt.Errorf("the model's input is %v, but noise needs images of a known size, float32(batch, channels, height, width)", p.Inputs[0].Type)
	}
	return t.noise.Fits(shape[2].Size, shape[3].Size, p.Crop)
}

// noisy returns the images of a sub-batch with noise, in memory that the next call uses again.
// first is the number of the first image.
func (t *Trainer) noisy(images *ops.Tensor, first uint64) (*ops.Tensor, error) {
	if t.noise.Empty() {
		return images, nil
	}
	shape := images.Shape()
	size := shape[1] * shape[2] * shape[3]
	t.pixels = append(t.pixels[:0], images.Float32s()...)
	for i := range shape[0] {
		t.noise.Apply(t.pixels[i*size:][:size], shape[1], shape[2], shape[3], t.config.Seed, 0, first+uint64(i))
	}
	return ops.NewTensor(shape, t.pixels)
}
