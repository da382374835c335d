package runtime_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestRun_OfImageLayersDoesNotDependOnTheBatch runs Poisson and SpikeImage layers in all forms.
func TestRun_OfImageLayersDoesNotDependOnTheBatch(t *testing.T) {
	for name, n := range converttest.ImageLayers() {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyNone, convert.BodyInline} {
			t.Run(fmt.Sprint(name, " ", body), func(t *testing.T) {
				m, err := runtime.New(modeltest.Write(t, n, convert.Options{Body: body}))
				require.NoError(t, err)
				checkBatches(t, m, modeltest.Pixels(1, 4, n.Input))
			})
		}
		t.Run(name+" functions", func(t *testing.T) {
			m, err := runtime.New(modeltest.Write(t, n, convert.Options{}), runtime.PreferFunctions())
			require.NoError(t, err)
			checkBatches(t, m, modeltest.Pixels(1, 4, n.Input))
		})
	}
}

// TestInject_ReachesImageLayers injects counts, spikes and uniforms by the name of the layer or of
// the node. The model with an input for them must give the same output.
func TestInject_ReachesImageLayers(t *testing.T) {
	for name, n := range converttest.ImageLayers() {
		if convert.InjectedName(n, 0, convert.InjectSpikes) == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			const count = 3
			m, image := open(t, n), imagesWithDarkCorners(n, count)
			for inject, option := range map[convert.Inject]func(map[string]*runtime.Tensor) runtime.RunOption{
				convert.InjectSpikes: runtime.InjectSpikes, convert.InjectUniforms: runtime.InjectUniforms,
			} {
				given := injectedInputs(t, n, count, inject)
				in := maps.Clone(given)
				in["image"] = image
				withInputs, err := runtime.New(modeltest.Write(t, n, convert.Options{Inject: inject}))
				require.NoError(t, err)
				want, err := withInputs.Run(t.Context(), in)
				require.NoError(t, err)
				byNode, byLayer := values{}, values{}
				for name, v := range given {
					node := strings.TrimSuffix(name, "/"+string(inject))
					byNode[node] = v
					layer, _, _ := strings.Cut(node, "/")
					byLayer[layer] = v
				}
				output := want[m.Outputs()[0].Name].Float32s()
				require.Equal(t, output, run(t, m, image, option(byNode)))
				require.Equal(t, output, run(t, m, image, option(byLayer)))

				wrong := opstest.F32([]int{count, 1, 1, 1}, 0, 0, 0)
				_, err = m.Run(t.Context(), values{"image": image}, option(values{"L0": wrong}))
				if !slices.Equal(wrong.Shape(), byLayer["L0"].Shape()) || inject == convert.InjectSpikes {
					require.ErrorContains(t, err, "given")
					require.ErrorContains(t, err, "L0/")
				}
			}
			_, err := m.Run(t.Context(), values{"image": image}, runtime.InjectSpikes(values{"L7": image}))
			require.ErrorIs(t, err, runtime.ErrInput)
		})
	}
}

// TestBodies_SelectNoEntryOfZeroWithAUniformOfZero compares the layers that draw spikes with their
// bodies, for uniforms of 0 and images with black corners.
func TestBodies_SelectNoEntryOfZeroWithAUniformOfZero(t *testing.T) {
	networks := converttest.Variants()
	maps.Copy(networks, converttest.ImageLayers())
	for name, n := range networks {
		t.Run(name, func(t *testing.T) {
			in := injectedInputs(t, n, 3, convert.InjectUniforms)
			for _, u := range in {
				clear(u.Float32s())
			}
			in["image"] = imagesWithDarkCorners(n, 3)
			compute := func(body convert.Body, options ...runtime.Option) []float32 {
				m, err := runtime.New(modeltest.Write(t, n, convert.Options{Inject: convert.InjectUniforms, Body: body}), options...)
				require.NoError(t, err)
				out, err := m.Run(t.Context(), in)
				require.NoError(t, err)
				return out[m.Outputs()[0].Name].Float32s()
			}
			want := compute(convert.BodyNone)
			require.InDeltaSlice(t, want, compute(convert.BodyFunction, runtime.PreferFunctions()), 5e-6)
			require.InDeltaSlice(t, want, compute(convert.BodyInline), 5e-6)
		})
	}
}

// TestImageLayers_AreNotSbSLayers checks that options and reports for SbS layers leave them out.
func TestImageLayers_AreNotSbSLayers(t *testing.T) {
	for name, n := range converttest.ImageLayers() {
		m := open(t, n)
		require.Len(t, m.SbSLayers(), 1, name)
		require.Equal(t, 50, m.SbSLayers()[0].Spikes, name)
		image := modeltest.Pixels(1, 2, n.Input)
		var effort runtime.Effort
		run(t, m, image, runtime.Spikes(10), runtime.ReportEffort(func(e runtime.Effort) { effort = e }))
		require.Equal(t, []int64{10, 10}, effort.Updates, name)
	}
}

// spikeImageWithoutSpikes returns a model of one layer.
func spikeImageWithoutSpikes(t *testing.T, size convert.Size, body convert.Body) *runtime.Model {
	t.Helper()
	n := &convert.Network{Step: -1, Input: size, Layers: []convert.Layer{&convert.SpikeImage{}}}
	m, err := runtime.New(modeltest.Write(t, n, convert.Options{Body: body}))
	require.NoError(t, err)
	return m
}

// TestSpikeImage_WithoutSpikesDividesByTheMean has images that are black, dark, and made of
// 1e-20, as PyTorch-SbS makes of a black image.
func TestSpikeImage_WithoutSpikesDividesByTheMean(t *testing.T) {
	x := opstest.F32([]int{4, 1, 2, 2},
		0, 0, 0, 0,
		1e-20, 1e-20, 1e-20, 1e-20,
		1e-6, 3e-6, 0, 0,
		0.1, 0.2, 0.3, 0.4)
	for _, body := range []convert.Body{convert.BodyFunction, convert.BodyNone, convert.BodyInline} {
		got := run(t, spikeImageWithoutSpikes(t, convert.Size{Channels: 1, Height: 2, Width: 2}, body), x)
		require.InDeltaSlice(t, []float32{0, 0, 0, 0, 1, 1, 1, 1, 1, 3, 0, 0, 0.4, 0.8, 1.2, 1.6}, got, 1e-6)
	}
}

// TestConformanceSpikeImageWithoutSpikes compares with all recordings of INPUT SPIKE IMAGE layers
// that draw no spikes.
func TestConformanceSpikeImageWithoutSpikes(t *testing.T) {
	for dir, c := range modeltest.SharedLayers(t, "layer-head", "INPUT SPIKE IMAGE") {
		if c["number_of_spikes"].(float64) >= 1 {
			continue // see ops/sbs
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			x := opstest.Load(t, filepath.Join(dir, "input.npy"))
			s := x.Shape()
			m := spikeImageWithoutSpikes(t, convert.Size{Channels: s[1], Height: s[2], Width: s[3]}, convert.BodyFunction)
			require.InDeltaSlice(t, opstest.Load(t, filepath.Join(dir, "output.npy")).Float32s(), run(t, m, x), 1e-6)
		})
	}
}

// TestInteropRandom_ImageLayersMatch compares the means and variances of the outputs of the first
// layers themselves with those in onnxruntime.
func TestInteropRandom_ImageLayersMatch(t *testing.T) {
	requireOnnxruntime(t)
	networks := converttest.ImageLayers()
	delete(networks, "spike image of one spike") // few images have a spike at a dark value: the variance is that of a few images
	for name, n := range networks {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
			t.Run(name+"/"+string(body), func(t *testing.T) {
				const count = 600
				in := repeatedImage(n, count)
				there := onnxruntime{t}.run(withLayerOutputs(t, modeltest.Write(t, n, convert.Options{Body: body})), in, 1)
				require.Empty(t, there.stderr, "warnings")
				m, err := runtime.New(withLayerOutputs(t, modeltest.Write(t, n, convert.Options{})))
				require.NoError(t, err)
				here, err := m.Run(t.Context(), in)
				require.NoError(t, err)
				for i := range n.Layers[:len(n.Layers)-1] {
					output := fmt.Sprintf("L%d", i)
					compareMeans(t, here[output].Float32s(), there.values[output].Float32s(), count)
				}
			})
		}
	}
}
