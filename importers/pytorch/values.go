package pytorch

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spike-by-spike/sbs/ops"
)

// tolerance is the largest difference of a column's sum from 1 that is not corrected.
// Columns that were normalized in float32 stay within 1e-6 in all published files.
const tolerance = 1e-4

// normalize checks the weights of an SbS layer, (places, neurons), and divides each
// column by its sum if that differs from 1 by more than the tolerance. It returns the
// number of changed columns and the largest difference. Within the tolerance it keeps
// every bit, because the network was tested with these values.
func normalize(w []float32, neurons int, tolerance float64) (changed int, worst float64, err error) {
	sums := make([]float64, neurons)
	for i, v := range w {
		if v < 0 {
			return 0, 0, fmt.Errorf("the weight [%d, %d] is %v, but the weights of an SbS layer cannot be negative", i/neurons, i%neurons, v)
		}
		sums[i%neurons] += float64(v)
	}
	off := make([]bool, neurons)
	for n, s := range sums {
		if s == 0 {
			return 0, 0, fmt.Errorf("column %d is all zeros: neuron %d could never become active", n, n)
		}
		if d := math.Abs(s - 1); d > tolerance {
			off[n] = true
			changed++
			worst = max(worst, d)
		}
	}
	if changed == 0 {
		return 0, 0, nil
	}
	for i, v := range w {
		if n := i % neurons; off[n] {
			w[i] = float32(float64(v) / sums[n])
		}
	}
	return changed, worst, nil
}

func finite(v float32) bool { return math.Abs(float64(v)) <= math.MaxFloat32 }

// maxGenerated bounds the elements of all generated arrays together, to 256 MB: a small
// configuration must not allocate more.
const maxGenerated = 1 << 26

// generate returns a zeroed array for values without a file.
func (ld *loader) generate(l layer, shape []int) ([]float32, error) {
	n, err := ops.Len(shape)
	if err != nil || n > maxGenerated-ld.generated {
		return nil, fmt.Errorf("%v has no file, and an array of shape %v is too large to be generated: with those of other layers (%d elements) it exceeds %d elements",
			l, shape, ld.generated, maxGenerated)
	}
	ld.generated += n
	return make([]float32, n), nil
}

// poolingWeights returns the fixed weights of a pooling layer: neuron n has equal
// weights for all kernel places of channel n.
func (ld *loader) poolingWeights(l layer) ([]float32, error) {
	neurons := l.out.Channels
	w, err := ld.generate(l, []int{l.places(), neurons})
	if err != nil {
		return nil, err
	}
	area := l.window.Kernel[0] * l.window.Kernel[1]
	for k := range l.places() {
		w[k*neurons+k/area] = 1 / float32(area)
	}
	return w, nil
}

// random returns uniform random values in [lo, hi), which depend only on the layer, the
// seed and the shape.
func (ld *loader) random(l layer, shape []int, lo, hi float64) ([]float32, error) {
	w, err := ld.generate(l, shape)
	if err != nil {
		return nil, err
	}
	var seed uint64
	if ld.start != nil {
		seed = ld.start.Seed
	}
	randomValues(seed, l.index, len(shape), w, lo, hi)
	return w, nil
}

// randomValues sets values to uniform random numbers in [lo, hi), which depend only on the seed,
// the number of the layer, and the rank of the array.
func randomValues(seed uint64, layer, rank int, values []float32, lo, hi float64) {
	// The rank distinguishes the weights of a convolution from its bias.
	r := rand.New(rand.NewPCG(seed, uint64(layer)<<8|uint64(rank)))
	for i := range values {
		values[i] = float32(lo + float64((hi-lo)*r.Float64()))
	}
}

// initialBound returns the bound of PyTorch's initial values for a convolution and its
// bias, given the number of inputs to one output.
func initialBound(inputs int) float64 { return 1 / math.Sqrt(float64(inputs)) }
