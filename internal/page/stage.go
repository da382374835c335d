package page

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// stage is a stage of a model, or all of a model without stages.
type stage struct {
	model     *runtime.Model
	threshold float64 // 0 for the last stage
	spiking   []runtime.SbSLayer

	// The following are nil for models that sbs-convert has not written: of those, the page
	// shows the belief only.
	network *convert.Network
	sizes   []convert.Size // of the preprocessed image and the output of each layer
	layers  []layer        // those with an h
	front   *front
}

// layer is a layer with an h: SbS or NNMF.
type layer struct {
	number  int // in the network
	window  convert.Window
	weights *ops.Tensor // (K, N)
}

// front is the first layer with an h. It is nil if its input is not the picture.
type front struct {
	layer
	name   string       // of its node, if it draws spikes
	in     convert.Size // of its input
	split  *convert.OnOff
	shared bool // all positions share the spikes: see convert.SbS.FullLayer
}

func layerName(number int) string { return fmt.Sprintf("L%d", number) }

// describe adds what the page shows of the layers of a network.
func (s *stage) describe(n *convert.Network) (err error) {
	s.network = n
	if s.sizes, err = n.Sizes(); err != nil {
		return err
	}
	var split *convert.OnOff
	picture := true // the layers so far leave the picture as it is, apart from an on/off split
	for i, l := range n.Layers {
		h := layer{number: i}
		shared := false
		switch l := l.(type) {
		case *convert.SbS:
			h.window, h.weights, shared = l.Window, l.Weights, l.FullLayer
		case *convert.NNMF:
			h.window, h.weights = l.Window, l.Weights
		case *convert.OnOff:
			picture = picture && split == nil && n.Preprocessing.OnOffMean == nil
			split = l
			continue
		default:
			picture = false
			continue
		}
		if picture {
			s.front = &front{layer: h, in: s.sizes[i], split: split, shared: shared}
			picture = false
		}
		s.layers = append(s.layers, h)
	}
	for _, l := range s.spiking {
		if s.front != nil && numberOf(l.Name) == s.front.number {
			s.front.name = l.Name
		}
	}
	return nil
}

// numberOf returns the number of the layer of a node that sbs-convert has written, such as 3 for
// "L3/SbS", and -1 for another node.
func numberOf(node string) int {
	var number int
	if _, err := fmt.Sscanf(node, "L%d/", &number); err != nil {
		return -1
	}
	return number
}

// layerOf returns the layer with an h that has a number, or nil.
func (s *stage) layerOf(number int) *layer {
	for i := range s.layers {
		if s.layers[i].number == number {
			return &s.layers[i]
		}
	}
	return nil
}

// own returns the largest number of spikes of a layer, and 0 if no layer draws spikes.
func (s *stage) own() int {
	most := 0
	for _, l := range s.spiking {
		most = max(most, l.Spikes)
	}
	return most
}

// spikes returns the number of spikes of each layer after t spikes, in a run in which every layer
// has the given number of them. A limit of 0 stands for each layer's own number.
func (s *stage) spikes(t, limit int) []int {
	list := make([]int, len(s.spiking))
	for i, l := range s.spiking {
		list[i] = l.Spikes
		if limit > 0 {
			list[i] = limit
		}
		list[i] = min(list[i], t)
	}
	return list
}

// work estimates the cost of a frame in multiplications.
func (s *stage) work(spikes []int) float64 {
	const (
		rest    = 1e5 // everything but spikes
		neurons = 64  // if the number is unknown
	)
	work := float64(rest)
	for i, l := range s.spiking {
		n := neurons
		if h := s.layerOf(numberOf(l.Name)); h != nil {
			n = h.weights.Shape()[1]
		}
		perSpike := math.Max(1, float64(l.Updates)) / math.Max(1, float64(l.Spikes))
		work += float64(float64(perSpike*float64(spikes[i])) * float64(n))
	}
	if f := s.front; f != nil { // the reconstruction
		out := s.sizes[f.number+1]
		work += float64(float64(f.weights.Len()) * float64(out.Height*out.Width))
	}
	return work
}
