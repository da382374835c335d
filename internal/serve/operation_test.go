package serve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/runtime"
)

// replace puts a new file in the place of a model.
func replace(t testing.TB, path string, data []byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "next")
	require.NoError(t, os.WriteFile(next, data, 0o600))
	require.NoError(t, os.Rename(next, path))
}

func TestGRPC_AnswersTheSixCallsHealthAndReflection(t *testing.T) {
	path, m := digits(t)
	s := begin(t, path)
	client, conn := s.call(), s.connect(grpc.WithTransportCredentials(insecure.NewCredentials()))
	live, err := client.ServerLive(t.Context(), &oip.ServerLiveRequest{})
	require.NoError(t, err)
	require.True(t, live.Live)
	ready, err := client.ServerReady(t.Context(), &oip.ServerReadyRequest{})
	require.NoError(t, err)
	require.True(t, ready.Ready)
	for _, version := range []string{"", "1"} {
		model, err := client.ModelReady(t.Context(), &oip.ModelReadyRequest{Name: "digits", Version: version})
		require.NoError(t, err)
		require.True(t, model.Ready)
	}
	server, err := client.ServerMetadata(t.Context(), &oip.ServerMetadataRequest{})
	require.NoError(t, err)
	require.Equal(t, "sbs-serve", server.Name)
	d, err := client.ModelMetadata(t.Context(), &oip.ModelMetadataRequest{Name: "digits"})
	require.NoError(t, err)
	require.Equal(t, []int64{-1, 1, 12, 12}, d.Inputs[0].Shape)
	require.Equal(t, []string{"image", "FP32", "probabilities", "FP32", "1", "sbs_onnx"},
		[]string{d.Inputs[0].Name, d.Inputs[0].Datatype, d.Outputs[0].Name, d.Outputs[0].Datatype, d.Versions[0], d.Platform})
	x := pixels(1, 2)
	answer, err := client.ModelInfer(t.Context(), call("digits", "i", x, map[string]any{"seed": 3}))
	require.NoError(t, err)
	require.Equal(t, "i", answer.Id)
	require.Equal(t, alone(t, m, x, runtime.Seed(3)), answer.Outputs[0].Contents.Fp32Contents)

	for _, service := range []string{"", "inference.GRPCInferenceService"} {
		h, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		require.Equal(t, healthpb.HealthCheckResponse_SERVING, h.Status)
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}))
	list, err := stream.Recv()
	require.NoError(t, err)
	require.Contains(t, list.String(), "inference.GRPCInferenceService")
}

// certificate writes a self-signed certificate for localhost, and returns the paths of it and of
// its key, and the pool with it.
func certificate(t *testing.T, folder string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(parsed)
	return cert, key, pool
}

func TestServer_NeedsTLSAndTheToken(t *testing.T) {
	path, _ := digits(t)
	folder := t.TempDir()
	cert, key, pool := certificate(t, folder)
	token := filepath.Join(folder, "token")
	require.NoError(t, os.WriteFile(token, []byte("secret-1\n"), 0o600))
	s := begin(t, path, "--tls-cert", cert, "--tls-key", key, "--token-file", token, "--reload-interval", "20ms")
	get := func(pool *x509.CertPool, path, authorization string) (int, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
		defer c.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(s.url, "http:", "https:", 1)+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", authorization)
		response, err := c.Do(r)
		if err != nil {
			return 0, err
		}
		require.Equal(t, 2, response.ProtoMajor)
		return response.StatusCode, response.Body.Close()
	}
	for path, guarded := range map[string]bool{"/v2/health/live": false, "/v2/health/ready": false, "/": false, "/v2": true, "/v2/models/digits": true, "/metrics": true} {
		for authorization, allowed := range map[string]bool{"": false, "secret-1": false, "Bearer wrong": false, "Bearer ": false, "Basic secret-1": false, "Bearer secret-1": true, "bearer secret-1": true} {
			status, err := get(pool, path, authorization)
			require.NoError(t, err)
			want := http.StatusOK
			if guarded && !allowed {
				want = http.StatusUnauthorized
			}
			require.Equal(t, want, status, "%s %q", path, authorization)
		}
	}
	plain := s.do(http.MethodGet, "/v2/health/live", nil, nil)
	require.Equal(t, http.StatusBadRequest, plain.status, "HTTP without TLS")

	client := oip.NewGRPCInferenceServiceClient(s.connect(grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, "localhost"))))
	_, err := client.ServerReady(t.Context(), &oip.ServerReadyRequest{})
	require.NoError(t, err)
	for authorization, want := range map[string]codes.Code{"": codes.Unauthenticated, "Bearer x": codes.Unauthenticated, "Bearer secret-1": codes.OK} {
		_, err = client.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), "authorization", authorization), call("digits", "", pixels(1, 1), nil))
		require.Equal(t, want, status.Code(err))
	}

	// A new token and a new certificate are used at once, and a broken one is not.
	require.NoError(t, os.WriteFile(token, []byte("two words"), 0o600))
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "want one token") }, 10*time.Second, 5*time.Millisecond)
	status, err := get(pool, "/v2", "Bearer secret-1")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, os.WriteFile(token, []byte("secret-2"), 0o600))
	_, _, other := certificate(t, folder)
	require.Eventually(t, func() bool {
		status, err := get(other, "/v2", "Bearer secret-2")
		return err == nil && status == http.StatusOK
	}, 10*time.Second, 20*time.Millisecond)
	status, err = get(other, "/v2", "Bearer secret-1")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, status)
}

// TestServer_ReplacesAModelWhoseFileChanges replaces a model while clients use it. No request fails,
// and each has the answer of one of the two models.
func TestServer_ReplacesAModelWhoseFileChanges(t *testing.T) {
	path, before := digits(t)
	n := converttest.Digits()
	n.Layers[0].(*convert.SbS).Spikes = 3
	data := modeltest.Write(t, n, convert.Options{})
	_, after := saved(t, "after", data)
	s := begin(t, path, "--reload-interval", "10ms")
	x := pixels(1, 4)
	first, second := alone(t, before, x, runtime.Seed(1)), alone(t, after, x, runtime.Seed(1))
	require.NotEqual(t, first, second)
	ask := func() []float32 {
		return s.infer("digits", requestJSON{Inputs: images(x), Parameters: map[string]any{"seed": 1}}).float32s(t, "probabilities")
	}
	require.Equal(t, first, ask())
	var group sync.WaitGroup
	var replaced atomic.Int64
	for range 4 {
		group.Go(func() {
			for replaced.Load() < 4 {
				if got := ask(); got[0] == second[0] {
					require.Equal(t, second, got)
					replaced.Add(1)
				} else {
					require.Equal(t, first, got)
				}
			}
		})
	}
	replace(t, path, data)
	group.Wait()

	// A file that is no model is reported, and the server keeps the old one.
	replace(t, path, []byte("no model"))
	require.Eventually(t, func() bool { return len(s.log.find("the model cannot be loaded: the server keeps the old one")) == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, second, ask())
	time.Sleep(100 * time.Millisecond)
	require.Len(t, s.log.find("the model cannot be loaded: the server keeps the old one"), 1, "the same file is tried once")
	require.NoError(t, os.Remove(path))
	time.Sleep(50 * time.Millisecond)
	require.Equal(t, second, ask())
	require.InDelta(t, 1, s.metric(`sbs_model_loads_total{model="digits",result="failure"}`), 0)
	old := modeltest.Write(t, converttest.Digits(), convert.Options{})
	require.NoError(t, os.WriteFile(path, old, 0o600))
	require.Eventually(t, func() bool { return ask()[0] == first[0] }, 10*time.Second, 5*time.Millisecond)
}

// TestServer_IsLiveBeforeItIsReady asks a server whose models are not loaded.
func TestServer_IsLiveBeforeItIsReady(t *testing.T) {
	path, _ := digits(t)
	log := &journal{}
	args := []string{path, "--listen", "localhost:0", "--grpc-listen", "localhost:0", "--log-format", "json"}
	var c config
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	c.register(flags)
	require.NoError(t, flags.Parse(args))
	require.NoError(t, c.check(args[:1]))
	server, err := c.newServer(args[:1], log)
	require.NoError(t, err)
	require.NoError(t, server.listen(t.Context()))
	s := &instance{t: t, log: log}
	s.url, s.grpc = "http://"+log.find("listening")[0]["address"].(string), log.find("listening")[1]["address"].(string)
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/v2/health/live", nil, nil).status)
	body, err := json.Marshal(requestJSON{Inputs: images(pixels(1, 1))})
	require.NoError(t, err)
	for path, method := range map[string]string{"/v2/health/ready": http.MethodGet, "/v2/models/digits/ready": http.MethodGet, "/v2/models/digits": http.MethodGet, "/v2/models/digits/infer": http.MethodPost} {
		got := s.do(method, path, nil, body)
		require.Equal(t, http.StatusServiceUnavailable, got.status, path)
		require.Contains(t, got.failure(t), "load")
	}
	client := s.call()
	ready, err := client.ServerReady(t.Context(), &oip.ServerReadyRequest{})
	require.NoError(t, err)
	require.False(t, ready.Ready)
	model, err := client.ModelReady(t.Context(), &oip.ModelReadyRequest{Name: "digits"})
	require.NoError(t, err)
	require.False(t, model.Ready)
	_, err = client.ModelInfer(t.Context(), call("digits", "", pixels(1, 1), nil))
	require.Equal(t, codes.Unavailable, status.Code(err))
	h, err := healthpb.NewHealthClient(s.connect(grpc.WithTransportCredentials(insecure.NewCredentials()))).Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_NOT_SERVING, h.Status)
	require.NoError(t, server.models.Load(t.Context()))
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/v2/health/ready", nil, nil).status)
	require.NoError(t, server.stop(time.Second))
}

// TestServer_AnswersWhileItDrains checks what clients see between SIGTERM and the end.
func TestServer_AnswersWhileItDrains(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--drain", "2s")
	s.stop()
	require.Eventually(t, func() bool {
		return s.do(http.MethodGet, "/v2/health/ready", nil, nil).status == http.StatusServiceUnavailable
	}, 2*time.Second, 5*time.Millisecond)
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/v2/health/live", nil, nil).status)
	body, err := json.Marshal(requestJSON{Inputs: images(pixels(1, 1))})
	require.NoError(t, err)
	got := s.do(http.MethodPost, "/v2/models/digits/infer", nil, body)
	require.Equal(t, http.StatusOK, got.status)
	require.NoError(t, s.end())
	require.NotEmpty(t, s.log.find("ended: all requests are answered"))
}

// TestServer_EndsStreams ends a server while clients watch its health and use reflection, which they
// would do forever.
func TestServer_EndsStreams(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	conn := s.connect(grpc.WithTransportCredentials(insecure.NewCredentials()))
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	h, err := watch.Recv()
	require.NoError(t, err)
	require.Equal(t, healthpb.HealthCheckResponse_SERVING, h.Status)
	reflection, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	services := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	require.NoError(t, reflection.Send(services))
	_, err = reflection.Recv()
	require.NoError(t, err)
	start := time.Now()
	require.NoError(t, s.end())
	require.Less(t, time.Since(start), 20*time.Second, "--shutdown-timeout is a minute")
	for err == nil {
		_, err = watch.Recv()
	}
	require.Equal(t, codes.Unavailable, status.Code(err))
	_, err = reflection.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestServer_EndsWithAnErrorIfRequestsDoNotEnd(t *testing.T) {
	body, err := json.Marshal(requestJSON{Inputs: images(forSlow())})
	require.NoError(t, err)
	for name, ask := range map[string]func(s *instance){
		"REST": func(s *instance) {
			if response, err := client().Post(s.url+"/v2/models/slow/infer", "", bytes.NewReader(body)); err == nil {
				_ = response.Body.Close()
			}
		},
		"gRPC": func(s *instance) {
			_, err := s.call().ModelInfer(t.Context(), call("slow", "", forSlow(), nil))
			require.Error(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			log := &journal{}
			args := []string{slow(t), "--listen", "localhost:0", "--grpc-listen", "localhost:0", "--drain", "0s", "--shutdown-timeout", "200ms", "--log-format", "json"}
			done := make(chan error, 1)
			go func() { done <- cli.Run(ctx, Command(args), args, io.Discard, log) }()
			require.Eventually(t, func() bool { return len(log.find("ready")) > 0 }, 20*time.Second, 5*time.Millisecond)
			listening := log.find("listening")
			s := &instance{t: t, url: "http://" + listening[0]["address"].(string), grpc: listening[1]["address"].(string), log: log}
			var group sync.WaitGroup
			group.Go(func() { ask(s) })
			require.Eventually(t, func() bool { return s.metric("sbs_request_bytes") > 0 }, 10*time.Second, 5*time.Millisecond)
			stop()
			require.ErrorContains(t, <-done, "requests have not ended within --shutdown-timeout 200ms")
			require.Empty(t, log.find("ended: all requests are answered"))
			group.Wait()
		})
	}
}

func TestMetrics_FollowTheRulesOfPrometheus(t *testing.T) {
	path, _ := digits(t)
	other, _ := staged(t)
	s := begin(t, path, other)
	s.infer("digits", requestJSON{Inputs: images(pixels(1, 3))})
	s.infer("staged", requestJSON{Inputs: images(pixels(1, 40))})
	s.do(http.MethodPost, "/v2/models/nowhere/infer", nil, nil)
	text := string(s.do(http.MethodGet, "/metrics", nil, nil).body)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	require.InDelta(t, 3*37*40, s.metric(`sbs_spike_updates_total{model="digits"}`), 0)
	require.InDelta(t, 3, s.metric(`sbs_images_total{model="digits"}`), 0)
	require.InDelta(t, 3, s.metric(`sbs_batch_images_sum{model="digits"}`), 0)
	require.InDelta(t, 1, s.metric(`sbs_request_duration_seconds_count{model="digits",protocol="rest"}`), 0)
	require.InDelta(t, 1, s.metric(`sbs_requests_total{code="404",model="",protocol="rest"}`), 0)
	left := 0.0
	for _, stage := range []string{"1", "2", "3"} {
		left += s.metric(`sbs_stage_images_total{model="staged",stage="` + stage + `"}`)
	}
	require.InDelta(t, 40, left, 0)
	require.Positive(t, s.metric("process_resident_memory_bytes"))
}

func TestCommand_ReportsMistakes(t *testing.T) {
	path, _ := digits(t)
	second, _ := digits(t)
	busy, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, busy.Close()) }()
	missing := filepath.Join(t.TempDir(), "none.onnx")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"expected at least one model", nil},
		{"would both have the name \"digits\": give one of them another name, as in digits2=", []string{path, second}},
		{"want NAME=PATH", []string{"=" + path}},
		{"cannot be the name of a model", []string{"a\nb=" + path}},
		{"none.onnx", []string{missing}},
		{"--tls-cert and --tls-key must be given together", []string{path, "--tls-cert", "x"}},
		{"--tls-cert x, --tls-key y: open x", []string{path, "--tls-cert", "x", "--tls-key", "y"}},
		{"the token cannot be read", []string{path, "--token-file", missing}},
		{"--listen " + busy.Addr().String(), []string{path, "--listen", busy.Addr().String()}},
		{"turns gRPC off", []string{path, "--grpc-listen", busy.Addr().String()}},
		{"--timeout 0s: want at least 1ms", []string{path, "--timeout", "0s"}},
		{"--drain -1s: want at least 0s", []string{path, "--drain", "-1s"}},
		{"--max-batch 0: want a whole number of at least 1", []string{path, "--max-batch", "0"}},
		{"--max-memory: want at most 1073741824 MiB", []string{path, "--max-memory", "1073741825"}},
		{"--log-format xml: want text or json", []string{path, "--log-format", "xml"}},
	} {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		args := append([]string{"--listen", "localhost:0", "--grpc-listen", "localhost:0"}, c.args...)
		err := cli.Run(ctx, Command(args), args, io.Discard, io.Discard)
		stop()
		require.ErrorContains(t, err, c.want)
	}
}
