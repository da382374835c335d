package batch

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// join makes one request of the jobs of a batch, whose inputs have the same types apart from their
// first dimension.
func join(jobs []*job) (Request, error) {
	if len(jobs) == 1 {
		return jobs[0].Request, nil
	}
	b := Request{Options: jobs[0].Options, Inputs: map[string]*runtime.Tensor{}}
	for _, j := range jobs {
		b.Images += j.Images
		b.Seeds, b.Numbers = append(b.Seeds, j.Seeds...), append(b.Numbers, j.Numbers...)
	}
	for name, first := range jobs[0].Inputs {
		shape := slices.Clone(first.Shape())
		shape[0] = b.Images
		t, err := ops.Zeros(first.DType(), shape)
		if err != nil {
			return b, fmt.Errorf("input %q: %w", name, err)
		}
		to := reflect.ValueOf(t.Elements())
		for _, j := range jobs {
			to = to.Slice(reflect.Copy(to, reflect.ValueOf(j.Inputs[name].Elements())), to.Len())
		}
		b.Inputs[name] = t
	}
	return b, nil
}

// split returns the rows of the outputs of a batch that belong to each job. The results of
// different jobs share no elements.
func split(jobs []*job, r Result) ([]Result, error) {
	if len(jobs) == 1 {
		return []Result{r}, nil
	}
	total := 0
	for _, j := range jobs {
		total += j.Images
	}
	parts := make([]Result, len(jobs))
	for i := range parts {
		parts[i].Outputs = map[string]*runtime.Tensor{}
	}
	for name, t := range r.Outputs {
		if len(t.Shape()) == 0 || t.Shape()[0] != total {
			return nil, fmt.Errorf("output %q of the model is %v for a batch of %d images: the model cannot compute the requests of several clients together", name, t, total)
		}
		shape := slices.Clone(t.Shape())
		all, each := reflect.ValueOf(t.Elements()), t.Len()/total
		first := 0
		for i, j := range jobs {
			shape[0] = j.Images
			part, err := ops.FromSlice(shape, all.Slice3(first*each, (first+j.Images)*each, (first+j.Images)*each).Interface())
			if err != nil {
				return nil, fmt.Errorf("output %q: %w", name, err)
			}
			parts[i].Outputs[name], first = part, first+j.Images
		}
	}
	first := 0
	for i, j := range jobs {
		if r.Effort.Stages != nil {
			parts[i].Effort.Stages = r.Effort.Stages[first : first+j.Images]
		}
		if r.Effort.Updates != nil {
			parts[i].Effort.Updates = r.Effort.Updates[first : first+j.Images]
		}
		first += j.Images
	}
	return parts, nil
}
