package models

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// Outputs of models that classify images, which the server computes from those of the model.
const (
	outClassNames = "class_names"         // BYTES [images top]: the most probable classes
	outClassProbs = "class_probabilities" // FP32 [images top]: their probabilities
	outStage      = "stage"               // INT64 [images]: the stage at which the image has left
	outUpdates    = "updates"             // INT64 [images]: the number of spike updates
	outInverted   = "inverted"            // BOOL [images]: the image was inverted
)

// derived lists the outputs that the server computes for a model.
func (v *loaded) derived() []string {
	if v.classifier == nil {
		return nil
	}
	return []string{outClassNames, outClassProbs, outStage, outUpdates, outInverted}
}

// wanted returns the names of the outputs to return.
func (v *loaded) wanted(r *inference.Request, s settings) ([]string, error) {
	infos := v.model.Outputs()
	if s.top > 0 && v.classifier == nil {
		return nil, inference.Errorf(inference.Invalid, "parameter \"top\" cannot be used: the model does not classify images: %w", v.noImages)
	}
	if r.Image && v.classifier == nil {
		return nil, inference.Errorf(inference.Invalid, "the body is an image, but the model does not classify images: %w", v.noImages)
	}
	if r.Outputs == nil {
		if r.Image {
			list := []string{outClassNames, outClassProbs, outUpdates, outInverted}
			if v.model.Stages() != nil {
				list = append(list, outStage)
			}
			return list, nil
		}
		list := make([]string, len(infos))
		for i, info := range infos {
			list[i] = info.Name
		}
		if s.top > 0 {
			list = append(list, outClassNames, outClassProbs)
		}
		return list, nil
	}
	for i, name := range r.Outputs {
		known := slices.ContainsFunc(infos, func(info runtime.ValueInfo) bool { return info.Name == name })
		if !known && !slices.Contains(v.derived(), name) {
			text := names(infos)
			if list := v.derived(); list != nil {
				text += fmt.Sprintf("; the server also computes %q", list)
			}
			return nil, inference.Errorf(inference.Invalid, "output %q: the model has no output of this name: its outputs are %s", name, text)
		}
		if slices.Contains(r.Outputs[:i], name) {
			return nil, inference.Errorf(inference.Invalid, "output %q: the request asks for it twice", name)
		}
	}
	return r.Outputs, nil
}

// outputs returns the outputs with the given names.
func (v *loaded) outputs(wanted []string, r *inferred, top int) ([]inference.Output, error) {
	var results []classify.Result
	list := make([]inference.Output, 0, len(wanted))
	for _, name := range wanted {
		out := inference.Output{Name: name}
		if t := r.result.Outputs[name]; t != nil {
			out.Shape, out.Values = t.Shape(), t
			list = append(list, out)
			continue
		}
		if results == nil {
			var err error
			if results, err = v.classifier.Results(r.result.Outputs, r.result.Effort); err != nil {
				return nil, err
			}
			if n := len(r.inverted); n > 0 {
				results = results[:min(n, len(results))] // a model of a fixed batch size has computed more
			}
		}
		var err error
		if out.Tensor, err = derive(name, results, r.inverted, top); err != nil {
			return nil, err
		}
		list = append(list, out)
	}
	return list, nil
}

// derive computes an output from the results of all images.
func derive(name string, results []classify.Result, inverted []bool, top int) (inference.Tensor, error) {
	n := len(results)
	if n == 0 {
		return inference.Tensor{}, inference.Errorf(inference.Invalid, "output %q: the request has no images", name)
	}
	if top == 0 {
		top = defaultTop
	}
	t := inference.Tensor{Shape: []int{n}}
	var err error
	switch name {
	case outClassNames, outClassProbs:
		top = min(top, len(results[0].Probabilities))
		t.Shape = []int{n, top}
		var probabilities []float32
		for _, r := range results {
			for _, g := range r.Top(top) {
				t.Strings = append(t.Strings, []byte(strings.ToValidUTF8(g.Name, "\uFFFD")))
				probabilities = append(probabilities, g.Probability)
			}
		}
		if name == outClassProbs {
			t.Strings = nil
			t.Values, err = ops.NewTensor(t.Shape, probabilities)
		}
	case outStage, outUpdates:
		numbers := make([]int64, n)
		for i, r := range results {
			if numbers[i] = r.Updates; name == outStage {
				numbers[i] = int64(r.Stage)
			}
		}
		t.Values, err = ops.NewTensor(t.Shape, numbers)
	case outInverted:
		values := make([]bool, n)
		copy(values, inverted)
		t.Values, err = ops.NewTensor(t.Shape, values)
	}
	return t, err
}

// rowOf returns the elements of one entry of the first dimension of a tensor.
func rowOf(t *runtime.Tensor, i int) any {
	size := t.Len() / t.Shape()[0]
	if v := t.Float32s(); v != nil {
		return v[i*size : (i+1)*size]
	}
	return reflect.ValueOf(t.Elements()).Slice(i*size, (i+1)*size).Interface()
}
