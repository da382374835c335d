package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/runtime"
)

// fromNetwork returns a model of a network, as the page loads it.
func fromNetwork(t testing.TB, n *convert.Network) *Model {
	t.Helper()
	m, err := Load(t.Context(), "test", modeltest.Write(t, n, convert.Options{}))
	require.NoError(t, err)
	return m
}

// random returns random bytes for a picture of a model.
func random(m *Model, seed uint64) []byte {
	pixels := modeltest.Pixels(seed, 1, m.imageSize()).Float32s()
	out := make([]byte, len(pixels))
	for i, v := range pixels {
		out[i] = byte(v * 256)
	}
	return out
}

// asFile returns an image as a PNG file decodes.
func asFile(t testing.TB, m *Model, pixels []byte) image.Image {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m.picture(pixels)))
	img, err := classify.DecodeImage(b.Bytes(), 1<<20)
	require.NoError(t, err)
	return img
}

// TestRun_AnswersAsSbsRun compares every frame with what sbs-run does: it opens the model with
// options, and classifies the file of an image.
func TestRun_AnswersAsSbsRun(t *testing.T) {
	auto := runtime.EpsilonSchedule(runtime.Schedule{Auto: true})
	for _, c := range []struct {
		model string
		q     Request
	}{
		{"mnist-fast", Request{Stage: 1, Samplers: []string{"iid", "low_discrepancy"}, Fit: true}},
		{"mnist-fast", Request{Stage: 2, Samplers: []string{"low_discrepancy"}, Spikes: 50, Seed: 7, Noise: "gaussian=0.3,occlusion=4"}},
		{"fashion-fast", Request{Stage: 1, Samplers: []string{"iid"}, Spikes: 120, Seed: math.MaxUint64, Fit: true, Noise: "rotation=20"}},
		{"cifar10-fast", Request{Samplers: []string{"low_discrepancy"}, Spikes: 30, Fit: true, Noise: "blur=1"}},
	} {
		m := load(t, c.model)
		h := newHandler(Limits{}, m)
		c.q.Model, c.q.Pixels = c.model, random(m, 1)
		if len(m.pictures) > 0 {
			c.q.Pixels = m.pictures[9].Pixels
		}
		a := run(t, h, c.q)
		require.Equal(t, max(c.q.Stage, 0), a.Stage)
		require.Len(t, a.Lanes, len(c.q.Samplers))
		own := m.stages[max(c.q.Stage, 1)-1].spiking
		for i, l := range a.Lanes {
			require.Equal(t, c.q.Samplers[i], l.Sampler)
			require.Len(t, l.Probabilities, len(a.Spikes))
			for f, spikes := range a.Spikes {
				if f%7 != 0 && f != len(a.Spikes)-1 {
					continue
				}
				options := []runtime.Option{runtime.WithSampler(runtime.Sampler(l.Sampler))}
				for _, o := range own { // as sbs-run --spikes N,N,N
					n := o.Spikes
					if c.q.Spikes > 0 {
						n = c.q.Spikes
					}
					options = append(options, runtime.Layer(o.Name, runtime.Dynamics{Spikes: min(n, spikes)}))
				}
				if c.q.Fit {
					options = append(options, auto)
				}
				classifier, err := classify.Open(folder+c.model+"/model.onnx", classify.Runtime(options...), classify.Stage(c.q.Stage),
					classify.Noise(c.q.Noise), classify.Seed(c.q.Seed))
				require.NoError(t, err)
				results, err := classifier.Images(t.Context(), asFile(t, m, c.q.Pixels))
				require.NoError(t, err)
				require.NoError(t, classifier.Close())
				require.Equal(t, results[0].Probabilities, l.Probabilities[f], "%s, %s, %d spikes", c.model, l.Sampler, spikes)
				if f == len(a.Spikes)-1 {
					require.Equal(t, results[0].Updates, l.Updates)
				}
			}
		}
	}
}

func TestRun_SendsThePictureThroughTheStages(t *testing.T) {
	m := load(t, "mnist-fast")
	h := newHandler(Limits{}, m)
	whole, err := classify.Open(folder+"mnist-fast/model.onnx", classify.Invert("no"))
	require.NoError(t, err)
	defer whole.Close()
	left := map[int]int{}
	pixels := [][]byte{random(m, 1), random(m, 2), make([]byte, m.values())}
	for i := 0; i < len(m.pictures); i += 4 {
		pixels = append(pixels, m.pictures[i].Pixels)
	}
	for _, p := range pixels {
		results, err := whole.Images(t.Context(), asFile(t, m, p))
		require.NoError(t, err)
		a := run(t, h, Request{Pixels: p, Samplers: []string{"low_discrepancy"}})
		require.Equal(t, results[0].Stage, a.Stage)
		require.Len(t, a.Stages, a.Stage)
		last := a.Stages[a.Stage-1]
		require.Equal(t, results[0].Class, last.Class)
		require.Equal(t, results[0].Margin(), last.Margin)
		frames := a.Lanes[0].Probabilities
		require.Equal(t, results[0].Probabilities, frames[len(frames)-1], "the last frame is the answer of the model")
		left[a.Stage]++
	}
	require.Len(t, left, 2, "pictures must leave at both stages")

	a := run(t, h, Request{Pixels: pixels[3], Stage: 2, Samplers: []string{"iid"}})
	require.Equal(t, 2, a.Stage)
	require.Len(t, a.Stages, 1, "the stages are those of the model, not of the choice")
}

func TestRun_AddsTheNoiseOfSbsRun(t *testing.T) {
	m := load(t, "mnist-fast")
	p := m.pictures[0].Pixels
	a := run(t, newHandler(Limits{}, m), Request{Pixels: p, Seed: 5, Noise: "salt-and-pepper=0.5", Samplers: []string{"iid"}, Spikes: 1})
	c, err := classify.Open(folder+"mnist-fast/model.onnx", classify.Noise("salt-and-pepper=0.5"), classify.Seed(5))
	require.NoError(t, err)
	defer c.Close()
	x, err := c.Tensor(asFile(t, m, p))
	require.NoError(t, err)
	changed := 0
	for i, v := range x.Float32s() {
		require.InDelta(t, 255*v, a.Pixels[i], 0.5)
		if a.Pixels[i] != p[i] {
			changed++
		}
	}
	require.Greater(t, changed, 100)
	same := run(t, newHandler(Limits{}, m), Request{Pixels: p, Samplers: []string{"iid"}, Spikes: 1})
	require.Equal(t, p, same.Pixels)
}

// variants returns networks with the features of SbS layers, for gray images.
func variants() map[string]*convert.Network {
	all := converttest.Variants()
	for _, n := range all {
		n.Input.Channels, n.Preprocessing.OnOffMean = 1, []float32{0.4}
	}
	all["digits"] = converttest.Digits()
	split := converttest.Digits()
	split.Preprocessing = convert.Preprocessing{Crop: 2}
	split.Layers[0] = converttest.New(6).SbS(converttest.Window(3, 1), 2, 5, 40)
	split.Layers = append([]convert.Layer{&convert.OnOff{}}, split.Layers...)
	all["layer that splits"] = split
	return all
}

// TestRun_ShowsTheSpikesOfTheRun counts the spikes of the first layer, and injects them into a run,
// which must give the same answer.
func TestRun_ShowsTheSpikesOfTheRun(t *testing.T) {
	for name, n := range variants() {
		m := fromNetwork(t, n)
		q := Request{Pixels: random(m, 3), Seed: 11, Samplers: []string{"iid", "low_discrepancy"}}
		a := run(t, newHandler(Limits{}, m), q)
		s := &m.stages[0]
		first := s.spiking[0]
		in := s.front.in
		size := in.Channels * in.Height * in.Width
		c, err := newClassifier(s.model, classify.Seed(q.Seed))
		require.NoError(t, err)
		x, err := c.Tensor(m.picture(q.Pixels))
		require.NoError(t, err)
		for _, l := range a.Lanes {
			require.Len(t, l.Dots, 2*size*len(a.Spikes), name)
			var drawn *runtime.Tensor
			_, err := c.Run(t.Context(), x, runtime.WithSampler(runtime.Sampler(l.Sampler)), runtime.Watch(runtime.Watcher{
				Layers: []string{first.Name}, After: []int{first.Spikes}, Spikes: true,
				Snapshot: func(w runtime.Snapshot) bool { drawn = w.Drawn; return true },
			}))
			require.NoError(t, err)
			if !first.FullLayer {
				results, err := c.Run(t.Context(), x, runtime.WithSampler(runtime.Sampler(l.Sampler)),
					runtime.InjectSpikes(map[string]*runtime.Tensor{first.Name: drawn}))
				require.NoError(t, err)
				require.Equal(t, results[0].Probabilities, l.Probabilities[len(a.Spikes)-1], name)
			}
			require.Equal(t, want(s, drawn, a.Spikes), l.Dots, "%s, %s", name, l.Sampler)
		}
		require.NoError(t, c.Close())
	}
}

// want returns the Dots for the spikes of a layer, from the definition of their numbers: see package
// ops/sbs.
func want(s *stage, drawn *runtime.Tensor, frames []int) []byte {
	l := s.network.Layers[s.front.number].(*convert.SbS)
	var out []byte
	for _, t := range frames {
		counts := map[[3]int]int{}
		seen := map[int]bool{} // by the number of the spike, for full layers
		shape := drawn.Shape()
		for i, k := range drawn.Int64s() {
			spike, oy, ox := i/(shape[2]*shape[3]), i/shape[3]%shape[2], i%shape[3]
			if spike >= t || k < 0 || l.FullLayer && seen[spike] {
				continue
			}
			seen[spike] = true
			kh, kw := l.Kernel[0], l.Kernel[1]
			channel, row, column := int(k)/(kh*kw), int(k)/kw%kh, int(k)%kw
			counts[[3]int{channel, oy*l.Strides[0] + row*l.Dilations[0] - l.Pads[0], ox*l.Strides[1] + column*l.Dilations[1] - l.Pads[1]}]++
		}
		in := s.front.in
		for c := range in.Channels {
			for y := range in.Height {
				for x := range in.Width {
					n := counts[[3]int{c, y, x}]
					out = append(out, byte(n), byte(n>>8))
				}
			}
		}
	}
	return out
}

// TestRun_ShowsTheActivities compares h with the values that a run computes.
func TestRun_ShowsTheActivities(t *testing.T) {
	m := load(t, "mnist-fast")
	q := Request{Pixels: m.pictures[4].Pixels, Stage: 2, Spikes: 20, Samplers: []string{"iid"}}
	a := run(t, newHandler(Limits{}, m), q)
	c, err := newClassifier(m.stages[1].model)
	require.NoError(t, err)
	defer c.Close()
	x, err := c.Tensor(m.picture(q.Pixels))
	require.NoError(t, err)
	require.Len(t, a.Lanes[0].Layers, 3)
	for f, spikes := range a.Spikes {
		h := map[string][]float32{}
		_, err := c.Run(t.Context(), x, runtime.Spikes(spikes), runtime.WithSampler(runtime.IID),
			runtime.Observe(func(name string, v *runtime.Tensor) { h[name] = slices.Clone(v.Float32s()) }))
		require.NoError(t, err)
		for _, l := range a.Lanes[0].Layers {
			values := h[fmt.Sprintf("L%d", l.Layer)]
			size := l.Neurons * l.Height * l.Width
			require.Len(t, values, size)
			require.Equal(t, slices.Max(values), l.Most[f])
			for i, v := range values {
				require.InDelta(t, v, float32(l.H[f*size+i])/255*l.Most[f], float64(l.Most[f])/500)
			}
		}
	}
}

// TestRun_LeavesOutLargeLayers runs a network whose first layer has more values than the page shows.
func TestRun_LeavesOutLargeLayers(t *testing.T) {
	n := converttest.Digits()
	n.Input.Height, n.Input.Width = 204, 204
	maker := converttest.New(1)
	n.Layers = []convert.Layer{
		maker.SbS(converttest.Window(1, 1), 1, 10, 30), maker.SbS(converttest.Window(8, 8), 10, 7, 30),
		maker.SbS(converttest.Window(25, 1), 7, 3, 30),
	}
	m := fromNetwork(t, n)
	a := run(t, newHandler(Limits{}, m), Request{Pixels: random(m, 1), Samplers: []string{"iid"}})
	l := a.Lanes[0]
	require.Greater(t, 10*200*200*len(a.Spikes), maxSeries)
	require.Len(t, l.Layers, 3)
	require.Nil(t, l.Layers[0].H)
	require.Len(t, l.Layers[1].H, 7*25*25*len(a.Spikes))
	require.Len(t, l.Layers[2].H, 3*len(a.Spikes))
	require.Len(t, l.Sees, 200*200*len(a.Spikes))
	require.Len(t, l.Dots, 2*200*200*len(a.Spikes))
}

func TestRun_HasOneFrameForModelsWithoutSpikes(t *testing.T) {
	for name, m := range map[string]*Model{
		"NNMF": load(t, "mnist-nnmf"), "convolutions": fromNetwork(t, modeltest.PublishedCNN(t)),
	} {
		q := Request{Pixels: random(m, 1), Samplers: []string{"iid"}, Spikes: 100, Fit: true}
		a := run(t, newHandler(Limits{}, m), q)
		require.Equal(t, []int{0}, a.Spikes, name)
		require.Len(t, a.Lanes[0].Probabilities, 1)
		require.Nil(t, a.Lanes[0].Dots)
		if name == "NNMF" {
			require.Len(t, a.Lanes[0].Sees, 24*24)
			require.Len(t, a.Lanes[0].Layers, 3)
		} else {
			require.Nil(t, a.Lanes[0].Sees)
			require.Empty(t, a.Lanes[0].Layers)
		}
	}
}

// TestRun_ShowsTheBeliefOfModelsOfOtherPrograms renames a node, so that sbs-convert does not
// recognize the model.
func TestRun_ShowsTheBeliefOfModelsOfOtherPrograms(t *testing.T) {
	pb, err := onnx.Unmarshal(t.Context(), modeltest.Write(t, converttest.Digits(), convert.Options{}))
	require.NoError(t, err)
	for _, n := range pb.GetGraph().GetNode() {
		n.Name = strings.Replace(n.GetName(), "L0/SbS", "first", 1)
	}
	data, err := onnx.MarshalStamped(pb)
	require.NoError(t, err)
	m, err := Load(t.Context(), "other", data)
	require.NoError(t, err)
	require.Nil(t, m.stages[0].network)
	a := run(t, newHandler(Limits{}, m), Request{Pixels: random(m, 1), Samplers: []string{"iid"}})
	b := run(t, newHandler(Limits{}, fromNetwork(t, converttest.Digits())), Request{Pixels: random(m, 1), Samplers: []string{"iid"}})
	require.Equal(t, b.Lanes[0].Probabilities, a.Lanes[0].Probabilities)
	require.Empty(t, a.Lanes[0].Layers)
	require.Nil(t, a.Lanes[0].Dots)
	require.NotNil(t, b.Lanes[0].Dots)
}

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
		"huge picture":          {func(q map[string]any) { q["pixels"] = make([]byte, 1<<20) }, 413, "too large"},
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
}

func TestRequest_HasPixelsInBase64(t *testing.T) {
	data, err := json.Marshal(Request{Pixels: []byte{0, 255}})
	require.NoError(t, err)
	require.Contains(t, string(data), `"pixels":"`+base64.StdEncoding.EncodeToString([]byte{0, 255})+`"`)
}
