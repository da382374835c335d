package page

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/runtime"
)

// recorder computes the frames of a lane.
type recorder struct {
	stage      *stage
	classifier *classify.Classifier
	request    *Request
	frames     []int

	lane
	in    field // of the front layer
	scale float32
	mass  []float32
}

// record runs the network once per frame. The numbers of a frame are those of sbs-run with as many
// spikes.
func (r *recorder) record(ctx context.Context, x *runtime.Tensor, sampler runtime.Sampler) (*lane, error) {
	r.Sampler = string(sampler)
	s := r.stage
	room := maxSeries
	for _, l := range s.layers {
		size := s.sizes[l.number+1]
		bytes := len(r.frames) * size.Channels * size.Height * size.Width
		r.Layers = append(r.Layers, laneLayer{Layer: l.number, Neurons: size.Channels, Height: size.Height, Width: size.Width, shown: bytes <= room})
		if bytes <= room {
			room -= bytes
		}
	}
	if f := s.front; f != nil {
		size := s.sizes[f.number+1]
		r.in, r.scale = s.input(x.Float32s())
		r.mass = masses(f.window, r.in, [2]int{size.Height, size.Width})
	}
	for i, t := range r.frames {
		if err := r.frame(ctx, x, t, i == len(r.frames)-1, sampler); err != nil {
			return nil, err
		}
	}
	return &r.lane, nil
}

// frame runs the network with t spikes in every layer.
func (r *recorder) frame(ctx context.Context, x *runtime.Tensor, t int, last bool, sampler runtime.Sampler) error {
	s := r.stage
	var options []runtime.RunOption
	if len(s.spiking) > 0 {
		options = append(options, dynamics(s.spikes(t, r.request.Spikes), sampler, r.request.Fit))
	}
	observed := map[string]*runtime.Tensor{}
	if len(s.layers) > 0 {
		options = append(options, runtime.Observe(func(name string, v *runtime.Tensor) { observed[name] = v }))
	}
	if spikes := s.frontSpikes(t, r.request.Spikes); last && spikes > 0 {
		options = append(options, runtime.Watch(runtime.Watcher{
			Layers: []string{s.front.name}, After: []int{spikes}, Spikes: true,
			Snapshot: func(shot runtime.Snapshot) bool {
				r.count(shot.Drawn)
				return true
			},
		}))
	}
	results, err := r.classifier.Run(ctx, x, options...)
	if err != nil {
		return err
	}
	r.Probabilities = append(r.Probabilities, results[0].Probabilities)
	r.Updates = results[0].Updates
	for i := range r.Layers {
		r.addLayer(&r.Layers[i], observed[layerName(r.Layers[i].Layer)])
	}
	return nil
}

// dynamics returns the option for a run with the given numbers of spikes.
func dynamics(spikes []int, sampler runtime.Sampler, fit bool) runtime.RunOption {
	each := make([]runtime.Dynamics, len(spikes))
	for i, n := range spikes {
		each[i] = runtime.Dynamics{Spikes: n, Sampler: sampler}
		if fit {
			each[i].Schedule = &runtime.Schedule{Auto: true}
		}
	}
	return runtime.EachLayer(each...)
}

// frontSpikes returns the number of spikes of the front layer after t spikes, or 0 if it draws none
// or more than can be shown.
func (s *stage) frontSpikes(t, limit int) int {
	if s.front == nil {
		return 0
	}
	for i, l := range s.spiking {
		if l.Name == s.front.name {
			n := s.spikes(t, limit)[i]
			if size := s.sizes[s.front.number+1]; n > maxDrawn/(size.Height*size.Width) {
				return 0
			}
			return n
		}
	}
	return 0
}

// addLayer adds a frame of a layer.
func (r *recorder) addLayer(l *laneLayer, h *runtime.Tensor) {
	size := convert.Size{Channels: l.Neurons, Height: l.Height, Width: l.Width}
	if h == nil || h.Len() != l.Neurons*l.Height*l.Width {
		return
	}
	values := h.Float32s()
	if f := r.stage.front; f != nil && f.number == l.Layer && len(r.frames)*len(r.in.values) <= maxSeries {
		r.Sees = append(r.Sees, toBytes(r.stage.reconstruct(field{size, values}, r.in, r.scale, r.mass))...)
	}
	if !l.shown {
		return
	}
	most := slices.Max(values)
	l.Most = append(l.Most, most)
	for _, v := range values {
		l.H = append(l.H, byte(math.Round(float64(v)/math.Max(float64(most), 1e-30)*255)))
	}
}

// count sets Drawn and Dots to the numbers of spikes of the front layer and of each of its inputs. The spikes of a run
// with fewer spikes are the first ones of a run with more.
func (r *recorder) count(drawn *runtime.Tensor) {
	if 2*len(r.frames)*len(r.in.values) > maxSeries {
		return
	}
	f, shape, spikes := r.stage.front, drawn.Shape(), drawn.Int64s()
	limit, positions, width := shape[1], shape[2]*shape[3], shape[3]
	places := f.window.Kernel[0] * f.window.Kernel[1]
	counts := make([]uint16, len(r.in.values))
	done, total := 0, 0
	for _, t := range r.frames {
		for ; done < min(t, limit); done++ {
			for position, k := range spikes[done*positions:][:positions] {
				if k < 0 {
					continue
				}
				place := int(k) % places
				y := position/width*f.window.Strides[0] - f.window.Pads[0] + place/f.window.Kernel[1]*f.window.Dilations[0]
				x := position%width*f.window.Strides[1] - f.window.Pads[1] + place%f.window.Kernel[1]*f.window.Dilations[1]
				n := &counts[int(k)/places*r.in.Height*r.in.Width+r.in.at(y, x)]
				total++
				if *n < math.MaxUint16 {
					*n++
				}
				if f.shared { // the other positions see the same spike
					break
				}
			}
		}
		r.Drawn = append(r.Drawn, total)
		for _, n := range counts {
			r.Dots = binary.LittleEndian.AppendUint16(r.Dots, n)
		}
	}
}

// toBytes returns the pixels of a picture from 0 to 1 as bytes, with the channels of a pixel beside
// each other.
func toBytes(f field) []byte {
	size := f.Height * f.Width
	out := make([]byte, len(f.values))
	for i, v := range f.values {
		out[i%size*f.Channels+i/size] = byte(math.Round(float64(min(max(v, 0), 1)) * 255))
	}
	return out
}
