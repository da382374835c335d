package rest

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"testing"

	"github.com/spike-by-spike/sbs/internal/serve/inference"
)

// FuzzRead decodes bodies. Those that are accepted are consistent, and can be written as a response
// that is JSON.
func FuzzRead(f *testing.F) {
	add := func(text string, binary ...byte) { f.Add(append([]byte(text), binary...), len(text), len(binary) > 0) }
	add(`{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2],[3,4.5e-3]]}],"parameters":{"seed":5,"a":true,"b":"c"}}`)
	add(`{"id":"a","inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["\u00fc\\"]}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`)
	add(`{"inputs":[{"name":"x","shape":[3],"datatype":"INT8","data":[-128,0,127]},{"name":"z","shape":[],"datatype":"BOOL","data":[true]}]}`)
	add(`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}],"parameters":{"binary_data_output":true}}`, 0, 0, 128, 63)
	add(`{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}`, 1, 0, 0, 0, 65)
	add(`{"inputs":[{"name":"x","shape":[0,4],"datatype":"UINT64","data":[]}]}`)
	add("", 0, 0, 128, 63)
	f.Fuzz(func(t *testing.T, body []byte, length int, isBinary bool) {
		h := http.Header{"Content-Type": {"application/json"}}
		if isBinary {
			h.Set(headerLength, strconv.Itoa(length))
		}
		r, err := read(h, "", body, func() ([]rawInput, error) {
			return []rawInput{{name: "x", datatype: "FP32", shape: []int64{-1}, size: 4}}, nil
		})
		if err != nil {
			if inference.KindOf(err) != inference.Invalid {
				t.Fatalf("not the error of a client: %v", err)
			}
			return
		}
		response := &inference.Response{Model: "m", Version: "1", ID: r.ID}
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
		content, header, err := encode(response, r.isBinary)
		if err != nil {
			return // a number that JSON does not have
		}
		if header == 0 {
			header = len(content)
		}
		if !json.Valid(content[:header]) {
			t.Fatalf("the response is not JSON: %q", content[:header])
		}
	})
}

// TestFromJSON_ReadsNumbersExactly compares the numbers of a list with their bits.
func TestFromJSON_ReadsNumbersExactly(t *testing.T) {
	var text []byte
	var want []float32
	for i := range uint32(5000) {
		v := math.Float32frombits(i * 858993459)
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			continue
		}
		want = append(want, v)
		text = append(strconv.AppendFloat(append(text, ','), float64(v), 'g', -1, 32), ' ', '\n')
	}
	text[0] = '['
	in, err := fromJSON("x", "FP32", []int64{int64(len(want))}, append(text, ']'))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range in.Values.Float32s() {
		if math.Float32bits(v) != math.Float32bits(want[i]) {
			t.Fatalf("element %d is %v, want %v", i, v, want[i])
		}
	}
	raw, err := binary.Append(nil, binary.LittleEndian, want)
	if err != nil {
		t.Fatal(err)
	}
	if got := inference.AppendRaw(nil, in.Tensor); string(got) != string(raw) {
		t.Fatal("the binary form differs")
	}
}
