package runtime

import "unsafe"

// BufferBytes returns the size of the buffers that the model keeps after a run for the
// next one, all of them of float32.
func (m *Model) BufferBytes() int64 {
	f := m.frames.Get().(*frame)
	defer m.frames.Put(f)
	buffers := map[*float32]int{}
	for slot, t := range f.values {
		if t == nil || m.graph.consts[slot] != nil {
			continue
		}
		if d := t.Float32s(); len(d) > 0 {
			buffers[unsafe.SliceData(d)] = cap(d)
		}
	}
	var total int64
	for _, n := range buffers {
		total += 4 * int64(n)
	}
	return total
}

// GradientScales returns the scales of the SbS layers.
func (t *Tuner) GradientScales() []float32 {
	var scales []float32
	for i, l := range t.layers {
		if l.sbs {
			scales = append(scales, t.state.Scales[i])
		}
	}
	return scales
}
