package graph

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/ml"
	"github.com/spike-by-spike/sbs/ops/preview"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// The versions of the standard operators that package ops/std implements.
const (
	minOpset = 1
	maxOpset = 27
)

// previewDomain is the domain of operators that ONNX may still change.
const previewDomain = "ai.onnx.preview"

// newestOpsets has the newest version of the operators of each domain that is part of ONNX. A
// model that imports no version of one of them gets the newest, as in onnxruntime.
var newestOpsets = map[string]int{"": maxOpset, ml.Domain: ml.Newest, previewDomain: 1, preview.TrainingDomain: 1}

// withOpsets is the first IR version whose files import versions of operators. Older files use
// version 1.
const withOpsets = 3

// readOpsets returns the version of the operators of each domain that is imported.
func (k *compiler) readOpsets(imports []*onnxpb.OperatorSetIdProto) (map[string]int, error) {
	opsets := map[string]int{}
	for _, o := range imports {
		domain, v := domainOf(o.GetDomain()), o.GetVersion()
		var err error
		switch {
		case domain == "" && (v < minOpset || v > maxOpset):
			err = fmt.Errorf("version %d of the standard operators (opset_import) is not supported: export the model with a version from %d to %d", v, minOpset, maxOpset)
		case domain == sbs.Domain && v != sbs.Version:
			err = fmt.Errorf("version %d of the operators of %s (opset_import) is not supported: want version %d", v, domain, sbs.Version)
		case domain == ml.Domain && (v < 1 || v > ml.Newest):
			err = fmt.Errorf("version %d of the operators of %s (opset_import) is not supported: export the model with a version from 1 to %d", v, domain, ml.Newest)
		case v < 0 || v > 1<<20:
			err = fmt.Errorf("version %d of the operators of domain %q (opset_import) is out of range", v, domain)
		}
		if err := k.tolerate(Problem{Err: err}); err != nil {
			return nil, err
		}
		opsets[domain] = int(v)
	}
	return opsets, nil
}

// modelOpsets returns the versions of the operators in the graph of the model.
func (k *compiler) modelOpsets(imports []*onnxpb.OperatorSetIdProto) (map[string]int, error) {
	opsets, err := k.readOpsets(imports)
	if err == nil && len(opsets) == 0 && k.irVersion < withOpsets {
		opsets[""] = minOpset
	}
	return opsets, err
}

// functionOpsets returns the versions of the operators in a function: those that it imports,
// and for other domains those of its caller.
func (s *scope) functionOpsets(imports []*onnxpb.OperatorSetIdProto) (map[string]int, error) {
	opsets, err := s.k.readOpsets(imports)
	for domain, v := range s.opsets {
		if _, ok := opsets[domain]; !ok && err == nil {
			opsets[domain] = v
		}
	}
	return opsets, err
}

// opset returns the version of the operators of a domain.
func (s *scope) opset(domain string) (int, error) {
	if v, ok := s.opsets[domain]; ok {
		return v, nil
	}
	newest, ok := newestOpsets[domain]
	if !ok || len(s.opsets) == 0 {
		return 0, fmt.Errorf("the version of the operators of domain %q is missing: the model, or the function of the node, must import one (opset_import)", domain)
	}
	s.opsets[domain] = newest
	if s.k.newest[domain] {
		return newest, nil
	}
	s.k.newest[domain] = true
	s.k.p.warn("the model imports no version of the operators of domain %q (opset_import): the newest version, %d, is used", domain, newest)
	return newest, nil
}
