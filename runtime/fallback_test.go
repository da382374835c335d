package runtime_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestFallback_MatchesOperatorForGivenSpikes compares the operators with their fallback
// definitions in standard operators, as functions and inline, for given spikes.
func TestFallback_MatchesOperatorForGivenSpikes(t *testing.T) {
	networks := converttest.Variants()
	maps.Copy(networks, converttest.ImageLayers())
	networks["every layer"] = converttest.EveryLayer()
	for name, n := range networks {
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
			t.Run(fmt.Sprintf("%s/%s", name, body), func(t *testing.T) {
				const count = 3
				in := injectedInputs(t, n, count, convert.InjectSpikes)
				in["image"] = imagesWithDarkCorners(n, count)
				run := func(body convert.Body, opts ...runtime.Option) []float32 {
					m, err := runtime.New(modeltest.Write(t, n, convert.Options{Inject: convert.InjectSpikes, Body: body}), opts...)
					require.NoError(t, err)
					out, err := m.Run(t.Context(), in)
					require.NoError(t, err)
					return out[m.Outputs()[0].Name].Float32s()
				}
				require.LessOrEqual(t, largestDifference(run(convert.BodyNone), run(body, runtime.PreferFunctions())), 5e-6)
			})
		}
	}
}

// TestFallback_MatchesOperatorOnAverage compares the mean outputs of the operators and of their
// fallback definitions, which draw different spikes.
func TestFallback_MatchesOperatorOnAverage(t *testing.T) {
	networks := converttest.Variants()
	maps.Copy(networks, converttest.ImageLayers())
	for name, n := range networks {
		t.Run(name, func(t *testing.T) {
			const count = 80
			in := repeatedImage(n, count)
			run := func(body convert.Body) []float32 {
				m, err := runtime.New(modeltest.Write(t, n, convert.Options{Body: body}))
				require.NoError(t, err)
				out, err := m.Run(t.Context(), in)
				require.NoError(t, err)
				return out[m.Outputs()[0].Name].Float32s()
			}
			compareMeans(t, run(convert.BodyNone), run(convert.BodyInline), count)
		})
	}
}

// TestFallback_DrawsNoSpikeFromBlackPixels compares full layers for a black image, whose given
// spikes may be -1, and for uniform numbers of 0, which must not select a black pixel.
func TestFallback_DrawsNoSpikeFromBlackPixels(t *testing.T) {
	n := converttest.Variants()["full layer with strides, dilations and pads"]
	n.Layers = n.Layers[:1]
	spikes := n.Layers[0].(*convert.SbS).Spikes
	image := imagesWithDarkCorners(n, 2)
	clear(image.Float32s()[image.Len()/2:])
	given := injectedInputs(t, n, 2, convert.InjectSpikes)
	for _, v := range given {
		for i := range spikes {
			v.Int64s()[spikes+i] = -1
		}
	}
	for inject, numbers := range map[convert.Inject]*runtime.Tensor{
		convert.InjectSpikes:   given[convert.InjectedName(n, 0, convert.InjectSpikes)],
		convert.InjectUniforms: opstest.F32([]int{2, spikes, 1, 1}, make([]float32, 2*spikes)...),
	} {
		in := map[string]*runtime.Tensor{"image": image, convert.InjectedName(n, 0, inject): numbers}
		var want []float32
		for _, body := range []convert.Body{convert.BodyNone, convert.BodyFunction, convert.BodyInline} {
			m, err := runtime.New(modeltest.Write(t, n, convert.Options{Inject: inject, Body: body}), runtime.PreferFunctions())
			require.NoError(t, err)
			out, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			got := out[m.Outputs()[0].Name].Float32s()
			for _, v := range got[len(got)/2:] {
				require.Equal(t, float32(1)/7, v, "%s, %s: neurons for a black image", inject, body)
			}
			if want == nil {
				want = got
				require.NotEqual(t, want[:len(want)/2], want[len(want)/2:])
			}
			require.LessOrEqual(t, largestDifference(want, got), 5e-6, "%s, %s", inject, body)
		}
	}
}
