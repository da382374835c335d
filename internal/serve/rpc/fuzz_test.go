package rpc

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
)

// FuzzFromMessage decodes messages. Those that are accepted are consistent, and can be written as
// responses.
func FuzzFromMessage(f *testing.F) {
	contents := map[string]*oip.InferTensorContents{
		"FP32": {Fp32Contents: []float32{1, 2}}, "INT8": {IntContents: []int32{-128, 127}}, "BYTES": {BytesContents: [][]byte{{1}, nil}},
		"BOOL": {BoolContents: []bool{true, false}}, "UINT16": {UintContents: []uint32{0, 65535}}, "FP64": {Fp64Contents: []float64{1, 2}},
	}
	for datatype, c := range contents {
		for _, raw := range [][][]byte{nil, {{0, 0, 128, 63, 0, 0, 0, 64}}} {
			m := &oip.ModelInferRequest{ModelName: "m", RawInputContents: raw, Inputs: []*oip.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: datatype, Shape: []int64{2}}}}
			if raw == nil {
				m.Inputs[0].Contents = c
			}
			data, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m oip.ModelInferRequest
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		r, err := fromMessage(&m)
		if err != nil {
			if inference.KindOf(err) != inference.Invalid {
				t.Fatalf("not the error of a client: %v", err)
			}
			return
		}
		response := &inference.Response{Model: r.Model}
		for _, in := range r.Inputs {
			n := 1
			for _, d := range in.Shape {
				n *= d
			}
			if in.Values == nil && len(in.Strings) != n || in.Values != nil && in.Values.Len() != n {
				t.Fatalf("input %q: %d elements for the shape %v", in.Name, len(in.Strings), in.Shape)
			}
			response.Outputs = append(response.Outputs, inference.Output(in))
		}
		for _, raw := range []bool{false, true} {
			if got := toMessage(response, raw); len(got.Outputs) != len(r.Inputs) {
				t.Fatalf("%d outputs", len(got.Outputs))
			}
		}
	})
}
