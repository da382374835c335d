package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// journal is a log in JSON that tests read while the server writes it.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// find returns the entries with a message.
func (j *journal) find(message string) (entries []map[string]any) {
	for line := range strings.Lines(j.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
			entries = append(entries, entry)
		}
	}
	return entries
}

// instance is a server that runs.
type instance struct {
	t    testing.TB
	url  string // without the slash at the end
	grpc string // address
	log  *journal
	stop context.CancelFunc // as SIGTERM does
	done chan error         // receives the error of the command
}

// begin runs sbs-serve with arguments, and waits until it is ready.
func begin(t testing.TB, args ...string) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &instance{t: t, log: &journal{}, stop: stop, done: make(chan error, 1)}
	args = append([]string{"--listen", "localhost:0", "--grpc-listen", "localhost:0", "--log-format", "json", "--drain", "0s"}, args...)
	go func() { s.done <- cli.Run(ctx, Command(args), args, io.Discard, s.log) }()
	ready := func() bool {
		select {
		case err := <-s.done:
			s.done <- err
			return true
		default:
			return len(s.log.find("ready")) > 0
		}
	}
	for deadline := time.Now().Add(30 * time.Second); !ready() && time.Now().Before(deadline); {
		time.Sleep(2 * time.Millisecond)
	}
	listening := s.log.find("listening")
	require.Len(t, listening, 2, "%s", s.log)
	s.url, s.grpc = "http://"+listening[0]["address"].(string), listening[1]["address"].(string)
	require.NotEmpty(t, s.log.find("ready"), "%s", s.log)
	t.Cleanup(func() { require.NoError(t, s.end()) })
	return s
}

// end stops the server, and returns the error of the command.
func (s *instance) end() error {
	s.stop()
	select {
	case err := <-s.done:
		s.done <- err
		return err
	case <-time.After(30 * time.Second):
		s.t.Fatal("the server does not end")
		return nil
	}
}

// reply is a response.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// client does not share connections with other tests, and does not decompress.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableCompression: true}}
}

// do sends a request.
func (s *instance) do(method, path string, header map[string]string, body []byte) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(body))
	require.NoError(s.t, err)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return send(s.t, client(), r)
}

func send(t testing.TB, c *http.Client, r *http.Request) reply {
	t.Helper()
	response, err := c.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response.StatusCode, response.Header, content}
}

// failure returns the error of a response.
func (r reply) failure(t testing.TB) string {
	t.Helper()
	var e struct{ Error *string }
	require.NoError(t, json.Unmarshal(r.body, &e), "%s", r.body)
	require.NotNil(t, e.Error, "%s", r.body)
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	return *e.Error
}

// tensorJSON is a tensor in JSON.
type tensorJSON struct {
	Name       string         `json:"name"`
	Shape      []int          `json:"shape"`
	Datatype   string         `json:"datatype"`
	Data       any            `json:"data,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

// requestJSON is a request in JSON.
type requestJSON struct {
	ID         string         `json:"id,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
	Inputs     []tensorJSON   `json:"inputs"`
	Outputs    []tensorJSON   `json:"outputs,omitempty"`
}

// responseJSON is a response in JSON.
type responseJSON struct {
	ModelName    string `json:"model_name"`
	ModelVersion string `json:"model_version"`
	ID           string `json:"id"`
	Outputs      []struct {
		Name       string          `json:"name"`
		Shape      []int           `json:"shape"`
		Datatype   string          `json:"datatype"`
		Data       json.RawMessage `json:"data"`
		Parameters map[string]int  `json:"parameters"`
	} `json:"outputs"`
}

// infer sends a request that must succeed.
func (s *instance) infer(model string, r requestJSON) responseJSON {
	s.t.Helper()
	body, err := json.Marshal(r)
	require.NoError(s.t, err)
	got := s.do(http.MethodPost, "/v2/models/"+model+"/infer", nil, body)
	require.Equal(s.t, http.StatusOK, got.status, "%s", got.body)
	var out responseJSON
	require.NoError(s.t, json.Unmarshal(got.body, &out), "%s", got.body)
	return out
}

// float32s returns the elements of an output.
func (r responseJSON) float32s(t testing.TB, name string) []float32 {
	t.Helper()
	for _, out := range r.Outputs {
		if out.Name == name {
			var v []float32
			require.NoError(t, json.Unmarshal(out.Data, &v))
			return v
		}
	}
	require.Fail(t, "no output "+name)
	return nil
}

// images returns the input of a model for images.
func images(t *ops.Tensor) []tensorJSON {
	return []tensorJSON{{Name: "image", Shape: t.Shape(), Datatype: "FP32", Data: t.Float32s()}}
}

// call returns a client for gRPC.
func (s *instance) call() oip.GRPCInferenceServiceClient {
	s.t.Helper()
	return oip.NewGRPCInferenceServiceClient(s.connect(grpc.WithTransportCredentials(insecure.NewCredentials())))
}

func (s *instance) connect(opts ...grpc.DialOption) *grpc.ClientConn {
	s.t.Helper()
	c, err := grpc.NewClient(s.grpc, opts...)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// put writes a model to a file, and returns its path.
func put(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// digits returns the path of a small network, digits.onnx, and the network as a model.
func digits(t testing.TB) (string, *runtime.Model) {
	t.Helper()
	return saved(t, "digits", modeltest.Write(t, converttest.Digits(), convert.Options{}))
}

// staged is digits with stages, staged.onnx.
func staged(t testing.TB) (string, *runtime.Model) {
	t.Helper()
	data, err := convert.StagesToONNX(converttest.Staged(), convert.Options{})
	require.NoError(t, err)
	return saved(t, "staged", data)
}

func saved(t testing.TB, name string, data []byte) (string, *runtime.Model) {
	t.Helper()
	m, err := runtime.New(data)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return put(t, name, data), m
}

// pixels returns random images for digits.
func pixels(seed uint64, n int) *ops.Tensor {
	return modeltest.Pixels(seed, n, converttest.Digits().Input)
}

// alone returns the probabilities that a model computes for images, given a seed.
func alone(t testing.TB, m *runtime.Model, images *ops.Tensor, opts ...runtime.RunOption) []float32 {
	t.Helper()
	out, err := m.Run(t.Context(), map[string]*runtime.Tensor{"image": images}, opts...)
	require.NoError(t, err)
	return out["probabilities"].Float32s()
}

// foreign returns a model of another program.
func foreign(t testing.TB, inputs, outputs []*onnxpb.ValueInfoProto, nodes ...*onnxpb.NodeProto) []byte {
	t.Helper()
	g := &onnxpb.GraphProto{Name: "g", Input: inputs, Output: outputs, Node: nodes}
	data, err := onnx.Marshal(&onnxpb.ModelProto{IrVersion: 8, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: 17}}, Graph: g})
	require.NoError(t, err)
	return data
}

// node returns a node of foreign.
func node(operator, output string, inputs ...string) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{OpType: operator, Output: []string{output}, Input: inputs}
}

// info describes an input or output of foreign. A dimension below 0 has any size.
func info(name string, d ops.DType, shape ...int64) *onnxpb.ValueInfoProto {
	s := &onnxpb.TensorShapeProto{}
	for _, n := range shape {
		dim := &onnxpb.TensorShapeProto_Dimension{}
		if n >= 0 {
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: n}
		}
		s.Dim = append(s.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{Name: name, Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: int32(d), Shape: s}}}}
}
