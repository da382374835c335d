package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/runtime"
)

// description returns the protocol's own description of REST. Its paths have ${NAME} for {NAME}.
func description(t *testing.T, server string) routers.Router {
	t.Helper()
	text, err := os.ReadFile("../../third_party/open-inference-protocol/open_inference_rest.yaml")
	require.NoError(t, err)
	text = bytes.ReplaceAll(text, []byte("${"), []byte("{"))
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	doc.Servers = openapi3.Servers{{URL: server}}
	router, err := legacy.NewRouter(doc)
	require.NoError(t, err)
	return router
}

// TestREST_FollowsTheDescriptionOfTheProtocol validates requests and responses.
func TestREST_FollowsTheDescriptionOfTheProtocol(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	router := description(t, s.url)
	body, err := json.Marshal(requestJSON{ID: "42", Inputs: images(pixels(1, 2)), Outputs: []tensorJSON{{Name: "probabilities"}}})
	require.NoError(t, err)
	wrong, err := json.Marshal(requestJSON{Inputs: images(pixels(1, 2))[:1], Outputs: []tensorJSON{{Name: "other"}}})
	require.NoError(t, err)
	const version = "/v2/models/digits/versions/1"
	for _, c := range []struct {
		method, path string
		body         []byte
		status       int
	}{
		{http.MethodGet, "/v2/", nil, 200}, {http.MethodGet, "/v2/health/live", nil, 200}, {http.MethodGet, "/v2/health/ready", nil, 200},
		{http.MethodGet, version, nil, 200}, {http.MethodGet, version + "/ready", nil, 200},
		{http.MethodPost, version + "/infer", body, 200}, {http.MethodPost, version + "/infer", wrong, 400},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, bytes.NewReader(c.body))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			route, params, err := router.FindRoute(r)
			require.NoError(t, err)
			in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}
			require.NoError(t, openapi3filter.ValidateRequest(t.Context(), in))
			r.Body = http.NoBody
			got := s.do(c.method, c.path, map[string]string{"Content-Type": "application/json"}, c.body)
			require.Equal(t, c.status, got.status, "%s", got.body)
			out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: got.status, Header: got.header, Options: &openapi3filter.Options{IncludeResponseStatus: true}}
			require.NoError(t, openapi3filter.ValidateResponse(t.Context(), out.SetBodyBytes(got.body)), "%s", got.body)
		})
	}
	// The paths without a version, which the text of the protocol has, answer the same.
	for _, suffix := range []string{"", "/ready"} {
		require.Equal(t, s.do(http.MethodGet, version+suffix, nil, nil).body, s.do(http.MethodGet, "/v2/models/digits"+suffix, nil, nil).body)
	}
	require.Equal(t, s.do(http.MethodGet, "/v2/", nil, nil).body, s.do(http.MethodGet, "/v2", nil, nil).body)
}

func TestREST_DescribesServerAndModel(t *testing.T) {
	path, _ := digits(t)
	other, _ := staged(t)
	s := begin(t, path, "with space="+other)
	require.Contains(t, string(s.do(http.MethodGet, "/v2", nil, nil).body), `"name":"sbs-serve"`)
	require.JSONEq(t, `{"name":"digits","versions":["1"],"platform":"sbs_onnx",
		"inputs":[{"name":"image","datatype":"FP32","shape":[-1,1,12,12]}],"outputs":[{"name":"probabilities","datatype":"FP32","shape":[-1,3]}],
		"properties":{"classes":"[\"a\",\"b\",\"c\"]","image":"1x12x12","network":"digits","spikes":"L0:40,L2:40"}}`,
		withoutLoaded(t, s.do(http.MethodGet, "/v2/models/digits", nil, nil).body))
	odd := s.do(http.MethodGet, "/v2/models/with%20space", nil, nil)
	require.Equal(t, http.StatusOK, odd.status)
	require.Contains(t, string(odd.body), `"stages":"3"`)
}

// withoutLoaded removes the time of loading from the description of a model.
func withoutLoaded(t *testing.T, body []byte) string {
	t.Helper()
	var d map[string]any
	require.NoError(t, json.Unmarshal(body, &d))
	require.NotEmpty(t, d["properties"].(map[string]any)["loaded"])
	delete(d["properties"].(map[string]any), "loaded")
	text, err := json.Marshal(d)
	require.NoError(t, err)
	return string(text)
}

func TestREST_EchoesIDsAndReturnsTheRequestedOutputs(t *testing.T) {
	path, m := staged(t)
	s := begin(t, path)
	x := pixels(3, 8)
	for _, id := range []string{"", "42", "ümläut \"quoted\"\n<&>", strings.Repeat("x", 5000)} {
		require.Equal(t, id, s.infer("staged", requestJSON{ID: id, Inputs: images(x)}).ID)
	}
	var effort runtime.Effort
	want := alone(t, m, x, runtime.Seed(5), runtime.ReportEffort(func(e runtime.Effort) { effort = e }))
	names := func(r responseJSON) (list []string) {
		for _, out := range r.Outputs {
			list = append(list, out.Name)
		}
		return list
	}
	seed := map[string]any{"seed": 5}
	all := s.infer("staged", requestJSON{Inputs: images(x), Parameters: seed})
	require.Equal(t, []string{"probabilities"}, names(all))
	require.Equal(t, want, all.float32s(t, "probabilities"))
	two := s.infer("staged", requestJSON{Inputs: images(x), Parameters: seed, Outputs: []tensorJSON{{Name: "updates"}, {Name: "stage"}}})
	require.Equal(t, []string{"updates", "stage"}, names(two))
	require.Equal(t, fmt.Sprint(effort.Updates), fmt.Sprint(numbers(t, two.Outputs[0].Data)))
	require.Equal(t, fmt.Sprint(effort.Stages), fmt.Sprint(numbers(t, two.Outputs[1].Data)))
	require.Equal(t, []int{8}, two.Outputs[1].Shape)
	top := s.infer("staged", requestJSON{Inputs: images(x), Parameters: map[string]any{"seed": 5, "top": 2}})
	require.Equal(t, []string{"probabilities", "class_names", "class_probabilities"}, names(top))
	require.Equal(t, []int{8, 2}, top.Outputs[1].Shape)
	require.Equal(t, "BYTES", top.Outputs[1].Datatype)
}

func numbers(t *testing.T, data json.RawMessage) (list []int64) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, &list))
	return list
}

// TestREST_TakesParametersFromTheQuery compares parameters in the URL with those in the body.
func TestREST_TakesParametersFromTheQuery(t *testing.T) {
	path, m := digits(t)
	s := begin(t, path)
	x := pixels(3, 2)
	want := alone(t, m, x, runtime.Seed(7), runtime.EachLayer(runtime.Dynamics{Spikes: 5, Sampler: runtime.LowDiscrepancy}, runtime.Dynamics{Spikes: 9, Sampler: runtime.LowDiscrepancy}))
	inBody := s.infer("digits", requestJSON{Inputs: images(x), Parameters: map[string]any{"seed": 7, "spikes": "5, 9", "sampler": "low-discrepancy"}})
	require.Equal(t, want, inBody.float32s(t, "probabilities"))
	body, err := json.Marshal(requestJSON{Inputs: images(x)})
	require.NoError(t, err)
	q := url.Values{"seed": {"7"}, "spikes": {"5,9"}, "sampler": {"low-discrepancy"}, "id": {"q"}}
	got := s.do(http.MethodPost, "/v2/models/digits/infer?"+q.Encode(), nil, body)
	var out responseJSON
	require.NoError(t, json.Unmarshal(got.body, &out), "%s", got.body)
	require.Equal(t, "q", out.ID)
	require.Equal(t, want, out.float32s(t, "probabilities"))
	got = s.do(http.MethodPost, "/v2/models/digits/infer?binary_data_output=true&"+q.Encode(), nil, body)
	n, err := strconv.Atoi(got.header.Get(headerLength))
	require.NoError(t, err, "%s", got.body)
	require.Equal(t, want, float32sOf(got.body[n:]))
	auto := alone(t, m, x, runtime.Seed(7), runtime.AllLayers(runtime.Dynamics{Spikes: 5, Schedule: &runtime.Schedule{Auto: true}}))
	require.Equal(t, auto, s.infer("digits", requestJSON{Inputs: images(x), Parameters: map[string]any{"seed": 7, "spikes": 5, "epsilon_schedule": "auto"}}).float32s(t, "probabilities"))
	for query, want := range map[string]string{
		"seed=7;spikes=5": "the query", "seed=%zz": "the query", "binary_data_output=perhaps": `parameter "binary_data_output" is perhaps: want true or false`,
	} {
		got := s.do(http.MethodPost, "/v2/models/digits/infer?"+query, nil, body)
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Contains(t, got.failure(t), want)
	}
}

// TestREST_TakesWholeNumbersInEveryForm sends parameters as clients write them that know only
// floating-point numbers.
func TestREST_TakesWholeNumbersInEveryForm(t *testing.T) {
	path, m := digits(t)
	s := begin(t, path)
	x := pixels(3, 2)
	want := alone(t, m, x, runtime.Seed(7), runtime.AllLayers(runtime.Dynamics{Spikes: 50}))
	input, err := json.Marshal(images(x))
	require.NoError(t, err)
	for parameters, refused := range map[string]bool{
		`"seed":7,"spikes":50`: false, `"seed":7.0,"spikes":5e1`: false, `"seed":"7","spikes":"50"`: false,
		`"seed":7.5`: true, `"seed":-7.0`: true, `"seed":1e300`: true, `"spikes":0.5`: true, `"seed":true`: true,
	} {
		got := s.do(http.MethodPost, "/v2/models/digits/infer", nil, []byte(`{"parameters":{`+parameters+`},"inputs":`+string(input)+`}`))
		if refused {
			require.Equal(t, http.StatusBadRequest, got.status, parameters)
			require.Contains(t, got.failure(t), "whole number")
			continue
		}
		var out responseJSON
		require.NoError(t, json.Unmarshal(got.body, &out), "%s", got.body)
		require.Equal(t, want, out.float32s(t, "probabilities"), parameters)
	}
	r := call("digits", "", x, nil)
	r.Parameters = map[string]*oip.InferParameter{
		"seed":   {ParameterChoice: &oip.InferParameter_DoubleParam{DoubleParam: 7}},
		"spikes": {ParameterChoice: &oip.InferParameter_Uint64Param{Uint64Param: 50}},
	}
	got, err := s.call().ModelInfer(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, want, got.Outputs[0].Contents.Fp32Contents)
}
