package graph

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// The axes of images (batch, channels, height, width).
const (
	heightAxis = 2
	imageRank  = 4
)

// setCrop sets Crop, given the types of the values of the main graph by slot. It follows the
// Slice nodes that nothing but the first input goes through.
func (p *Program) setCrop(types []*ops.Input) {
	if len(p.Inputs) == 0 || len(p.Inputs[0].Shape) != imageRank {
		return
	}
	var removed [imageRank][2]int // at the beginning and at the end of every axis
	for slot := p.Main.Inputs[0]; ; {
		s := p.Main.onlyUser(slot)
		if s == nil || s.Operator != "Slice" || s.Inputs[0] != slot || types[slot] == nil || types[s.Outputs[0]] == nil || !removeEnds(s, types, &removed) {
			break
		}
		slot = s.Outputs[0]
	}
	image := slices.Concat(removed[heightAxis][:], removed[heightAxis+1][:])
	p.Crop = slices.Min(image)
}

// onlyUser returns the step that uses a value, nil if there are several or none.
func (g *Graph) onlyUser(slot int) *Step {
	if slices.Contains(g.Outputs, slot) {
		return nil
	}
	var user *Step
	for i := range g.Steps {
		if slices.Contains(g.Steps[i].Inputs, slot) {
			if user != nil {
				return nil
			}
			user = &g.Steps[i]
		}
	}
	return user
}

// removeEnds adds the entries that a Slice node removes from its data. It returns false if they
// are not known before a run, or if the node does more than that.
func removeEnds(s *Step, types []*ops.Input, removed *[imageRank][2]int) bool {
	in, out := types[s.Inputs[0]].Shape, types[s.Outputs[0]].Shape
	starts := constants(s, 1, types)
	if starts == nil || slices.ContainsFunc(slices.Concat(in[heightAxis:], out[heightAxis:]), func(d ops.Dim) bool { return !d.Known() }) {
		return false
	}
	if slices.ContainsFunc(constants(s, 4, types), func(step int64) bool { return step != 1 }) {
		return false
	}
	axes := constants(s, 3, types)
	if axes == nil {
		axes = []int64{0, 1, 2, 3}[:len(starts)]
	}
	for i, axis := range axes {
		if axis < 0 {
			axis += imageRank
		}
		if axis < heightAxis {
			continue
		}
		size, first := in[axis].Size, starts[i]
		if first < 0 {
			first += int64(size)
		}
		first = min(max(first, 0), int64(size))
		removed[axis][0] += int(first)
		removed[axis][1] += size - int(first) - out[axis].Size
	}
	return true
}

// constants returns the value of an input of a step. It returns nil if the step does not have the
// input, or if the value is not a constant of integers.
func constants(s *Step, input int, types []*ops.Input) []int64 {
	if input >= len(s.Inputs) || s.Inputs[input] < 0 {
		return nil
	}
	v := types[s.Inputs[input]]
	if v == nil || v.Const == nil {
		return nil
	}
	if v.DType == ops.Int64 {
		return v.Const.Int64s()
	}
	short, _ := ops.Data[int32](v.Const)
	var list []int64
	for _, i := range short {
		list = append(list, int64(i))
	}
	return list
}
