package page

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"math"
	"slices"
	"strings"
	"testing"

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
			_, err = c.Run(t.Context(), x, dynamics(s.spikes(7, 0), runtime.Sampler(l.Sampler), true), runtime.Watch(runtime.Watcher{
				Layers: []string{first.Name}, After: []int{7}, Spikes: true,
				Snapshot: func(w runtime.Snapshot) bool {
					require.Equal(t, drawn.Int64s()[:w.Drawn.Len()], w.Drawn.Int64s(), "a run with fewer spikes draws the first ones")
					return true
				},
			}))
			require.NoError(t, err)
			for f, dots := range slices.Collect(slices.Chunk(l.Dots, 2*size)) {
				total := 0
				for i := 0; i < len(dots); i += 2 {
					total += int(binary.LittleEndian.Uint16(dots[i:]))
				}
				require.Equal(t, total, l.Drawn[f], "%s, %s", name, l.Sampler)
			}
		}
		require.NoError(t, c.Close())
	}
}

// TestRun_CountsSpikesBeyondTheDots draws more spikes from one pixel than Dots can say.
func TestRun_CountsSpikesBeyondTheDots(t *testing.T) {
	n := converttest.Digits()
	n.Preprocessing.Offset = 1e-20
	m := fromNetwork(t, n)
	pixels := make([]byte, m.values())
	pixels[6*12+6] = 255
	a := run(t, newHandler(Limits{}, m), Request{Pixels: pixels, Samplers: []string{"iid"}, Spikes: 10_000})
	first := a.Lanes[0].Layers[0]
	positions := first.Height * first.Width
	for f, spikes := range a.Spikes {
		require.Equal(t, spikes*positions, a.Lanes[0].Drawn[f])
	}
	require.Contains(t, slices.Collect(slices.Chunk(a.Lanes[0].Dots, 2)), []byte{255, 255})
	require.Equal(t, positions-9, a.Black, "9 of the positions see the pixel")
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
