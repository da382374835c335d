package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
)

// slow returns the path of a model that takes seconds for an image on any machine, slow.onnx.
func slow(t testing.TB) string {
	t.Helper()
	l := converttest.New(1).SbS(converttest.Window(3, 1), 1, 32, 300_000)
	n := &convert.Network{Dialect: 2, Step: -1, Input: convert.Size{Channels: 1, Height: 100, Width: 100}, Layers: []convert.Layer{l}}
	return put(t, "slow", modeltest.Write(t, n, convert.Options{}))
}

// forSlow returns images for slow: enough for half a minute.
func forSlow() *ops.Tensor {
	return modeltest.Pixels(1, 10, convert.Size{Channels: 1, Height: 100, Width: 100})
}

// metric returns the value of a time series, 0 if there is none.
func (s *instance) metric(series string) (v float64) {
	s.t.Helper()
	for line := range strings.Lines(string(s.do(http.MethodGet, "/metrics", nil, nil).body)) {
		if n, found := strings.CutPrefix(line, series+" "); found {
			_, err := fmt.Sscan(n, &v)
			require.NoError(s.t, err)
		}
	}
	return v
}

func TestREST_LimitsTheSizeOfRequests(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--max-body", "1", "--max-batch", "20")
	const infer = "/v2/models/digits/infer"
	zeros := make([]byte, 1<<20+1)
	for name, body := range map[string]io.Reader{
		"declared":  bytes.NewReader(zeros),
		"in chunks": io.MultiReader(bytes.NewReader(zeros)),
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+infer, body)
		require.NoError(t, err)
		got := send(t, client(), r)
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status, name)
		require.Contains(t, got.failure(t), "more than 1048576 bytes (--max-body of the server)")
	}
	bomb := zipped(t, make([]byte, 1<<26)) // 64 MiB in 64 kB
	before := s.metric("go_memstats_alloc_bytes_total")
	got := s.do(http.MethodPost, infer, map[string]string{"Content-Encoding": "gzip"}, bomb)
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	require.Contains(t, got.failure(t), "--max-body")
	require.Less(t, s.metric("go_memstats_alloc_bytes_total")-before, float64(16<<20), "the bomb is not decompressed")

	many, err := json.Marshal(requestJSON{Inputs: images(pixels(1, 21))})
	require.NoError(t, err)
	got = s.do(http.MethodPost, infer, nil, many)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.failure(t), `input "image" has 21 images: want 1 to 20 (--max-batch of the server)`)
	require.Zero(t, s.metric("sbs_request_bytes"))
}

func TestGRPC_LimitsTheSizeOfRequests(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--max-body", "1")
	client := oip.NewGRPCInferenceServiceClient(s.connect(grpc.WithTransportCredentials(insecure.NewCredentials())))
	large := call("digits", strings.Repeat("x", 1<<20), pixels(1, 1), nil)
	for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
		_, err := client.ModelInfer(t.Context(), large, opts...)
		require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	}
	got, err := client.ModelInfer(t.Context(), call("digits", "", pixels(1, 1), nil), grpc.UseCompressor(gzip.Name))
	require.NoError(t, err)
	require.Len(t, got.Outputs, 1)
}

// TestServer_LimitsTimeAndEndsTheWork uses a model that takes long.
func TestServer_LimitsTimeAndEndsTheWork(t *testing.T) {
	s := begin(t, slow(t), "--timeout", "300ms")
	body, err := json.Marshal(requestJSON{Inputs: images(forSlow())})
	require.NoError(t, err)
	start := time.Now()
	got := s.do(http.MethodPost, "/v2/models/slow/infer", nil, body)
	require.Equal(t, http.StatusGatewayTimeout, got.status)
	require.Contains(t, got.failure(t), "the request took longer than 300ms (--timeout of the server)")
	_, err = s.call().ModelInfer(t.Context(), call("slow", "", forSlow(), nil))
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.ErrorContains(t, err, "--timeout of the server")
	require.Less(t, time.Since(start), 20*time.Second)
	s.requireIdle()
}

// requireIdle requires that no run of a model goes on.
func (s *instance) requireIdle() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		before := s.metric("process_cpu_seconds_total")
		time.Sleep(200 * time.Millisecond)
		return s.metric("process_cpu_seconds_total")-before < 0.1
	}, 20*time.Second, time.Millisecond, "the work goes on")
}

// TestServer_StopsTheWorkOfClientsThatGoAway uses a model that takes long.
func TestServer_StopsTheWorkOfClientsThatGoAway(t *testing.T) {
	s := begin(t, slow(t))
	body, err := json.Marshal(requestJSON{Inputs: images(forSlow())})
	require.NoError(t, err)
	ctx, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v2/models/slow/infer", bytes.NewReader(body))
	require.NoError(t, err)
	_, err = client().Do(r) //nolint:bodyclose // there is no response
	require.ErrorIs(t, err, context.DeadlineExceeded)
	short, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer leave()
	_, err = s.call().ModelInfer(short, call("slow", "", forSlow(), nil))
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.Eventually(t, func() bool { return s.metric(`sbs_requests_total{code="499",model="slow",protocol="rest"}`) == 1 }, 10*time.Second, 10*time.Millisecond)
	s.requireIdle()
}

// TestServer_RefusesRequestsWhenTheQueueIsFull fills the queue of a model that takes long.
func TestServer_RefusesRequestsWhenTheQueueIsFull(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, slow(t), path, "--max-queue", "20", "--max-batch", "10")
	ctx, leave := context.WithCancel(t.Context())
	var group sync.WaitGroup
	client := s.call()
	for range 3 { // one runs, two wait
		group.Go(func() {
			for ctx.Err() == nil { // the second may come before the first runs
				if _, err := client.ModelInfer(ctx, call("slow", "", forSlow(), nil)); status.Code(err) != codes.ResourceExhausted {
					return
				}
			}
		})
	}
	require.Eventually(t, func() bool { return s.metric(`sbs_queue_images{model="slow"}`) == 20 }, 10*time.Second, 10*time.Millisecond)
	body, err := json.Marshal(requestJSON{Inputs: images(forSlow())})
	require.NoError(t, err)
	got := s.do(http.MethodPost, "/v2/models/slow/infer", nil, body)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Contains(t, got.failure(t), "20 images are waiting, at most 20 may")
	_, err = client.ModelInfer(t.Context(), call("slow", "", forSlow(), nil))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.Len(t, s.infer("digits", requestJSON{Inputs: images(pixels(1, 1))}).Outputs, 1, "other models still answer")
	leave()
	group.Wait()
	require.Eventually(t, func() bool { return s.metric(`sbs_queue_images{model="slow"}`) == 0 }, 10*time.Second, 10*time.Millisecond)
	s.requireIdle()
}

// TestServer_LimitsTheMemoryOfAllRequests sends bodies that do not end.
func TestServer_LimitsTheMemoryOfAllRequests(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--max-memory", "1")
	var senders []*io.PipeWriter
	var group sync.WaitGroup
	for range 8 {
		in, out := io.Pipe()
		senders = append(senders, out)
		group.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v2/models/digits/infer", in)
			require.NoError(t, err)
			if got, err := client().Do(r); err == nil {
				_ = got.Body.Close()
			}
			_ = in.Close()
		})
		group.Go(func() { _, _ = out.Write(make([]byte, 300<<10)) })
	}
	require.Eventually(t, func() bool { return s.metric(`sbs_requests_total{code="429",model="digits",protocol="rest"}`) > 0 }, 10*time.Second, 10*time.Millisecond)
	require.LessOrEqual(t, s.metric("sbs_request_bytes"), float64(1<<20))
	for _, out := range senders {
		_ = out.CloseWithError(io.ErrUnexpectedEOF)
	}
	group.Wait()
	require.Eventually(t, func() bool { return s.metric("sbs_request_bytes") == 0 }, 10*time.Second, 10*time.Millisecond)
	require.Len(t, s.infer("digits", requestJSON{Inputs: images(pixels(1, 1))}).Outputs, 1)
}

// TestREST_CountsTheMemoryOfDecoding sends JSON that would take more memory than is allowed for all
// requests, although its text does not.
func TestREST_CountsTheMemoryOfDecoding(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--max-memory", "2")
	text := `{"inputs":[{"name":"image","shape":[100000],"datatype":"FP64","data":` + listOf(100000, "0") + `}],"outputs":` + listOf(30000, "{}") + `}`
	got := s.do(http.MethodPost, "/v2/models/digits/infer", nil, []byte(text))
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	require.Contains(t, got.failure(t), "--max-memory of the server")
	require.Zero(t, s.metric("sbs_request_bytes"))
}

// TestGRPC_CountsTheMemoryOfDecoding sends whole numbers of one byte, which take eight in memory.
func TestGRPC_CountsTheMemoryOfDecoding(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--max-memory", "1")
	ones := make([]int64, 200_000)
	r := &oip.ModelInferRequest{ModelName: "digits", Inputs: []*oip.ModelInferRequest_InferInputTensor{
		{Name: "image", Datatype: "INT64", Shape: []int64{200_000}, Contents: &oip.InferTensorContents{Int64Contents: ones}},
	}}
	_, err := s.call().ModelInfer(t.Context(), r)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "at most 1048576 are allowed for all requests (--max-memory of the server)")
	require.Zero(t, s.metric("sbs_request_bytes"))
}

// TestServer_RefusesVeryManyStrings sends empty strings, each of which takes more memory than its 4
// bytes in a binary tensor: in one input, and in many.
func TestServer_RefusesVeryManyStrings(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	const one, count, each = "more than 100000 elements", 2_000_000, 60_000
	object := fmt.Sprintf(`{"inputs":[{"name":"image","shape":[%d],"datatype":"BYTES","parameters":{"binary_data_size":%d}}]}`, count, 4*count)
	inputs := make([]string, count/each)
	for i := range inputs {
		inputs[i] = fmt.Sprintf(`{"name":"%d","shape":[%d],"datatype":"BYTES","parameters":{"binary_data_size":%d}}`, i, each, 4*each)
	}
	several := `{"inputs":[` + strings.Join(inputs, ",") + `]}`
	text := fmt.Sprintf(`{"inputs":[{"name":"image","shape":[%d],"datatype":"BYTES","data":%s}]}`, count, listOf(count, `""`))
	before := s.metric("go_memstats_alloc_bytes_total")
	const infer = "/v2/models/digits/infer"
	got := s.do(http.MethodPost, infer, map[string]string{headerLength: strconv.Itoa(len(object))}, append([]byte(object), make([]byte, 4*count)...))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.failure(t), `input "image": the shape [2000000] of BYTES has `+one)
	got = s.do(http.MethodPost, infer, map[string]string{headerLength: strconv.Itoa(len(several))}, append([]byte(several), make([]byte, 4*each*len(inputs))...))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.failure(t), `input "1": the inputs of the request have `+one+` of BYTES together`)
	got = s.do(http.MethodPost, infer, nil, []byte(text))
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.failure(t), one)
	_, err := s.call().ModelInfer(t.Context(), &oip.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{make([]byte, 4*count)},
		Inputs: []*oip.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{count}}}})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, one)
	require.Less(t, s.metric("go_memstats_alloc_bytes_total")-before, float64(200<<20), "the test and the bodies are in the same process")
}

// TestServer_RefusesRequestsOfVeryManyParts sends requests of a few bytes per message or object,
// which would take a hundred times as much memory.
func TestServer_RefusesRequestsOfVeryManyParts(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	const count = 500_000
	text := `{"inputs":` + listOf(count, "{}") + `}`
	members := `{"parameters":{"a":1` + strings.Repeat(`,"a":1`, count) + `}}`
	before := s.metric("go_memstats_alloc_bytes_total")
	for _, body := range []string{text, members} {
		got := s.do(http.MethodPost, "/v2/models/digits/infer", nil, []byte(body))
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Contains(t, got.failure(t), "at most 100000 are allowed")
	}
	require.Less(t, s.metric("go_memstats_alloc_bytes_total")-before, float64(64<<20)) // the test is in the same process

	client := s.call()
	empty := func(f func(r *oip.ModelInferRequest)) *oip.ModelInferRequest {
		r := call("digits", "", pixels(1, 1), nil)
		f(r)
		return r
	}
	for _, r := range []*oip.ModelInferRequest{
		empty(func(r *oip.ModelInferRequest) {
			r.Outputs = make([]*oip.ModelInferRequest_InferRequestedOutputTensor, count)
		}),
		empty(func(r *oip.ModelInferRequest) { r.Inputs = make([]*oip.ModelInferRequest_InferInputTensor, count) }),
		empty(func(r *oip.ModelInferRequest) { r.RawInputContents = make([][]byte, count) }),
		empty(func(r *oip.ModelInferRequest) { r.Inputs[0].Contents.BytesContents = make([][]byte, count) }),
	} {
		_, err := client.ModelInfer(t.Context(), r)
		require.ErrorContains(t, err, "the request has more than 100000 strings and messages")
	}
	_, err := client.ModelInfer(t.Context(), call("digits", "", pixels(1, 1), nil))
	require.NoError(t, err)
}

// TestServer_LeavesNothingBehind sends requests that fail in many ways, and counts the goroutines
// after the end of the server.
func TestServer_LeavesNothingBehind(t *testing.T) {
	path, _ := digits(t)
	before := runtime.NumGoroutine()
	s := begin(t, slow(t), path, "--max-queue", "30", "--max-batch", "20", "--timeout", "100ms", "--reload-interval", "5ms")
	body, err := json.Marshal(requestJSON{Inputs: images(forSlow())})
	require.NoError(t, err)
	conn, err := grpc.NewClient(s.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	calls, web := oip.NewGRPCInferenceServiceClient(conn), client()
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			ctx, leave := context.WithTimeout(t.Context(), time.Duration(1+i)*5*time.Millisecond)
			defer leave()
			parameters := map[string]any{"spikes": 10 + i, "epsilon_schedule": "inverse-sqrt"}
			_, err := calls.ModelInfer(ctx, call("slow", "", forSlow(), parameters))
			_ = err // any outcome will do
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v2/models/slow/infer", bytes.NewReader(body[:len(body)-i%2]))
			require.NoError(t, err)
			if response, err := web.Do(r); err == nil {
				_ = response.Body.Close()
			}
		})
	}
	group.Wait()
	require.Len(t, s.infer("digits", requestJSON{Inputs: images(pixels(1, 1))}).Outputs, 1)
	require.Eventually(t, func() bool {
		return s.metric("sbs_request_bytes") == 0 && s.metric(`sbs_queue_images{model="slow"}`) == 0
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, conn.Close())
	web.CloseIdleConnections()
	require.NoError(t, s.end())
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 20*time.Second, 20*time.Millisecond,
		"%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// TestREST_EndsConnectionsThatAreTooSlow sends headers and bodies byte by byte, or not at all.
func TestREST_EndsConnectionsThatAreTooSlow(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--read-timeout", "300ms")
	for name, text := range map[string]string{
		"nothing": "", "a part of the header": "POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\n",
		"a part of the body": "POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n{",
		"a part of a chunk":  "POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			require.NoError(t, err)
			defer func() { require.NoError(t, c.Close()) }()
			_, err = io.WriteString(c, text)
			require.NoError(t, err)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
			answer, err := io.ReadAll(c)
			require.NoError(t, err, "the server closes the connection")
			if strings.Contains(name, "body") || strings.Contains(name, "chunk") {
				require.Contains(t, string(answer), "the body has not arrived in time")
			}
		})
	}
	require.Zero(t, s.metric("sbs_request_bytes"))
}

// TestREST_AnswersAfterTheTimeForReading checks that --read-timeout does not end a request that has
// arrived, but takes longer.
func TestREST_AnswersAfterTheTimeForReading(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--read-timeout", "50ms", "--max-delay", "300ms")
	require.Len(t, s.infer("digits", requestJSON{Inputs: images(pixels(1, 1))}).Outputs, 1)
}

// TestREST_SurvivesBrokenRequests sends what is not HTTP.
func TestREST_SurvivesBrokenRequests(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	for _, text := range []string{
		"\x00\x01\x02\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"GET /v2 HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<17) + "\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		_, _ = io.WriteString(c, text) // the server may close the connection before it has read all
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		line, _ := bufio.NewReader(c).ReadString('\n')
		require.NotContains(t, line, "200")
		require.NoError(t, c.Close())
	}
	require.Len(t, s.infer("digits", requestJSON{Inputs: images(pixels(1, 1))}).Outputs, 1)
}
