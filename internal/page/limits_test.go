package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/converttest"
)

func TestRun_RefusesBadRequests(t *testing.T) {
	m := load(t, "mnist-fast")
	h := newHandler(Limits{Spikes: 2000}, m, load(t, "cifar10-fast"))
	good := func() map[string]any {
		return map[string]any{"model": "mnist-fast", "pixels": m.pictures[0].Pixels, "samplers": []string{"iid"}}
	}
	body, err := json.Marshal(good())
	require.NoError(t, err)
	status, answer, _ := send(h, http.MethodPost, "/page/run", body)
	require.Equal(t, http.StatusOK, status, "%s", answer)
	for name, c := range map[string]struct {
		change func(q map[string]any)
		status int
		want   string
	}{
		"model":                 {func(q map[string]any) { q["model"] = "none" }, 404, `there is no model \"none\"`},
		"few pixels":            {func(q map[string]any) { q["pixels"] = make([]byte, 783) }, 400, "the picture has 783 values, but the model mnist-fast takes 1x28x28, which are 784"},
		"pixels of another":     {func(q map[string]any) { q["pixels"] = make([]byte, 3072) }, 400, "the picture has 3072 values"},
		"no pixels":             {func(q map[string]any) { delete(q, "pixels") }, 400, "the picture has 0 values"},
		"huge picture":          {func(q map[string]any) { q["pixels"] = make([]byte, 1<<20) }, 413, "too large: at most 71680 bytes"},
		"pixels as text":        {func(q map[string]any) { q["pixels"] = "?" }, 400, "the request cannot be read"},
		"pixels as numbers":     {func(q map[string]any) { q["pixels"] = []float64{0.5} }, 400, "the request cannot be read"},
		"too many spikes":       {func(q map[string]any) { q["spikes"] = 2001 }, 400, "2001 spikes: this page takes 1 to 2000"},
		"negative spikes":       {func(q map[string]any) { q["spikes"] = -1 }, 400, "-1 spikes"},
		"huge spikes":           {func(q map[string]any) { q["spikes"] = 1e300 }, 400, "the request cannot be read"},
		"stage":                 {func(q map[string]any) { q["stage"] = 3 }, 400, "there is no stage 3: the model mnist-fast has 2"},
		"negative stage":        {func(q map[string]any) { q["stage"] = -1 }, 400, "there is no stage -1"},
		"sampler":               {func(q map[string]any) { q["samplers"] = []string{"sobol"} }, 400, `sampler \"sobol\": want iid or low_discrepancy`},
		"no sampler":            {func(q map[string]any) { q["samplers"] = nil }, 400, "0 samplers"},
		"same sampler twice":    {func(q map[string]any) { q["samplers"] = []string{"iid", "iid"} }, 400, "occurs twice"},
		"many samplers":         {func(q map[string]any) { q["samplers"] = slices.Repeat([]string{"iid"}, 1000) }, 400, "1000 samplers"},
		"noise NaN":             {func(q map[string]any) { q["noise"] = "gaussian=NaN" }, 400, "gaussian takes a level from 0 to 100"},
		"noise infinite":        {func(q map[string]any) { q["noise"] = "gaussian=Inf" }, 400, "gaussian takes a level from 0 to 100"},
		"kind of noise":         {func(q map[string]any) { q["noise"] = "fog=1" }, 400, "is not a kind of noise"},
		"noise that is too big": {func(q map[string]any) { q["noise"] = "occlusion=29" }, 400, "larger than the images"},
		"negative seed":         {func(q map[string]any) { q["seed"] = -1 }, 400, "the request cannot be read"},
		"unknown field":         {func(q map[string]any) { q["spike"] = 1 }, 400, "unknown field"},
	} {
		q := good()
		c.change(q)
		body, err := json.Marshal(q)
		require.NoError(t, err)
		status, answer, _ := send(h, http.MethodPost, "/page/run", body)
		require.Equal(t, c.status, status, "%s: %s", name, answer)
		require.Contains(t, string(answer), c.want, name)
	}
	for _, text := range []string{"", "{", "[]", `"`, "null null", "{}{}", `{"pixels": "` + strings.Repeat("A", 100), "\x00\xff"} {
		status, answer, _ := send(h, http.MethodPost, "/page/run", []byte(text))
		require.Equal(t, http.StatusBadRequest, status, "%q: %s", text, answer)
	}
	status, _, _ = send(h, http.MethodPost, "/page/run", body, "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	status, _, _ = send(h, http.MethodGet, "/page/run", nil)
	require.Equal(t, http.StatusMethodNotAllowed, status)
}

// TestRun_RefusesEpsilonThatIsNotKnown asks for more spikes than the model has epsilon_t for.
func TestRun_RefusesEpsilonThatIsNotKnown(t *testing.T) {
	m := fromNetwork(t, converttest.OwnEpsilonT(converttest.Digits()))
	q, err := json.Marshal(Request{Pixels: random(m, 1), Samplers: []string{"iid"}, Spikes: 41})
	require.NoError(t, err)
	status, answer, _ := send(newHandler(Limits{}, m), http.MethodPost, "/page/run", q)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, string(answer), "epsilon_t")
}

func TestPlan_LimitsTheWork(t *testing.T) {
	require.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 22}, frames(22, 1.2))
	require.Equal(t, []int{1}, frames(1, 1.2))
	require.Equal(t, []int{1, 2, 4, 9, 19, 41, 88, 100}, frames(100, 2.15))
	s := &load(t, "cifar10-fast").stages[0]
	fine, err := s.plan(0, 2)
	require.NoError(t, err)
	require.Equal(t, frames(1500, growths[0]), fine)
	coarse, err := s.plan(20_000, 2)
	require.NoError(t, err)
	require.Contains(t, [][]int{frames(20_000, growths[1]), frames(20_000, growths[2])}, coarse)
	_, err = s.plan(1_000_000, 1)
	require.ErrorContains(t, err, "1000000 spikes in every layer of this network are too much work for this page: choose fewer")
}

func TestRun_EndsAfterTheTime(t *testing.T) {
	m := load(t, "cifar10-fast")
	q, err := json.Marshal(Request{Pixels: random(m, 1), Samplers: []string{"iid", "low_discrepancy"}, Spikes: 10_000})
	require.NoError(t, err)
	start := time.Now()
	status, answer, _ := send(newHandler(Limits{Time: 20 * time.Millisecond}, m), http.MethodPost, "/page/run", q)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, string(answer), errTime.Error())
	require.Less(t, time.Since(start), 5*time.Second)
}

func TestRun_RefusesMoreThanMayWait(t *testing.T) {
	m := load(t, "mnist-nnmf")
	h := newHandler(Limits{Concurrent: 1, Waiting: 1}, m)
	q, err := json.Marshal(Request{Pixels: random(m, 1), Samplers: []string{"iid"}})
	require.NoError(t, err)
	h.running <- struct{}{} // a request that does not end
	h.waiting <- struct{}{}
	done := make(chan int)
	go func() {
		status, _, _ := send(h, http.MethodPost, "/page/run", q)
		done <- status
	}()
	require.Eventually(t, func() bool { return len(h.waiting) == 2 }, 5*time.Second, time.Millisecond)
	status, answer, header := send(h, http.MethodPost, "/page/run", q)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "1", header.Get("Retry-After"))
	require.Contains(t, string(answer), "the server is busy")
	<-h.running
	<-h.waiting
	require.Equal(t, http.StatusOK, <-done)
	require.Empty(t, h.running)
	require.Empty(t, h.waiting)
}

func TestClose_EndsRequests(t *testing.T) {
	m := load(t, "cifar10-fast")
	h := newHandler(Limits{}, m)
	q, err := json.Marshal(Request{Pixels: random(m, 1), Samplers: []string{"iid", "low_discrepancy"}, Spikes: 10_000})
	require.NoError(t, err)
	done := make(chan string, 3)
	for range 3 { // one is computed, the others wait
		go func() {
			status, answer, _ := send(h, http.MethodPost, "/page/run", q)
			done <- fmt.Sprint(status, " ", string(answer))
		}()
	}
	require.Eventually(t, func() bool { return len(h.waiting) == 3 && len(h.running) == 1 }, 5*time.Second, time.Millisecond)
	h.Close()
	start := time.Now()
	for range 3 {
		require.Equal(t, `503 {"error":"the server is about to end"}`, <-done)
	}
	require.Less(t, time.Since(start), 3*time.Second)
	status, _, _ := send(h, http.MethodPost, "/page/run", q)
	require.Equal(t, http.StatusServiceUnavailable, status)
	get[overview](t, h, "/page/models")
}

func TestUpload_ReadsPictureFiles(t *testing.T) {
	m := load(t, "mnist-fast")
	h := newHandler(Limits{}, m)
	post := func(file []byte) (int, Picture, string) {
		status, body, _ := send(h, http.MethodPost, "/page/picture?model=mnist-fast", file, "Content-Type", "image/png")
		var p Picture
		require.NoError(t, json.Unmarshal(body, &p))
		return status, p, string(body)
	}
	pixels := m.pictures[0].Pixels
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, m.picture(pixels)))
	status, p, _ := post(file.Bytes())
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, pixels, p.Pixels)

	inverse := make([]byte, len(pixels)) // ink on paper
	for i, v := range pixels {
		inverse[i] = 255 - v
	}
	file.Reset()
	require.NoError(t, png.Encode(&file, m.picture(inverse)))
	status, p, _ = post(file.Bytes())
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, pixels, p.Pixels, "the picture was not inverted")

	large := image.NewGray(image.Rect(0, 0, 4100, 4100))
	for name, bad := range map[string][]byte{"text": []byte("no picture"), "nothing": nil, "half": file.Bytes()[:file.Len()/2]} {
		status, _, answer := post(bad)
		require.Equal(t, http.StatusBadRequest, status, name)
		require.Contains(t, answer, `"error"`)
	}
	file.Reset()
	require.NoError(t, png.Encode(&file, large))
	status, _, answer := post(file.Bytes())
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, answer, "pixels")
	status, _, answer = post(make([]byte, maxUpload+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, status, answer)
	require.Contains(t, answer, "the file or the request is too large: at most 10485760 bytes are possible")
}

func TestRequest_HasPixelsInBase64(t *testing.T) {
	data, err := json.Marshal(Request{Pixels: []byte{0, 255}})
	require.NoError(t, err)
	require.Contains(t, string(data), `"pixels":"`+base64.StdEncoding.EncodeToString([]byte{0, 255})+`"`)
}

// slowWriter is a client that reads its answer only when the test lets it.
type slowWriter struct {
	*httptest.ResponseRecorder
	take chan struct{}
}

func (w slowWriter) Write(b []byte) (int, error) {
	<-w.take
	return w.ResponseRecorder.Write(b)
}

// TestRun_CountsRequestsUntilTheirAnswersAreTaken checks that clients that do not read cannot fill the
// memory with answers.
func TestRun_CountsRequestsUntilTheirAnswersAreTaken(t *testing.T) {
	m := load(t, "mnist-nnmf")
	h := newHandler(Limits{Concurrent: 1, Waiting: 1}, m)
	q, err := json.Marshal(Request{Pixels: random(m, 1), Samplers: []string{"iid"}})
	require.NoError(t, err)
	take := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/page/run", bytes.NewReader(q))
			r.Header.Set("Content-Type", "application/json")
			w := slowWriter{httptest.NewRecorder(), take}
			h.ServeHTTP(w, r)
			assert.Equal(t, http.StatusOK, w.Code)
		})
	}
	require.Eventually(t, func() bool { return len(h.waiting) == 2 && len(h.running) == 0 }, 5*time.Second, time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	require.Len(t, h.waiting, 2)
	status, _, _ := send(h, http.MethodPost, "/page/run", q)
	require.Equal(t, http.StatusServiceUnavailable, status)
	close(take)
	clients.Wait()
	require.Empty(t, h.waiting)
}
