package train

// GradientScales returns the gradient scales of the SbS layers, in their order.
func (t *Trainer) GradientScales() []float32 {
	var scales []float32
	for i, l := range t.layers {
		if l.scaled {
			scales = append(scales, t.state.Scales[i])
		}
	}
	return scales
}
