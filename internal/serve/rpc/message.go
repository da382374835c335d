package rpc

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
)

// size returns about the number of bytes of a request: those of the message and, for whole numbers,
// which can take one byte in a message, those in memory.
func size(r *oip.ModelInferRequest) int64 {
	n := proto.Size(r)
	for _, in := range r.Inputs {
		c := in.GetContents()
		n += 4*(len(c.GetIntContents())+len(c.GetUintContents())) + 8*(len(c.GetInt64Contents())+len(c.GetUint64Contents()))
	}
	return int64(n)
}

// fromMessage decodes a request.
func fromMessage(m *oip.ModelInferRequest) (*inference.Request, error) {
	r := &inference.Request{Model: m.ModelName, Version: m.ModelVersion, ID: m.Id}
	var err error
	if r.Parameters, err = parameters(m.Parameters); err != nil {
		return nil, err
	}
	if len(m.Inputs) == 0 {
		return nil, inference.Errorf(inference.Invalid, "the request has no inputs")
	}
	raw := m.RawInputContents
	if len(raw) > 0 && len(raw) != len(m.Inputs) {
		return nil, inference.Errorf(inference.Invalid, "the request has %d raw_input_contents for %d inputs: want one per input", len(raw), len(m.Inputs))
	}
	for i, in := range m.Inputs {
		if in == nil {
			return nil, inference.Errorf(inference.Invalid, "input %d is missing", i)
		}
		if err := only("input", in.Name, in.Parameters); err != nil {
			return nil, err
		}
		var input inference.Input
		switch {
		case len(raw) > 0 && in.Contents != nil:
			return nil, inference.Errorf(inference.Invalid, "input %q has contents, although the request has raw_input_contents", in.Name)
		case len(raw) > 0:
			input, err = inference.FromRaw(in.Name, in.Datatype, in.Shape, raw[i])
		default:
			input, err = fromContents(in)
		}
		if err != nil {
			return nil, err
		}
		if err := r.AddInput(input); err != nil {
			return nil, err
		}
	}
	for _, out := range m.Outputs {
		if err := only("output", out.GetName(), out.GetParameters()); err != nil {
			return nil, err
		}
		r.Outputs = append(r.Outputs, out.GetName())
	}
	return r, nil
}

// only returns an error if an input or output has a parameter. content_type, which clients of
// MLServer send, has no effect, and neither have those of the binary tensor extension of REST.
func only(kind, name string, p map[string]*oip.InferParameter) error {
	for key := range p {
		switch key {
		case "content_type", "binary_data", "binary_data_size":
			continue
		}
		return inference.Errorf(inference.Invalid, "%s %q: parameter %q is not supported", kind, name, key)
	}
	return nil
}

func parameters(m map[string]*oip.InferParameter) (inference.Parameters, error) {
	p := make(inference.Parameters, len(m))
	for name, v := range m {
		switch v := v.GetParameterChoice().(type) {
		case *oip.InferParameter_BoolParam:
			p[name] = v.BoolParam
		case *oip.InferParameter_Int64Param:
			p[name] = v.Int64Param
		case *oip.InferParameter_StringParam:
			p[name] = v.StringParam
		case *oip.InferParameter_DoubleParam:
			p[name] = v.DoubleParam
		case *oip.InferParameter_Uint64Param:
			p[name] = v.Uint64Param
		default:
			return nil, inference.Errorf(inference.Invalid, "parameter %q has no value", name)
		}
	}
	return p, nil
}

// fromContents decodes the typed contents of an input.
func fromContents(in *oip.ModelInferRequest_InferInputTensor) (inference.Input, error) {
	d, shape, count, err := inference.Type(in.Name, in.Datatype, in.Shape)
	if err != nil {
		return inference.Input{}, err
	}
	if inference.OnlyRaw(d) {
		return inference.Input{}, inference.Errorf(inference.Invalid, "input %q: the protocol has no contents for %s: send raw_input_contents", in.Name, in.Datatype)
	}
	c := in.Contents
	if c == nil && count > 0 {
		return inference.Input{}, inference.Errorf(inference.Invalid, "input %q: the contents are missing", in.Name)
	}
	lists := map[string]int{
		"bool_contents": len(c.GetBoolContents()), "int_contents": len(c.GetIntContents()), "int64_contents": len(c.GetInt64Contents()),
		"uint_contents": len(c.GetUintContents()), "uint64_contents": len(c.GetUint64Contents()), "fp32_contents": len(c.GetFp32Contents()),
		"fp64_contents": len(c.GetFp64Contents()), "bytes_contents": len(c.GetBytesContents()),
	}
	want := contentsOf[d]
	for list, n := range lists {
		if list != want && n > 0 {
			return inference.Input{}, inference.Errorf(inference.Invalid, "input %q: the contents are in %s: elements of %s belong in %s", in.Name, list, in.Datatype, want)
		}
	}
	if lists[want] != count {
		return inference.Input{}, inference.Errorf(inference.Invalid, "input %q: the shape %v has %d elements, but %s has %d", in.Name, in.Shape, count, want, lists[want])
	}
	t := inference.Input{Name: in.Name, Tensor: inference.Tensor{Shape: shape}}
	var elements any
	switch d {
	case 0:
		t.Strings = c.GetBytesContents()
		return t, nil
	case ops.Bool:
		elements = c.GetBoolContents()
	case ops.Int8:
		elements, err = narrow[int8](in, c.GetIntContents())
	case ops.Int16:
		elements, err = narrow[int16](in, c.GetIntContents())
	case ops.Int32:
		elements = c.GetIntContents()
	case ops.Int64:
		elements = c.GetInt64Contents()
	case ops.Uint8:
		elements, err = narrow[uint8](in, c.GetUintContents())
	case ops.Uint16:
		elements, err = narrow[uint16](in, c.GetUintContents())
	case ops.Uint32:
		elements = c.GetUintContents()
	case ops.Uint64:
		elements = c.GetUint64Contents()
	case ops.Float64:
		elements = c.GetFp64Contents()
	default:
		elements = c.GetFp32Contents()
	}
	if err == nil {
		t.Values, err = ops.FromSlice(shape, elements)
	}
	return t, err
}

// contentsOf has the list of InferTensorContents with the elements of each type.
var contentsOf = map[ops.DType]string{
	0: "bytes_contents", ops.Bool: "bool_contents", ops.Int8: "int_contents", ops.Int16: "int_contents", ops.Int32: "int_contents",
	ops.Int64: "int64_contents", ops.Uint8: "uint_contents", ops.Uint16: "uint_contents", ops.Uint32: "uint_contents",
	ops.Uint64: "uint64_contents", ops.Float32: "fp32_contents", ops.Float64: "fp64_contents",
}

// narrow converts elements to a smaller type, and refuses those that it cannot hold.
func narrow[T int8 | int16 | uint8 | uint16, F int32 | uint32](in *oip.ModelInferRequest_InferInputTensor, values []F) ([]T, error) {
	out := make([]T, len(values))
	for i, v := range values {
		if out[i] = T(v); F(out[i]) != v {
			return nil, inference.Errorf(inference.Invalid, "input %q: element %d is %d, which is out of the range of %s", in.Name, i, v, in.Datatype)
		}
	}
	return out, nil
}

// toMessage encodes a response. raw returns the outputs as raw contents, which are also necessary if
// one of them has no other form.
func toMessage(r *inference.Response, raw bool) *oip.ModelInferResponse {
	raw = raw || slices.ContainsFunc(r.Outputs, func(out inference.Output) bool { return out.OnlyRaw() })
	m := &oip.ModelInferResponse{ModelName: r.Model, ModelVersion: r.Version, Id: r.ID}
	for _, out := range r.Outputs {
		t := &oip.ModelInferResponse_InferOutputTensor{Name: out.Name, Datatype: out.Datatype(), Shape: make([]int64, len(out.Shape))}
		for i, n := range out.Shape {
			t.Shape[i] = int64(n)
		}
		if raw {
			m.RawOutputContents = append(m.RawOutputContents, inference.AppendRaw(nil, out.Tensor))
		} else {
			t.Contents = toContents(out.Tensor)
		}
		m.Outputs = append(m.Outputs, t)
	}
	return m
}

func toContents(t inference.Tensor) *oip.InferTensorContents {
	if t.Values == nil {
		return &oip.InferTensorContents{BytesContents: t.Strings}
	}
	switch v := t.Values.Elements().(type) {
	case []bool:
		return &oip.InferTensorContents{BoolContents: v}
	case []int8:
		return &oip.InferTensorContents{IntContents: widen[int32](v)}
	case []int16:
		return &oip.InferTensorContents{IntContents: widen[int32](v)}
	case []int32:
		return &oip.InferTensorContents{IntContents: v}
	case []int64:
		return &oip.InferTensorContents{Int64Contents: v}
	case []uint8:
		return &oip.InferTensorContents{UintContents: widen[uint32](v)}
	case []uint16:
		return &oip.InferTensorContents{UintContents: widen[uint32](v)}
	case []uint32:
		return &oip.InferTensorContents{UintContents: v}
	case []uint64:
		return &oip.InferTensorContents{Uint64Contents: v}
	case []float64:
		return &oip.InferTensorContents{Fp64Contents: v}
	}
	return &oip.InferTensorContents{Fp32Contents: t.Values.Float32s()}
}

func widen[T int32 | uint32, F int8 | int16 | uint8 | uint16](values []F) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = T(v)
	}
	return out
}
