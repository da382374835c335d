package serve

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

const headerLength = "Inference-Header-Content-Length"

// raw returns numbers in little-endian byte order.
func raw(t testing.TB, v any) []byte {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, v)
	require.NoError(t, err)
	return b
}

func float32sOf(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

// TestREST_TakesTensorsInEveryForm sends the same images as flat and nested JSON, as binary tensors
// and compressed. All answers have the bits of a run of the model.
func TestREST_TakesTensorsInEveryForm(t *testing.T) {
	path, m := digits(t)
	s := begin(t, path)
	x := pixels(1, 3)
	want := alone(t, m, x, runtime.Seed(9))
	var nested [3][1][12][12]float32
	for i, v := range x.Float32s() {
		nested[i/144][0][i%144/12][i%12] = v
	}
	flat := requestJSON{Inputs: images(x), Parameters: map[string]any{"seed": 9}}
	require.Equal(t, want, s.infer("digits", flat).float32s(t, "probabilities"))
	deep := flat
	deep.Inputs = []tensorJSON{{Name: "image", Shape: x.Shape(), Datatype: "FP32", Data: nested}}
	require.Equal(t, want, s.infer("digits", deep).float32s(t, "probabilities"))

	const infer = "/v2/models/digits/infer"
	body, err := json.Marshal(flat)
	require.NoError(t, err)
	got := s.do(http.MethodPost, infer, map[string]string{"Content-Encoding": "GZIP"}, zipped(t, body))
	var out responseJSON
	require.NoError(t, json.Unmarshal(got.body, &out), "%s", got.body)
	require.Equal(t, want, out.float32s(t, "probabilities"))

	bytesOf := raw(t, x.Float32s())
	in := []tensorJSON{{Name: "image", Shape: x.Shape(), Datatype: "FP32", Parameters: map[string]any{"binary_data_size": len(bytesOf)}}}
	for name, c := range map[string]struct {
		parameters map[string]any
		outputs    []tensorJSON
		binary     bool
	}{
		"all outputs":  {map[string]any{"seed": 9, "binary_data_output": true}, nil, true},
		"one output":   {map[string]any{"seed": 9}, []tensorJSON{{Name: "probabilities", Parameters: map[string]any{"binary_data": true}}}, true},
		"JSON":         {map[string]any{"seed": 9}, nil, false},
		"but this one": {map[string]any{"seed": 9, "binary_data_output": true}, []tensorJSON{{Name: "probabilities", Parameters: map[string]any{"binary_data": false}}}, false},
	} {
		for _, compressed := range []bool{false, true} {
			object, err := json.Marshal(requestJSON{ID: "b", Inputs: in, Parameters: c.parameters, Outputs: c.outputs})
			require.NoError(t, err)
			header := map[string]string{headerLength: strconv.Itoa(len(object)), "Content-Type": "application/octet-stream"}
			body := append(object, bytesOf...)
			if compressed {
				header["Content-Encoding"], body = "gzip", zipped(t, body)
			}
			got := s.do(http.MethodPost, infer, header, body)
			require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.body)
			var out responseJSON
			if !c.binary {
				require.Empty(t, got.header.Get(headerLength))
				require.NoError(t, json.Unmarshal(got.body, &out))
				require.Equal(t, want, out.float32s(t, "probabilities"), name)
				continue
			}
			n, err := strconv.Atoi(got.header.Get(headerLength))
			require.NoError(t, err)
			require.Equal(t, "application/octet-stream", got.header.Get("Content-Type"))
			require.Equal(t, strconv.Itoa(len(got.body)), got.header.Get("Content-Length"))
			require.NoError(t, json.Unmarshal(got.body[:n], &out))
			require.Equal(t, "b", out.ID)
			require.Equal(t, map[string]int{"binary_data_size": 4 * len(want)}, out.Outputs[0].Parameters)
			require.Nil(t, out.Outputs[0].Data)
			require.Equal(t, want, float32sOf(got.body[n:]), name)
		}
	}
	// A body without a JSON object has the elements of the only input.
	got = s.do(http.MethodPost, infer+"?seed=9", map[string]string{headerLength: "0"}, bytesOf)
	n, err := strconv.Atoi(got.header.Get(headerLength))
	require.NoError(t, err, "%s", got.body)
	require.Equal(t, want, float32sOf(got.body[n:]))
}

func TestREST_CompressesLargeResponsesForClientsThatAcceptThem(t *testing.T) {
	path, m := digits(t)
	s := begin(t, path, "--max-batch", "2000")
	x := pixels(1, 1000)
	body, err := json.Marshal(requestJSON{Inputs: images(x), Parameters: map[string]any{"seed": 9}})
	require.NoError(t, err)
	want := alone(t, m, x, runtime.Seed(9))
	for accept, compressed := range map[string]bool{"gzip": true, "deflate, gzip;q=0.5": true, "": false, "gzip;q=0": false, "br": false} {
		got := s.do(http.MethodPost, "/v2/models/digits/infer", map[string]string{"Accept-Encoding": accept}, body)
		require.Equal(t, compressed, got.header.Get("Content-Encoding") == "gzip", accept)
		if compressed {
			z, err := gzip.NewReader(bytes.NewReader(got.body))
			require.NoError(t, err)
			got.body, err = io.ReadAll(z)
			require.NoError(t, err)
		}
		var out responseJSON
		require.NoError(t, json.Unmarshal(got.body, &out))
		require.Equal(t, want, out.float32s(t, "probabilities"))
	}
}

// everyType has values of every datatype of the protocol.
var everyType = map[string]struct {
	dtype    ops.DType
	values   any
	json     string
	contents *oip.InferTensorContents
}{
	"BOOL":   {ops.Bool, []bool{true, false}, `[true,false]`, &oip.InferTensorContents{BoolContents: []bool{true, false}}},
	"UINT8":  {ops.Uint8, []uint8{0, 255}, `[0,255]`, &oip.InferTensorContents{UintContents: []uint32{0, 255}}},
	"UINT16": {ops.Uint16, []uint16{0, 65535}, `[0,65535]`, &oip.InferTensorContents{UintContents: []uint32{0, 65535}}},
	"UINT32": {ops.Uint32, []uint32{0, math.MaxUint32}, `[0,4294967295]`, &oip.InferTensorContents{UintContents: []uint32{0, math.MaxUint32}}},
	"UINT64": {ops.Uint64, []uint64{0, math.MaxUint64}, `[0,18446744073709551615]`, &oip.InferTensorContents{Uint64Contents: []uint64{0, math.MaxUint64}}},
	"INT8":   {ops.Int8, []int8{-128, 127}, `[-128,127]`, &oip.InferTensorContents{IntContents: []int32{-128, 127}}},
	"INT16":  {ops.Int16, []int16{-32768, 32767}, `[-32768,32767]`, &oip.InferTensorContents{IntContents: []int32{-32768, 32767}}},
	"INT32":  {ops.Int32, []int32{math.MinInt32, math.MaxInt32}, `[-2147483648,2147483647]`, &oip.InferTensorContents{IntContents: []int32{math.MinInt32, math.MaxInt32}}},
	"INT64":  {ops.Int64, []int64{math.MinInt64, math.MaxInt64}, `[-9223372036854775808,9223372036854775807]`, &oip.InferTensorContents{Int64Contents: []int64{math.MinInt64, math.MaxInt64}}},
	"FP32":   {ops.Float32, []float32{-0.1, math.MaxFloat32}, `[-0.1,3.4028235e+38]`, &oip.InferTensorContents{Fp32Contents: []float32{-0.1, math.MaxFloat32}}},
	"FP64":   {ops.Float64, []float64{-0.1, math.MaxFloat64}, `[-0.1,1.7976931348623157e+308]`, &oip.InferTensorContents{Fp64Contents: []float64{-0.1, math.MaxFloat64}}},
}

// TestServer_HandlesEveryDatatype sends values through a model that returns its inputs, in all
// forms of both protocols.
func TestServer_HandlesEveryDatatype(t *testing.T) {
	var in, out []*onnxpb.ValueInfoProto
	var nodes []*onnxpb.NodeProto
	for name, c := range everyType {
		in, out = append(in, info("in "+name, c.dtype, -1)), append(out, info("out "+name, c.dtype, -1))
		nodes = append(nodes, node("Identity", "out "+name, "in "+name))
	}
	s := begin(t, put(t, "echo", foreign(t, in, out, nodes...)))
	client := s.call()
	object, object2 := map[string]any{"parameters": map[string]any{"binary_data_output": true}}, map[string]any{}
	var binaryIn, jsonIn []map[string]any
	var bodies []byte
	typed, rawCall := &oip.ModelInferRequest{ModelName: "echo"}, &oip.ModelInferRequest{ModelName: "echo"}
	for name, c := range everyType {
		b := raw(t, c.values)
		bodies = append(bodies, b...)
		binaryIn = append(binaryIn, map[string]any{"name": "in " + name, "shape": []int{2}, "datatype": name, "parameters": map[string]any{"binary_data_size": len(b)}})
		jsonIn = append(jsonIn, map[string]any{"name": "in " + name, "shape": []int{2}, "datatype": name, "data": json.RawMessage(c.json)})
		tensor := func(contents *oip.InferTensorContents) *oip.ModelInferRequest_InferInputTensor {
			return &oip.ModelInferRequest_InferInputTensor{Name: "in " + name, Datatype: name, Shape: []int64{2}, Contents: contents}
		}
		typed.Inputs = append(typed.Inputs, tensor(c.contents))
		rawCall.Inputs, rawCall.RawInputContents = append(rawCall.Inputs, tensor(nil)), append(rawCall.RawInputContents, b)
	}
	object["inputs"], object2["inputs"] = binaryIn, jsonIn

	text, err := json.Marshal(object2)
	require.NoError(t, err)
	got := s.do(http.MethodPost, "/v2/models/echo/infer", nil, text)
	var response responseJSON
	require.NoError(t, json.Unmarshal(got.body, &response), "%s", got.body)
	require.Len(t, response.Outputs, len(everyType), "%s", got.body)
	for _, o := range response.Outputs {
		require.Equal(t, everyType[o.Datatype].json, string(o.Data))
		require.Equal(t, "out "+o.Datatype, o.Name)
	}

	text, err = json.Marshal(object)
	require.NoError(t, err)
	got = s.do(http.MethodPost, "/v2/models/echo/infer", map[string]string{headerLength: strconv.Itoa(len(text))}, append(text, bodies...))
	n, err := strconv.Atoi(got.header.Get(headerLength))
	require.NoError(t, err, "%s", got.body)
	require.NoError(t, json.Unmarshal(got.body[:n], &response))
	rest := got.body[n:]
	for _, o := range response.Outputs {
		size := o.Parameters["binary_data_size"]
		require.Equal(t, raw(t, everyType[o.Datatype].values), rest[:size])
		rest = rest[size:]
	}
	require.Empty(t, rest)

	answer, err := client.ModelInfer(t.Context(), typed)
	require.NoError(t, err)
	require.Empty(t, answer.RawOutputContents)
	for _, o := range answer.Outputs {
		require.Equal(t, everyType[o.Datatype].contents.String(), o.Contents.String())
	}
	answer, err = client.ModelInfer(t.Context(), rawCall)
	require.NoError(t, err)
	for i, o := range answer.Outputs {
		require.Nil(t, o.Contents)
		require.Equal(t, raw(t, everyType[strings.TrimPrefix(o.Name, "out ")].values), answer.RawOutputContents[i])
	}
}

// TestREST_TakesOptionalInputs sends values for an initializer that is also an input, or none, and
// values for an input of any shape.
func TestREST_TakesOptionalInputs(t *testing.T) {
	x, c := info("x", ops.Float32), info("c", ops.Float32, -1)
	x.GetType().GetTensorType().Shape = nil
	m, err := onnx.Unmarshal(t.Context(), foreign(t, []*onnxpb.ValueInfoProto{x, c}, []*onnxpb.ValueInfoProto{{Name: "y"}}, node("Add", "y", "x", "c")))
	require.NoError(t, err)
	m.Graph.Initializer = []*onnxpb.TensorProto{onnx.Float32Tensor("c", []int{1}, []float32{10})}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	s := begin(t, put(t, "sum", data))
	in := func(name, datatype string, v float32) tensorJSON {
		return tensorJSON{Name: name, Shape: []int{1}, Datatype: datatype, Data: []float32{v}}
	}
	one, two := in("x", "FP32", 1), in("c", "FP32", 2)
	require.Equal(t, []float32{11}, s.infer("sum", requestJSON{Inputs: []tensorJSON{one}}).float32s(t, "y"))
	require.Equal(t, []float32{3}, s.infer("sum", requestJSON{Inputs: []tensorJSON{one, two}}).float32s(t, "y"))
	require.Equal(t, []float32{11}, s.infer("sum", requestJSON{Inputs: []tensorJSON{one}}).float32s(t, "y"))
	for want, inputs := range map[string][]tensorJSON{
		`input "x" is INT64 [1]: the model takes FP32 of any shape`: {in("x", "INT64", 1)}, `input "x" is missing`: {two},
	} {
		body, err := json.Marshal(requestJSON{Inputs: inputs})
		require.NoError(t, err)
		got := s.do(http.MethodPost, "/v2/models/sum/infer", map[string]string{"Content-Type": "application/json"}, body)
		require.Contains(t, got.failure(t), want)
	}
}
