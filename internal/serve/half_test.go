package serve

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
)

// halves is a model that doubles float16 numbers and returns bfloat16 numbers.
func halves(t testing.TB) string {
	return put(t, "halves", foreign(t,
		[]*onnxpb.ValueInfoProto{info("a", ops.Float16, -1), info("b", ops.BFloat16, -1)},
		[]*onnxpb.ValueInfoProto{info("doubled", ops.Float16, -1), info("same", ops.BFloat16, -1)},
		node("Add", "doubled", "a", "a"), node("Identity", "same", "b")))
}

var (
	someF16  = []ops.F16{ops.ToF16(1.5), ops.ToF16(-0.1), 0x7c00, 1} // infinity, and the smallest number
	someBF16 = []ops.BF16{ops.ToBF16(3), 0x7fc1}                     // a NaN with bits of its own
)

func doubled() []ops.F16 {
	var out []ops.F16
	for _, v := range someF16 {
		out = append(out, ops.ToF16(2*v.Float64()))
	}
	return out
}

func TestREST_TakesHalvesInBinaryForm(t *testing.T) {
	s := begin(t, halves(t), put(t, "one", foreign(t, []*onnxpb.ValueInfoProto{info("a", ops.Float16, -1)}, []*onnxpb.ValueInfoProto{info("y", ops.Float16, -1)}, node("Add", "y", "a", "a"))))
	post := func(model, text string, binary ...byte) reply {
		return s.do(http.MethodPost, "/v2/models/"+model+"/infer", map[string]string{headerLength: strconv.Itoa(len(text))}, append([]byte(text), binary...))
	}
	const inputs = `"inputs":[{"name":"a","datatype":"FP16","shape":[4],"parameters":{"binary_data_size":8}},{"name":"b","datatype":"BF16","shape":[2],"parameters":{"binary_data_size":4}}]`
	bodies := append(raw(t, someF16), raw(t, someBF16)...)

	got := post("halves", `{"parameters":{"binary_data_output":true},`+inputs+`}`, bodies...)
	n, err := strconv.Atoi(got.header.Get(headerLength))
	require.NoError(t, err, "%s", got.body)
	var response responseJSON
	require.NoError(t, json.Unmarshal(got.body[:n], &response))
	require.Equal(t, "FP16", response.Outputs[0].Datatype)
	require.Equal(t, "BF16", response.Outputs[1].Datatype)
	require.Equal(t, append(raw(t, doubled()), raw(t, someBF16)...), got.body[n:])

	got = post("one", "", raw(t, someF16)...) // no JSON at all
	n, err = strconv.Atoi(got.header.Get(headerLength))
	require.NoError(t, err, "%s", got.body)
	require.Equal(t, raw(t, doubled()), got.body[n:])

	require.Contains(t, post("halves", `{`+inputs+`}`, bodies...).failure(t), `output "doubled": JSON has no FP16: ask for a binary tensor (parameter binary_data)`)
	require.Contains(t, post("one", `{"inputs":[{"name":"a","datatype":"FP16","shape":[0],"data":[]}]}`).failure(t), `input "a": JSON has no FP16: send a binary tensor (parameter binary_data_size)`)
	require.Contains(t, post("one", `{"inputs":[{"name":"a","datatype":"BF16","shape":[1],"parameters":{"binary_data_size":2}}]}`, 0, 0).failure(t), `input "a" is BF16 [1]: the model takes FP16 [?]`)
	require.Contains(t, post("one", `{"inputs":[{"name":"a","datatype":"FP16","shape":[1],"parameters":{"binary_data_size":3}}]}`, 0, 0, 0).failure(t), `the shape [1] of FP16 takes 2 bytes, but the request has 3`)
	require.Contains(t, string(s.do(http.MethodGet, "/v2/models/halves", nil, nil).body), `"datatype":"BF16"`)
}

func TestGRPC_TakesHalvesAsRawContents(t *testing.T) {
	s := begin(t, halves(t))
	client := s.call()
	tensor := func(name, datatype string, n int64) *oip.ModelInferRequest_InferInputTensor {
		return &oip.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: []int64{n}}
	}
	request := &oip.ModelInferRequest{
		ModelName: "halves", Inputs: []*oip.ModelInferRequest_InferInputTensor{tensor("a", "FP16", 4), tensor("b", "BF16", 2)},
		RawInputContents: [][]byte{raw(t, someF16), raw(t, someBF16)},
	}
	answer, err := client.ModelInfer(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, "FP16", answer.Outputs[0].Datatype)
	require.Equal(t, [][]byte{raw(t, doubled()), raw(t, someBF16)}, answer.RawOutputContents)

	request.RawInputContents = nil
	request.Inputs[0].Contents = &oip.InferTensorContents{Fp32Contents: []float32{1, 2, 3, 4}}
	_, err = client.ModelInfer(t.Context(), request)
	require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	require.ErrorContains(t, err, `input "a": the protocol has no contents for FP16: send raw_input_contents`)
}

// A request with typed contents gets raw contents if an output has no others.
func TestGRPC_ReturnsHalvesAsRawContents(t *testing.T) {
	cast := node("Cast", "z", "x")
	cast.Attribute = []*onnxpb.AttributeProto{{Name: "to", Type: onnxpb.AttributeProto_INT, I: new(int64(ops.BFloat16))}}
	s := begin(t, put(t, "cast", foreign(t, []*onnxpb.ValueInfoProto{info("x", ops.Float32, -1)},
		[]*onnxpb.ValueInfoProto{info("y", ops.Float32, -1), info("z", ops.BFloat16, -1)}, node("Identity", "y", "x"), cast)))
	x := []float32{1, -2.5}
	answer, err := s.call().ModelInfer(t.Context(), &oip.ModelInferRequest{ModelName: "cast", Inputs: []*oip.ModelInferRequest_InferInputTensor{
		{Name: "x", Datatype: "FP32", Shape: []int64{2}, Contents: &oip.InferTensorContents{Fp32Contents: x}},
	}})
	require.NoError(t, err)
	require.Equal(t, [][]byte{raw(t, x), raw(t, []ops.BF16{ops.ToBF16(1), ops.ToBF16(-2.5)})}, answer.RawOutputContents)
	require.Nil(t, answer.Outputs[0].Contents)
}
