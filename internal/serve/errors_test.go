package serve

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
)

// listOf returns the JSON of n times the same element.
func listOf(n int, element string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}

// TestREST_NamesTheReasonOfAnError sends requests that are wrong. Each error names the input and
// says why, and the server still answers afterwards.
func TestREST_NamesTheReasonOfAnError(t *testing.T) {
	path, _ := digits(t)
	other, _ := staged(t)
	numbers := put(t, "numbers", foreign(t, []*onnxpb.ValueInfoProto{info("i", ops.Int8, 2, -1), info("b", ops.Bool, -1)},
		[]*onnxpb.ValueInfoProto{info("y", ops.Int8, 2, -1)}, node("Identity", "y", "i"), node("Identity", "unused", "b")))
	scalar := put(t, "scalar", foreign(t, []*onnxpb.ValueInfoProto{info("x", ops.Float32)}, []*onnxpb.ValueInfoProto{info("y", ops.Float32)}, node("Log", "y", "x")))
	s := begin(t, path, other, numbers, scalar)
	image := func(change string) string {
		fields := map[string]string{"name": `"image"`, "shape": "[1,1,12,12]", "datatype": `"FP32"`, "data": listOf(144, "0.5")}
		rest := ""
		name, value, _ := strings.Cut(change, "=")
		switch {
		case value == "nothing":
			delete(fields, name)
		case fields[name] != "":
			fields[name] = value
		case name != "":
			rest = "," + value
		}
		var list []string
		for name, value := range fields {
			list = append(list, strconv.Quote(name)+":"+value)
		}
		return `{"inputs":[{` + strings.Join(list, ",") + `}]` + rest + `}`
	}
	digitsOf := func(change, want string) [3]string { return [3]string{"digits", image(change), want} }
	numbersOf := func(input, want string) [3]string {
		return [3]string{"numbers", `{"inputs":[` + input + `,{"name":"b","shape":[1],"datatype":"BOOL","data":[true]}]}`, want}
	}
	i := func(shape, data string) string {
		return fmt.Sprintf(`{"name":"i","shape":%s,"datatype":"INT8","data":%s}`, shape, data)
	}
	for _, c := range [][3]string{
		{"digits", "", "the body is empty"},
		{"digits", "{", "the body is not JSON"},
		{"digits", image("") + "x", "the body is not JSON"},
		{"digits", "[]", "a JSON array"},
		{"digits", "null", "no inputs"},
		{"digits", `{"inputs":[]}`, "no inputs"},
		{"digits", `{"inputs":{}}`, `"inputs" in the request cannot be a JSON object`},
		{"digits", `{"inputs":[5]}`, `"inputs" in the request cannot be a JSON number`},
		{"digits", `{"id":5,"inputs":[]}`, `"id" in the request cannot be a JSON number`},
		{"digits", strings.Repeat("[", 100000), "not JSON"},
		{"digits", image("data=" + strings.Repeat("[", 100000) + strings.Repeat("]", 100000)), "depth"},
		{"digits", image("data=" + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)), `input "image": the data is nested deeper than the 4 dimensions`},
		digitsOf("name=nothing", "name, shape and datatype are required"),
		digitsOf("shape=nothing", `input 0 ("image"): name, shape and datatype are required`),
		digitsOf("datatype=nothing", `input 0 ("image"): name, shape and datatype are required`),
		digitsOf("data=nothing", `input "image": want either data or the parameter binary_data_size`),
		digitsOf(`name="other"`, `input "other": the model has no input of this name: its inputs are "image"`),
		digitsOf(`name="\u0000\n\u001b[31m"`, `input "\x00\n\x1b[31m": the model has no input`),
		digitsOf(`name="`+strings.Repeat("n", 1<<20)+`"`, "..."),
		digitsOf(`datatype="FP8"`, `input "image": the datatype "FP8" is not supported: want one of BF16, BOOL, FP16, FP32`),
		digitsOf(`datatype="FP16"`, `input "image": JSON has no FP16: send a binary tensor (parameter binary_data_size)`),
		digitsOf(`datatype="FP64"`, `input "image" is FP64 [1 1 12 12]: the model takes FP32 [batch 1 12 12]`),
		digitsOf(`datatype="BYTES"`, `input "image": element 0 is 0.5, want a string`),
		digitsOf("shape=[1,144]", `input "image" is FP32 [1 144]: the model takes FP32 [batch 1 12 12]`),
		digitsOf("shape=[1,1,12,11]", `input "image": the shape [1 1 12 11] has 132 elements, but the data has more`),
		digitsOf("shape=[2,1,12,12]", `input "image": the shape [2 1 12 12] has 288 elements, but the data has 144`),
		digitsOf("shape=[-1,1,12,12]", `the dimension -1`),
		digitsOf("shape=[9223372036854775807,9223372036854775807]", `the dimension 9223372036854775807`),
		digitsOf("shape=[9223372036854775808]", `"inputs.shape" in the request cannot be a JSON number`),
		digitsOf("shape=[65536,65536,65536]", `more than 2147483647 elements`),
		digitsOf("shape=[0,1,12,12]", `has 0 elements, but the data has more`),
		digitsOf("shape=[1.5]", `"inputs.shape" in the request cannot be a JSON number`),
		digitsOf("shape="+listOf(1000, "1"), "1000 dimensions"),
		digitsOf("data="+listOf(144, "300"), "divide bytes by 255"),
		digitsOf("data="+listOf(144, "1e39"), `element 0 is 1e39, want a number that FP32 can hold`),
		digitsOf("data="+listOf(144, "NaN"), "NaN and Infinity need binary tensors"),
		digitsOf("data="+listOf(144, `"0.5"`), `element 0 is "0.5", want a number`),
		digitsOf("data="+listOf(144, "null"), `element 0 is null, want a number`),
		digitsOf("data="+listOf(144, "{}"), `element 0 is an object`),
		digitsOf("data="+listOf(144, `"`+strings.Repeat("x", 1000)+`"`), `..., want a number`),
		digitsOf("data=0.5", `input "image": the data is not a list`),
		digitsOf("data=[0.5,[0.5]]", `neither flat nor nested`),
		digitsOf("data=[[0.5]]", `neither flat nor nested`),
		digitsOf("data=[[0.5],0.5]", `neither flat nor nested`),
		digitsOf(`parameters="parameters":{"spikes":0}`, `parameter "spikes" is 0: want whole numbers from 1 to 10000`),
		digitsOf(`parameters="parameters":{"spikes":1000000}`, `--max-spikes`),
		digitsOf(`parameters="parameters":{"spikes":1.5}`, `parameter "spikes" is 1.5`),
		digitsOf(`parameters="parameters":{"spikes":"5,6,7"}`, `bad option: there are values for 3 SbS layers, but the model has 2: L0/SbS, L2/SbS`),
		digitsOf(`parameters="parameters":{"sampler":"best"}`, `parameter "sampler" is "best": want iid or low-discrepancy`),
		digitsOf(`parameters="parameters":{"epsilon_schedule":5}`, `parameter "epsilon_schedule" is 5`),
		digitsOf(`parameters="parameters":{"seed":-1}`, `parameter "seed" is -1`),
		digitsOf(`parameters="parameters":{"seed":18446744073709551616}`, `parameter "seed"`),
		digitsOf(`parameters="parameters":{"top":0}`, `parameter "top" is 0`),
		digitsOf(`parameters="parameters":{"speed":1}`, `parameter "speed" is unknown`),
		digitsOf(`parameters="parameters":{"seed":[1]}`, `parameter "seed": want a number`),
		digitsOf(`parameters="parameters":5`, `"parameters" in the request cannot be a JSON number`),
		digitsOf(`outputs="outputs":[{"name":"other"}]`, `output "other": the model has no output of this name: its outputs are "probabilities"`),
		digitsOf(`outputs="outputs":[{"name":"probabilities"},{"name":"probabilities"}]`, `asks for it twice`),
		digitsOf(`outputs="outputs":[{}]`, `output 0 has no name`),
		digitsOf(`outputs="outputs":[{"name":"probabilities","parameters":{"classification":3}}]`, `output "probabilities": parameter "classification" is not supported`),
		digitsOf(`outputs="outputs":[{"name":"probabilities","parameters":{"binary_data":3}}]`, `want true or false`),
		{"staged", image(`parameters="parameters":{"spikes":10}`), "the model has stages"},
		numbersOf(i("[2,1]", "[1,2]")+","+i("[2,1]", "[1,2]"), `input "i": the request has it twice`),
		{"numbers", `{"inputs":[` + i("[2,1]", "[1,2]") + `]}`, `input "b" is missing: the inputs of the model are "i", "b"`},
		numbersOf(i("[3,1]", "[1,2,3]"), `input "i" is INT8 [3 1]: the model takes INT8 [2 ?]`),
		numbersOf(i("[2,1]", "[1,128]"), `input "i": element 1 is 128, want a whole number from -128 to 127`),
		numbersOf(i("[2,1]", "[1,1.0]"), `input "i": element 1 is 1.0, want a whole number`),
		numbersOf(i("[2,2]", "[[1,2],[3]]"), `input "i": a list of the data has 1 entries, but dimension 1 of the shape [2 2] is 2`),
		numbersOf(i("[2,2]", "[[1,2],[3,4],[]]"), `a list of the data has 0 entries`),
		numbersOf(i("[2,2]", "[[1,2,3],[4]]"), `a list of the data has 3 entries`),
		numbersOf(i("[2,2]", "[[[1,2],[3,4]]]"), `nested deeper than the 2 dimensions`),
		{"numbers", `{"parameters":{"top":1},"inputs":[` + i("[2,1]", "[1,2]") + `,{"name":"b","shape":[1],"datatype":"BOOL","data":[1]}]}`, `element 0 is 1, want true or false`},
		{"numbers", `{"parameters":{"top":1},"inputs":[` + i("[2,1]", "[1,2]") + `,{"name":"b","shape":[1],"datatype":"BOOL","data":[true]}]}`, `"top" cannot be used: the model does not classify images`},
		{"numbers", `{"inputs":[` + i("[2,1]", "[1,2]") + `,{"name":"b","shape":[1],"datatype":"BYTES","data":["x"]}]}`, `the model does not classify images`},
		{"scalar", `{"inputs":[{"name":"x","shape":[],"datatype":"FP32","data":[1,2]}]}`, `the shape [] has 1 elements, but the data has more`},
	} {
		got := s.do(http.MethodPost, "/v2/models/"+c[0]+"/infer", map[string]string{"Content-Type": "application/json"}, []byte(c[1]))
		text := got.failure(t)
		require.Equal(t, http.StatusBadRequest, got.status, "%s for %.200s", text, c[1])
		require.Contains(t, text, c[2], "%.200s", c[1])
		require.LessOrEqual(t, len(text), 2010)
		require.NotContains(t, text, "json:")
		require.NotContains(t, text, "Go ")
	}
	// log(-1) is not a number, which JSON cannot express.
	got := s.do(http.MethodPost, "/v2/models/scalar/infer", nil, []byte(`{"inputs":[{"name":"x","shape":[],"datatype":"FP32","data":[-1]}]}`))
	require.Equal(t, http.StatusInternalServerError, got.status)
	require.Contains(t, got.failure(t), `output "y": element 0 is NaN, which JSON cannot express: ask for a binary tensor`)
	require.Equal(t, 1, len(s.infer("digits", requestJSON{Inputs: images(pixels(1, 1))}).Outputs))
}

// TestREST_RefusesBinaryTensorsThatDoNotFit damages the lengths and the data of binary tensors.
func TestREST_RefusesBinaryTensorsThatDoNotFit(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	x := raw(t, pixels(1, 1).Float32s())
	object := func(datatype string, size any) string {
		return fmt.Sprintf(`{"inputs":[{"name":"image","shape":[1,1,12,12],"datatype":%q,"parameters":{"binary_data_size":%v}}]}`, datatype, size)
	}
	whole := object("FP32", 576)
	nan := raw(t, []float32{float32(math.NaN())})
	for _, c := range []struct{ length, body, want string }{
		{"-1", whole, "want the number of bytes of the JSON object"},
		{"many", whole, "want the number of bytes of the JSON object"},
		{"100000", whole, "0 to 105, the size of the body"},
		{"99999999999999999999", whole, "want the number of bytes of the JSON object"},
		{"5", whole, "not JSON"},
		{"", object("FP32", 5), `binary_data_size is 5, but 0 bytes follow`},
		{"", object("FP32", -1), "binary_data_size is -1"},
		{"", object("FP32", `"576"`), "binary_data_size is 576"},
		{"", object("FP32", "1e3"), "binary_data_size is 1000"},
		{"", whole + string(x[:575]), "575 bytes follow"},
		{"", whole + string(x) + "xy", "2 bytes of binary tensors belong to no input"},
		{"", object("FP32", 572) + string(x[:572]), `input "image": the shape [1 1 12 12] of FP32 takes 576 bytes, but the request has 572`},
		{"", object("FP64", 576) + string(x), `takes 1152 bytes`},
		{"", object("BYTES", 576) + string(x), `of BYTES ends after`},
		{"", object("BOOL", 144) + string(x[:144]), `of BOOL is the byte`},
		{"", strings.Replace(whole, `"parameters"`, `"data":[1],"parameters"`, 1) + string(x), "either data or the parameter"},
		{"", strings.Replace(whole, `"binary_data_size"`, `"shared_memory_region":"r","binary_data_size"`, 1) + string(x), `"shared_memory_region" is not supported`},
		{"", whole + string(nan) + string(x[4:]), "image 0 has the value NaN"},
		{"0", string(x[:575]), "takes 0 bytes, but the request has 575"},
		{"0", "", "has no images"},
	} {
		length := c.length
		if length == "" {
			length = strconv.Itoa(strings.LastIndexByte(c.body[:strings.Index(c.body, "}}]}")+4], '}') + 1)
		}
		got := s.do(http.MethodPost, "/v2/models/digits/infer", map[string]string{headerLength: length}, []byte(c.body))
		require.Equal(t, http.StatusBadRequest, got.status, "%s", got.body)
		require.Contains(t, got.failure(t), c.want)
	}
}

func TestREST_NamesWrongPathsAndMethods(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{http.MethodGet, "/v2/models/other", 404, `there is no model "other": the models are "digits"`},
		{http.MethodGet, "/v2/models/other/ready", 404, `there is no model "other"`},
		{http.MethodPost, "/v2/models/other/infer", 404, `there is no model "other"`},
		{http.MethodPost, "/v2/models/digits/versions/2/infer", 404, `model "digits" has no version "2"`},
		{http.MethodGet, "/v2/models/%00%2f%0a", 404, `there is no model "\x00/\n"`},
		{http.MethodGet, "/v2/models", 404, `there is no path "/v2/models"`},
		{http.MethodGet, "/v2/nothing/else", 404, `there is no path`},
		{http.MethodGet, "/v2/models/digits/infer", 405, `the method GET cannot be used`},
		{http.MethodPut, "/v2", 405, `want GET`},
		{http.MethodDelete, "/v2/models/digits", 405, `want GET`},
		{http.MethodPost, "/v2/health/live", 405, `want GET`},
	} {
		got := s.do(c.method, c.path, nil, nil)
		require.Equal(t, c.status, got.status, c.path)
		require.Contains(t, got.failure(t), c.want)
	}
	got := s.do(http.MethodPost, "/v2/models/digits/infer", map[string]string{"Content-Encoding": "br"}, []byte("x"))
	require.Equal(t, http.StatusUnsupportedMediaType, got.status)
	require.Contains(t, got.failure(t), `the content encoding "br" is not supported`)
	got = s.do(http.MethodPost, "/v2/models/digits/infer", map[string]string{"Content-Encoding": "gzip"}, []byte("x"))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.failure(t), "gzip")
	require.Equal(t, http.StatusOK, s.do(http.MethodHead, "/v2/health/live", nil, nil).status)
}

// TestGRPC_NamesTheReasonOfAnError is TestREST_NamesTheReasonOfAnError for calls.
func TestGRPC_NamesTheReasonOfAnError(t *testing.T) {
	path, _ := digits(t)
	numbers := put(t, "numbers", foreign(t, []*onnxpb.ValueInfoProto{info("i", ops.Int8, -1)}, []*onnxpb.ValueInfoProto{info("y", ops.Int8, -1)}, node("Identity", "y", "i")))
	s := begin(t, path, numbers)
	client := s.call()
	valid := func() *oip.ModelInferRequest { return call("digits", "", pixels(1, 1), nil) }
	change := func(f func(r *oip.ModelInferRequest)) *oip.ModelInferRequest {
		r := valid()
		f(r)
		return r
	}
	small := &oip.ModelInferRequest{ModelName: "numbers", Inputs: []*oip.ModelInferRequest_InferInputTensor{
		{Name: "i", Datatype: "INT8", Shape: []int64{1}, Contents: &oip.InferTensorContents{IntContents: []int32{200}}},
	}}
	for _, c := range []struct {
		code    codes.Code
		want    string
		request *oip.ModelInferRequest
	}{
		{codes.NotFound, `there is no model ""`, &oip.ModelInferRequest{}},
		{codes.NotFound, `has no version "7"`, change(func(r *oip.ModelInferRequest) { r.ModelVersion = "7" })},
		{codes.InvalidArgument, "no inputs", &oip.ModelInferRequest{ModelName: "digits"}},
		{codes.InvalidArgument, `input "x": the model has no input of this name`, change(func(r *oip.ModelInferRequest) { r.Inputs[0].Name = "x" })},
		{codes.InvalidArgument, `input "image": the datatype "" is not supported`, change(func(r *oip.ModelInferRequest) { r.Inputs[0].Datatype = "" })},
		{codes.InvalidArgument, `input "image": the contents are in fp32_contents: elements of FP64 belong in fp64_contents`, change(func(r *oip.ModelInferRequest) { r.Inputs[0].Datatype = "FP64" })},
		{codes.InvalidArgument, `input "image": the contents are missing`, change(func(r *oip.ModelInferRequest) { r.Inputs[0].Contents = nil })},
		{codes.InvalidArgument, `has 144 elements, but fp32_contents has 1`, change(func(r *oip.ModelInferRequest) { r.Inputs[0].Contents.Fp32Contents = []float32{1} })},
		{codes.InvalidArgument, `the dimension -5`, change(func(r *oip.ModelInferRequest) { r.Inputs[0].Shape[0] = -5 })},
		{codes.InvalidArgument, `more than 2147483647 elements`, change(func(r *oip.ModelInferRequest) {
			r.Inputs[0].Shape = []int64{1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30}
		})},
		{codes.InvalidArgument, "image 0 has the value NaN", change(func(r *oip.ModelInferRequest) { r.Inputs[0].Contents.Fp32Contents[7] = float32(math.NaN()) })},
		{codes.InvalidArgument, "2 raw_input_contents for 1 inputs", change(func(r *oip.ModelInferRequest) { r.RawInputContents = [][]byte{nil, nil} })},
		{codes.InvalidArgument, `input "image" has contents, although`, change(func(r *oip.ModelInferRequest) { r.RawInputContents = [][]byte{nil} })},
		{codes.InvalidArgument, `takes 576 bytes, but the request has 3`, change(func(r *oip.ModelInferRequest) {
			r.Inputs[0].Contents, r.RawInputContents = nil, [][]byte{{1, 2, 3}}
		})},
		{codes.InvalidArgument, `output "no": the model has no output`, change(func(r *oip.ModelInferRequest) {
			r.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "no"}}
		})},
		{codes.InvalidArgument, `parameter "classification" is not supported`, change(func(r *oip.ModelInferRequest) {
			r.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities", Parameters: map[string]*oip.InferParameter{"classification": {}}}}
		})},
		{codes.InvalidArgument, `parameter "seed" has no value`, change(func(r *oip.ModelInferRequest) { r.Parameters = map[string]*oip.InferParameter{"seed": {}} })},
		{codes.InvalidArgument, `parameter "spikes" is 99999999`, call("digits", "", pixels(1, 1), map[string]any{"spikes": 99999999})},
		{codes.InvalidArgument, `input "i": element 0 is 200, which is out of the range of INT8`, small},
	} {
		_, err := client.ModelInfer(t.Context(), c.request)
		require.Equal(t, c.code, status.Code(err), "%v", err)
		require.ErrorContains(t, err, c.want)
	}
	_, err := client.ModelMetadata(t.Context(), &oip.ModelMetadataRequest{Name: "x"})
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = client.ModelReady(t.Context(), &oip.ModelReadyRequest{Name: "x"})
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = client.ModelInfer(t.Context(), valid())
	require.NoError(t, err)
}
