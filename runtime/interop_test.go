package runtime_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// withLayerOutputs returns a model with the output of every layer as an output.
func withLayerOutputs(t *testing.T, model []byte) []byte {
	t.Helper()
	m, err := onnx.Unmarshal(t.Context(), model)
	require.NoError(t, err)
	g := m.GetGraph()
	layer := func(v *onnxpb.ValueInfoProto) bool {
		return strings.HasPrefix(v.GetName(), "L") && !strings.Contains(v.GetName(), "/")
	}
	for _, v := range g.GetValueInfo() {
		if layer(v) {
			g.Output = append(g.Output, v)
		}
	}
	g.ValueInfo = slices.DeleteFunc(g.GetValueInfo(), layer)
	b, err := onnx.MarshalStamped(m)
	require.NoError(t, err)
	return b
}

// injectedInputs returns random spikes or uniforms for every layer that draws random numbers, by
// the name of the input of the model.
func injectedInputs(t *testing.T, n *convert.Network, images int, inject convert.Inject) map[string]*runtime.Tensor {
	t.Helper()
	sizes, err := n.Sizes()
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(5, 6))
	in := map[string]*runtime.Tensor{}
	for i, l := range n.Layers {
		name := convert.InjectedName(n, i, inject)
		if name == "" {
			continue
		}
		size, most := sizes[i], 0
		shape := []int{images, 0, 1, 1}
		switch l := l.(type) {
		case *convert.SbS:
			shape[1], shape[2], shape[3] = l.Spikes, sizes[i+1].Height, sizes[i+1].Width
			most = l.Weights.Shape()[0]
			if l.FullLayer {
				shape[2], shape[3] = 1, 1
				most = size.Channels * size.Height * size.Width
			}
		case *convert.SpikeImage:
			shape[1] = l.Spikes
			most = size.Channels * size.Height * size.Width
		case *convert.Poisson:
			shape[1], shape[2], shape[3] = size.Channels, size.Height, size.Width
			most = 2 * l.Spikes
		default:
			require.Fail(t, "the numbers of this layer are not known", name)
		}
		length := shape[0] * shape[1] * shape[2] * shape[3]
		spikes, uniforms := make([]int64, length), make([]float32, length)
		for j := range length {
			spikes[j] = r.Int64N(int64(most))
			uniforms[j] = r.Float32()
		}
		in[name] = opstest.F32(shape, uniforms...)
		if inject == convert.InjectSpikes {
			in[name] = opstest.I64(shape, spikes...)
		}
	}
	return in
}

// compare runs a model in this package (here) and a model of the same network in onnxruntime
// (there), and compares the layers with the given names, or all layers.
func (o onnxruntime) compare(here, there []byte, inputs map[string]*runtime.Tensor, tolerance float64, only ...string) {
	o.t.Helper()
	theirs := o.run(withLayerOutputs(o.t, there), inputs, 1)
	m, err := runtime.New(withLayerOutputs(o.t, here))
	require.NoError(o.t, err)
	ours, err := m.Run(o.t.Context(), inputs)
	require.NoError(o.t, err)
	require.Len(o.t, theirs.values, len(ours))
	var text []string
	for _, out := range m.Outputs() {
		if len(only) > 0 && !slices.Contains(only, out.Name) {
			continue
		}
		want, got := ours[out.Name], theirs.values[out.Name]
		require.Equal(o.t, want.Shape(), got.Shape(), out.Name)
		d := largestDifference(want.Float32s(), got.Float32s())
		text = append(text, fmt.Sprintf("%s %.2g", out.Name, d))
		if !(d <= tolerance) {
			o.t.Errorf("%s differs by %.3g, want at most %g", out.Name, d, tolerance)
		}
	}
	o.t.Logf("onnxruntime %s, largest differences: %s", theirs.Version, strings.Join(text, ", "))
}

// largestDifference returns the largest absolute difference of elements, or NaN.
func largestDifference(a, b []float32) float64 {
	var largest float64
	for i, v := range a {
		d := float64(v) - float64(b[i])
		if d != d {
			return d
		}
		largest = max(largest, d, -d)
	}
	return largest
}

// imagesWithDarkCorners returns images with pixels of 0 in a corner, so that some output
// positions draw no spikes.
func imagesWithDarkCorners(n *convert.Network, count int) *runtime.Tensor {
	x := modeltest.Pixels(7, count, n.Input)
	s := n.Input
	for i := range x.Float32s() {
		if i/s.Width%s.Height < s.Height/2 && i%s.Width < s.Width/2+1 {
			x.Float32s()[i] = 0
		}
	}
	return x
}

// TestInteropGiven_LayersMatch compares every layer of networks with all features, for
// given spikes and for given uniforms, as a function and inline.
func TestInteropGiven_LayersMatch(t *testing.T) {
	requireOnnxruntime(t)
	networks := converttest.Variants()
	maps.Copy(networks, converttest.ImageLayers())
	networks["every layer"] = converttest.EveryLayer()
	networks["digits"] = converttest.Digits()
	for name, n := range networks {
		for _, inject := range []convert.Inject{convert.InjectSpikes, convert.InjectUniforms} {
			for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, inject, body), func(t *testing.T) {
					const count = 3
					in := injectedInputs(t, n, count, inject)
					in["image"] = imagesWithDarkCorners(n, count)
					ours := modeltest.Write(t, n, convert.Options{Inject: inject})
					theirs := modeltest.Write(t, n, convert.Options{Inject: inject, Body: body})
					var only []string
					if inject == convert.InjectUniforms {
						// In later layers, a sum that is rounded differently can change a spike.
						only = outputOfFirstRandom(n)
					}
					onnxruntime{t}.compare(ours, theirs, in, 5e-6, only...)
				})
			}
		}
	}
}

// outputOfFirstRandom returns the name of the output of the first layer that draws random numbers.
func outputOfFirstRandom(n *convert.Network) []string {
	i := slices.IndexFunc(n.Layers, func(l convert.Layer) bool {
		return convert.InjectedName(&convert.Network{Layers: []convert.Layer{l}}, 0, convert.InjectUniforms) != ""
	})
	return []string{fmt.Sprintf("L%d", i)}
}

// TestInteropRandom_MeansMatch compares the mean outputs of both runtimes over many copies of
// an image, for which they draw different spikes.
func TestInteropRandom_MeansMatch(t *testing.T) {
	requireOnnxruntime(t)
	networks := converttest.Variants()
	maps.Copy(networks, converttest.ImageLayers())
	networks["both samplers"] = converttest.EveryLayer()
	for name, n := range networks {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
			t.Run(name+"/"+string(body), func(t *testing.T) {
				const count = 600
				in := repeatedImage(n, count)
				there := onnxruntime{t}.run(modeltest.Write(t, n, convert.Options{Body: body}), in, 1)
				m, err := runtime.New(modeltest.Write(t, n, convert.Options{}))
				require.NoError(t, err)
				here, err := m.Run(t.Context(), in)
				require.NoError(t, err)
				output := there.Outputs[0].Name
				compareMeans(t, here[output].Float32s(), there.values[output].Float32s(), count)
			})
		}
	}
}

// repeatedImage returns a batch with copies of one image.
func repeatedImage(n *convert.Network, count int) map[string]*runtime.Tensor {
	x := imagesWithDarkCorners(n, 1)
	var many []float32
	for range count {
		many = append(many, x.Float32s()...)
	}
	return map[string]*runtime.Tensor{"image": opstest.F32(append([]int{count}, x.Shape()[1:]...), many...)}
}

// compareMeans checks that the outputs for many copies of an image can be samples of the same
// distribution: the means differ by at most 6 standard errors, and the variances by a factor
// of at most 4.
func compareMeans(t *testing.T, here, there []float32, count int) {
	t.Helper()
	a, aVar := moments(here, count)
	b, bVar := moments(there, count)
	var largest float64
	for i := range a {
		err := math.Sqrt((aVar[i]+bVar[i])/float64(count)) + 1e-7
		d := math.Abs(a[i]-b[i]) / err
		largest = max(largest, d)
		require.LessOrEqual(t, d, 6.0, "element %d: %v here, %v there, standard error %v", i, a[i], b[i], err)
		require.Greater(t, 4*bVar[i]+1e-9, aVar[i], "element %d varies less there", i)
		require.Greater(t, 4*aVar[i]+1e-9, bVar[i], "element %d varies less here", i)
	}
	t.Logf("the means differ by up to %.1f standard errors", largest)
}

// moments returns mean and variance of each element over the images.
func moments(v []float32, images int) (mean, variance []float64) {
	n := len(v) / images
	mean, variance = make([]float64, n), make([]float64, n)
	for i, x := range v {
		mean[i%n] += float64(x) / float64(images)
	}
	for i, x := range v {
		d := float64(x) - mean[i%n]
		variance[i%n] += d * d / float64(images)
	}
	return mean, variance
}

// TestInteropStages_RunTheLastStage checks that onnxruntime loads a model with stages without
// a warning, and runs its last stage.
func TestInteropStages_RunTheLastStage(t *testing.T) {
	requireOnnxruntime(t)
	s := converttest.Staged()
	last := s.Stages[len(s.Stages)-1].Network
	s.Stages[0].Network.Layers[0].(*convert.SbS).Sampler = runtime.LowDiscrepancy // needs another part of the function
	const count = 600
	in := repeatedImage(last, count)
	there := onnxruntime{t}.run(writeStages(t, s), in, 1)
	require.Empty(t, there.stderr)
	require.Len(t, there.Outputs, 1)
	m, err := runtime.New(modeltest.Write(t, last, convert.Options{}))
	require.NoError(t, err)
	here, err := m.Run(t.Context(), in)
	require.NoError(t, err)
	compareMeans(t, here["probabilities"].Float32s(), there.values["probabilities"].Float32s(), count)
}
