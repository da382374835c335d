package runtime_test

import (
	"math"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// departure is a difference between onnxruntime and the specification. Models that it concerns are run
// here, but not compared.
type departure struct {
	operator string
	reason   string
	of       func(g *generated) bool // whether it concerns a model, nil for all models with the operator
}

var departures = []departure{
	{"AffineGrid", "with align_corners, an axis with one pixel has the coordinate 1 instead of -1", func(g *generated) bool {
		out := g.constantOrInput(1).Int64s()
		return g.attribute("align_corners").GetI() == 1 && slices.Contains(out[2:], 1)
	}},
	{"AveragePool", "a stride longer than the kernel makes pads of auto_pad negative", negativePads},
	{"MaxPool", "a stride longer than the kernel makes pads of auto_pad negative", negativePads},
	{"LpPool", "a stride longer than the kernel makes pads of auto_pad negative", negativePads},
	{"AveragePool", "the pads of auto_pad ignore dilations", dilatedPads},
	{"MaxPool", "the pads of auto_pad ignore dilations", dilatedPads},
	{"MaxPool", "with VALID and ceil_mode, there may be one window too many", validCeiling},
	{"AveragePool", "with VALID and ceil_mode, there may be one window too many", validCeiling},
	{"Clip", "without a bound, infinity is replaced by the largest number", func(g *generated) bool {
		x, _ := ops.Data[float32](g.values["x0"])
		return slices.ContainsFunc(x, func(v float32) bool { return math.IsInf(float64(v), 0) })
	}},
	{"Col2Im", "dilations are wrong unless the image has two axes", func(g *generated) bool {
		d := g.attribute("dilations").GetInts()
		return len(d) != 2 && slices.Max(d) > 1
	}},
	{"ReduceLogSumExp", "the exponentials of integers are rounded before they are added", integers},
	{"Resize", "with antialias, integers are rounded after every axis, and negative ones are replaced by 0", func(g *generated) bool {
		return g.attribute("antialias") != nil && integers(g)
	}},
	{"Resize", "with align_corners, the size that scales give is rounded before it determines the places", func(g *generated) bool {
		return string(g.attribute("coordinate_transformation_mode").GetS()) == "align_corners" && g.constantOrInput(2).Len() > 0
	}},
	{"GRU", "Softplus overflows", overflows}, {"LSTM", "Softplus overflows", overflows}, {"RNN", "Softplus overflows", overflows},
	{"Softplus", "large float64 numbers overflow", func(g *generated) bool { return g.inputs["x0"].DType() == ops.Float64 }},
	{"TreeEnsembleRegressor", "base_values do not count for a target that no tree votes for", func(g *generated) bool {
		return g.attribute("base_values") != nil && g.attribute("n_targets").GetI() > 1
	}},
	{"TreeEnsembleClassifier", "the integer labels of two classes may be 0 and 1 instead of those of the model", func(g *generated) bool {
		return len(g.attribute("classlabels_int64s").GetInts()) == 2
	}},
	{"TreeEnsembleClassifier", "of two classes, PROBIT gives only one score", func(g *generated) bool {
		return len(g.attribute("classlabels_strings").GetStrings()) == 2 && string(g.attribute("post_transform").GetS()) == "PROBIT"
	}},
	{"TreeEnsembleClassifier", "of two classes, a row with votes for one of them has scores as if all votes of the model were for it", func(g *generated) bool {
		return len(g.attribute("classlabels_strings").GetStrings()) == 2 && slices.Contains(g.attribute("class_ids").GetInts(), 1)
	}},
}

func dilatedPads(g *generated) bool {
	return strings.HasPrefix(string(g.attribute("auto_pad").GetS()), "SAME") && g.attribute("dilations") != nil
}

func validCeiling(g *generated) bool {
	return string(g.attribute("auto_pad").GetS()) == "VALID" && g.attribute("ceil_mode").GetI() == 1
}

// overflows reports whether a recurrent network has the activation Softplus.
func overflows(g *generated) bool {
	return slices.ContainsFunc(g.attribute("activations").GetStrings(), func(s []byte) bool { return string(s) == "Softplus" })
}

// oldDepartures are those of onnxruntime 1.16.
var oldDepartures = []departure{
	{"Cast", "texts and bfloat16 are converted in another way, and the package for Node.js does not return float16", func(g *generated) bool {
		to := ops.DType(g.attribute("to").GetI())
		return len(g.graph.GetNode()) > 1 || g.values["x0"].DType() == ops.String || to == ops.String || to == ops.Float16
	}},
	{"Col2Im", "several images are wrong unless they have two axes", func(g *generated) bool { return g.constantOrInput(1).Len() != 2 }},
	{"Erf", "NaN becomes a number", nil},
	{"Log", "numbers below the smallest normal one are taken for it", nil},
	{"Max", "NaN is ignored", nil},
	{"Min", "NaN is ignored", nil},
	{"StringNormalizer", "its locale is not installed everywhere", nil},
	{"TfIdfVectorizer", "skips are wrong", nil},
	{"ReduceL1", "noop_with_empty_axes is ignored", noAxes}, {"ReduceL2", "noop_with_empty_axes is ignored", noAxes},
	{"ReduceSum", "noop_with_empty_axes is ignored", noAxes},
}

func noAxes(g *generated) bool { return g.attribute("noop_with_empty_axes") != nil }

// concerns reports whether the departure explains other results, or an error, of a model.
func (d *departure) concerns(g *generated) bool {
	for _, n := range g.graph.GetNode() {
		if n.GetOpType() == d.operator {
			return d.of == nil || d.of(g)
		}
	}
	return false
}

// comparable reports whether no departure concerns a model. Before version 1.17, onnxruntime has
// fewer operator sets, its package for Node.js does not take float16, and it departs more often.
func (g *generated) comparable(old bool) bool {
	list := departures
	if old {
		list = slices.Concat(departures, oldDepartures)
		for _, x := range g.values {
			if x.DType() == ops.Float16 {
				return false
			}
		}
		if g.opset > 17 {
			return false
		}
	}
	return !slices.ContainsFunc(list, func(d departure) bool { return d.concerns(g) })
}

// negativePads reports whether a pool with automatic pads has a stride that is longer than its kernel.
func negativePads(g *generated) bool {
	kernel, strides, dilations := g.attribute("kernel_shape").GetInts(), g.attribute("strides").GetInts(), g.attribute("dilations").GetInts()
	for i, k := range kernel {
		if dilations != nil {
			k = (k-1)*dilations[i] + 1
		}
		if strides != nil && strides[i] > k && strings.HasPrefix(string(g.attribute("auto_pad").GetS()), "SAME") {
			return true
		}
	}
	return false
}

// constantOrInput returns the value of an input of the last node, or nil.
func (g *generated) constantOrInput(i int) *runtime.Tensor {
	n := g.graph.GetNode()[len(g.graph.GetNode())-1]
	if i >= len(n.GetInput()) {
		return nil
	}
	return g.values[n.GetInput()[i]]
}

// integers reports whether the first input has integers.
func integers(g *generated) bool { return slices.Contains(integerTypes, g.inputs["x0"].DType()) }

// attribute returns an attribute of the last node, or nil.
func (g *generated) attribute(name string) *onnxpb.AttributeProto {
	for _, a := range g.graph.GetNode()[len(g.graph.GetNode())-1].GetAttribute() {
		if a.GetName() == name {
			return a
		}
	}
	return nil
}
