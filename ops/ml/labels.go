package ml

import "github.com/spike-by-spike/sbs/ops"

// labels are the names of classes, either integers or strings.
type labels struct {
	integers []int64
	words    []string // nil if the labels are integers
}

// readLabels reads the labels of a classifier. One of the two attributes must be given.
func readLabels(a *attributes, integers, words string) labels {
	l := labels{attr(a, integers, []int64(nil)), attr(a, words, []string(nil))}
	if (len(l.integers) > 0) == (len(l.words) > 0) {
		a.failf("want either %s or %s", integers, words)
	}
	return l
}

func (l *labels) len() int { return max(len(l.integers), len(l.words)) }

func (l *labels) dtype() ops.DType {
	if len(l.words) > 0 {
		return ops.String
	}
	return ops.Int64
}

// binary returns labels of two classes: those of the negative and the positive class.
func (l *labels) binary() labels {
	switch {
	case l.len() == 2:
		return *l
	case l.dtype() == ops.String:
		return labels{words: []string{"0", "1"}}
	}
	return labels{integers: []int64{0, 1}}
}

// put stores the label of a class as element i of an output.
func (l *labels) put(out *ops.Tensor, i, class int) {
	if words, ok := ops.Data[string](out); ok {
		words[i] = l.words[class]
		return
	}
	out.Int64s()[i] = l.integers[class]
}

// argmax returns the index of the first one of the largest numbers.
func argmax[T realNumber](scores []T) int {
	best := 0
	for i, v := range scores {
		if v > scores[best] {
			best = i
		}
	}
	return best
}

// classified returns the types of the outputs of a classifier: one label and some scores per
// row.
func (l *labels) classified(rows ops.Dim, scores int) []ops.Type {
	return []ops.Type{
		{DType: l.dtype(), Shape: []ops.Dim{rows}},
		{DType: ops.Float32, Shape: []ops.Dim{rows, {Size: scores}}},
	}
}
