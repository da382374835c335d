package serve

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/page"
	"github.com/spike-by-spike/sbs/ops"
)

// shown returns the models of the page with the numbers of spikes of their first stages.
func (s *instance) shown() map[string][]int {
	s.t.Helper()
	got := s.do(http.MethodGet, "/page/models", nil, nil)
	require.Equal(s.t, http.StatusOK, got.status, "%s", got.body)
	var o struct {
		Models []struct {
			Name   string
			Stages []struct{ Layers []struct{ Spikes int } }
		}
	}
	require.NoError(s.t, json.Unmarshal(got.body, &o))
	all := map[string][]int{}
	for _, m := range o.Models {
		all[m.Name] = []int{}
		for _, l := range m.Stages[0].Layers {
			all[m.Name] = append(all[m.Name], l.Spikes)
		}
	}
	return all
}

var jsonType = map[string]string{"Content-Type": "application/json"}

// TestPage_ShowsTheModels checks that the page has the models that classify images, with the answers
// of the protocol.
func TestPage_ShowsTheModels(t *testing.T) {
	path, _ := digits(t)
	stages, _ := staged(t)
	x := []*onnxpb.ValueInfoProto{info("x", ops.Float32, -1, 3)}
	other := put(t, "other", foreign(t, x, []*onnxpb.ValueInfoProto{info("y", ops.Float32, -1, 3)}, node("Neg", "y", "x")))
	s := begin(t, path, stages, other)
	index := s.do(http.MethodGet, "/", nil, nil)
	require.Equal(t, http.StatusOK, index.status)
	require.Contains(t, string(index.body), "<title>Spike by spike")
	require.Contains(t, index.header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/page/static/main.js", nil, nil).status)
	require.Equal(t, map[string][]int{"digits": {40, 40}, "staged": {4, 4}}, s.shown())
	s.do(http.MethodGet, "/page/pictures?model=nowhere", nil, nil)
	require.InDelta(t, 1, s.metric(`sbs_page_requests_total{code="200"}`), 0)
	require.InDelta(t, 1, s.metric(`sbs_page_requests_total{code="404"}`), 0)
	require.InDelta(t, 2, s.metric(`sbs_page_request_duration_seconds_count`), 0)

	pixels := make([]byte, 144)
	values := make([]float32, 144)
	for i := range pixels {
		pixels[i] = byte(37 * i)
		values[i] = float32(pixels[i]) / 255
	}
	for _, model := range []string{"digits", "staged"} {
		q, err := json.Marshal(page.Request{Model: model, Pixels: pixels, Seed: 9, Samplers: []string{"iid"}})
		require.NoError(t, err)
		got := s.do(http.MethodPost, "/page/run", jsonType, q)
		require.Equal(t, http.StatusOK, got.status, "%s", got.body)
		var a page.Response
		require.NoError(t, json.Unmarshal(got.body, &a))
		frames := a.Lanes[0].Probabilities
		want := s.infer(model, requestJSON{
			Inputs:     []tensorJSON{{Name: "image", Shape: []int{1, 1, 12, 12}, Datatype: "FP32", Data: values}},
			Parameters: map[string]any{"seed": 9},
		}).float32s(t, "probabilities")
		require.Equal(t, want, frames[len(frames)-1], model)
	}
	for path, status := range map[string]int{"/page/none": 404, "/none": 404, "/page/static/none.js": 404} {
		require.Equal(t, status, s.do(http.MethodGet, path, nil, nil).status, path)
	}
	require.Equal(t, http.StatusMethodNotAllowed, s.do(http.MethodDelete, "/", nil, nil).status)
}

func TestPage_FollowsTheFiles(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--reload-interval", "10ms")
	require.Equal(t, map[string][]int{"digits": {40, 40}}, s.shown())
	n := converttest.Digits()
	n.Layers[0].(*convert.SbS).Spikes = 3
	replace(t, path, modeltest.Write(t, n, convert.Options{}))
	require.Eventually(t, func() bool { return s.shown()["digits"][0] == 3 }, 10*time.Second, 10*time.Millisecond)
	x := []*onnxpb.ValueInfoProto{info("x", ops.Float32, -1, 3)}
	replace(t, path, foreign(t, x, []*onnxpb.ValueInfoProto{info("y", ops.Float32, -1, 3)}, node("Neg", "y", "x")))
	require.Eventually(t, func() bool { return len(s.shown()) == 0 }, 10*time.Second, 10*time.Millisecond)
}

func TestPage_NeedsTheToken(t *testing.T) {
	path, _ := digits(t)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("secret"), 0o600))
	s := begin(t, path, "--token-file", token)
	for path, guarded := range map[string]bool{"/": false, "/page/static/api.js": false, "/page/models": true, "/page/pictures": true, "/page/run": true, "/page/weights": true} {
		status := s.do(http.MethodGet, path, nil, nil).status
		require.Equal(t, guarded, status == http.StatusUnauthorized, path)
		require.NotEqual(t, http.StatusUnauthorized, s.do(http.MethodGet, path, map[string]string{"Authorization": "Bearer secret"}, nil).status, path)
	}
}

func TestPage_CanBeTurnedOff(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path, "--no-page")
	for _, path := range []string{"/", "/page/models", "/page/static/main.js"} {
		got := s.do(http.MethodGet, path, nil, nil)
		require.Equal(t, http.StatusNotFound, got.status)
		require.Contains(t, got.failure(t), "the server has no page (--no-page)")
	}
}

func TestPage_OffersPictures(t *testing.T) {
	path, _ := digits(t)
	folder := "../../models/mnist/images/3"
	s := begin(t, path, "two="+path, "--pictures", folder, "--pictures", "two="+folder+"/00018.png")
	for model, want := range map[string]int{"digits": 3, "two": 4} {
		var list []page.Picture
		require.NoError(t, json.Unmarshal(s.do(http.MethodGet, "/page/pictures?model="+model, nil, nil).body, &list))
		require.Len(t, list, want)
		require.Len(t, list[0].Pixels, 144)
	}
	for args, want := range map[string]string{
		"--pictures none":                "--pictures none: ",
		"--pictures digits=none":         "--pictures digits=none: ",
		"--pictures x=" + folder:         `there is no model "x"`,
		"--no-page --pictures " + folder: "--pictures are for the page",
	} {
		var out strings.Builder
		all := append([]string{path, "--listen", "localhost:0"}, strings.Split(args, " ")...)
		err := cli.Run(t.Context(), Command(all), all, &out, &out)
		require.Error(t, err, args)
		require.Contains(t, err.Error()+out.String(), want, args)
	}

	// A model that cannot use the pictures is served nevertheless, with a warning.
	wrong := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(wrong, "a.png"), []byte("no picture"), 0o600))
	s = begin(t, path, "--pictures", wrong)
	require.Contains(t, s.shown(), "digits")
	require.Len(t, s.log.find("the page cannot use the pictures of --pictures: NAME=PATH gives each model its own"), 1)
}

// TestPage_DoesNotDelayTheEnd ends the server while the page computes.
func TestPage_DoesNotDelayTheEnd(t *testing.T) {
	s := begin(t, "../../models/cifar10-fast/model.onnx")
	q, err := json.Marshal(page.Request{Pixels: make([]byte, 3072), Samplers: []string{"iid", "low_discrepancy"}, Spikes: 10_000})
	require.NoError(t, err)
	done := make(chan int)
	go func() { done <- s.do(http.MethodPost, "/page/run", jsonType, q).status }()
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	require.NoError(t, s.end())
	require.Less(t, time.Since(start), 5*time.Second)
	require.Equal(t, http.StatusServiceUnavailable, <-done)
}
