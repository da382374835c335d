package runtime_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
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
