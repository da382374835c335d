package c99

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
)

// Quantize returns the network with weights of 8 bits, as they are in a C file. Its other parts are those of n.
//
// The weights of SbS and NNMF layers become whole numbers from 0 to 255. Each row of the weights (K, N), those of
// one entry of a patch, has the scale with which its largest weight becomes 255. The scales are dropped: the
// effect of an entry on h depends only on the ratios of its weights. Each filter of a convolution has a scale
// with which its weights become whole numbers from -127 to 127, and the network has the products.
func Quantize(n *convert.Network) (*convert.Network, error) {
	q := *n
	q.Layers = make([]convert.Layer, len(n.Layers))
	for i, l := range n.Layers {
		if !finite(l) {
			return nil, fmt.Errorf("c99: layer %d (%s) has %s: there are no weights of 8 bits for them", i, l.Kind(), notFinite)
		}
		switch l := l.(type) {
		case *convert.SbS:
			c := *l
			c.Weights = quantizeRows(l.Weights, minOverlap)
			q.Layers[i] = &c
		case *convert.NNMF:
			c := *l
			c.Weights = quantizeRows(l.Weights, 0)
			q.Layers[i] = &c
		case *convert.Conv:
			c := *l
			c.Weights = dequantized(l.Weights)
			q.Layers[i] = &c
		case *convert.ApproxConv:
			c := *l
			c.Weights = dequantized(l.Weights)
			q.Layers[i] = &c
		case *convert.Reconstruction:
			return nil, fmt.Errorf("c99: layer %d (%s) needs the scales of the weights, which weights of 8 bits do not have", i, l.Kind())
		default:
			q.Layers[i] = l
		}
	}
	return &q, nil
}

// quantizeRows returns weights (K, N) as whole numbers from 0 to 255. Rows whose weights are at most least, which have
// no effect, become 0.
func quantizeRows(w *ops.Tensor, least float32) *ops.Tensor {
	q := w.Clone()
	v, n := q.Float32s(), w.Shape()[1]
	for ; len(v) > 0; v = v[n:] {
		row := v[:n]
		var largest float32
		for _, x := range row {
			largest = max(largest, x)
		}
		for i, x := range row {
			row[i] = 0
			if largest > least {
				row[i] = float32(math.RoundToEven(255 * float64(x) / float64(largest)))
			}
		}
	}
	return q
}

// quantizeFilters returns weights (filters, ...) as whole numbers, and the scale of each filter.
func quantizeFilters(w *ops.Tensor) (values []int8, scales []float32) {
	const most = 127
	v := w.Float32s()
	size := len(v) / w.Shape()[0]
	for ; len(v) > 0; v = v[size:] {
		var largest float32
		for _, x := range v[:size] {
			largest = max(largest, float32(math.Abs(float64(x))))
		}
		scale := largest / most
		scales = append(scales, scale)
		for _, x := range v[:size] {
			q := 0.0
			if scale > 0 {
				q = math.RoundToEven(float64(x) / float64(scale))
			}
			values = append(values, int8(min(max(q, -most), most)))
		}
	}
	return values, scales
}

// dequantized returns the weights for which quantized filters stand.
func dequantized(w *ops.Tensor) *ops.Tensor {
	values, scales := quantizeFilters(w)
	q := w.Clone()
	size := len(values) / len(scales)
	for i, x := range values {
		q.Float32s()[i] = float32(x) * scales[i/size]
	}
	return q
}
