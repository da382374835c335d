package runtime_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/convert/converttest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestBodyOfSbS runs the operator's body in standard operators, as a function and
// inline, and compares every layer with the operator's, given the same spikes or
// uniforms.
func TestBodyOfSbS(t *testing.T) {
	networks := converttest.Variants()
	networks["every layer"] = converttest.EveryLayer()
	networks["digits"] = converttest.Digits()
	for name, n := range networks {
		for _, inject := range []convert.Inject{convert.InjectSpikes, convert.InjectUniforms} {
			for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, inject, body), func(t *testing.T) {
					in := given(t, n, 3, inject)
					in["image"] = images(n, 3)
					want := observed(t, write(t, n, convert.Options{Inject: inject}), in)
					got := observed(t, write(t, n, convert.Options{Inject: inject, Body: body}), in, runtime.PreferFunctions())
					require.Greater(t, len(got), len(want)+20, "the body has not been run")
					var compared []string
					for i := range n.Layers {
						compared = append(compared, fmt.Sprintf("L%d", i))
					}
					if inject == convert.InjectUniforms {
						compared = firstSbS(n) // behind it a rounded sum can make another spike
					}
					for _, name := range compared {
						require.InDeltaSlice(t, want[name].Float32s(), got[name].Float32s(), 5e-6, name)
					}
				})
			}
		}
	}
}

func observed(t *testing.T, data []byte, in map[string]*runtime.Tensor, opts ...runtime.Option) map[string]*runtime.Tensor {
	t.Helper()
	m, err := runtime.New(data, opts...)
	require.NoError(t, err)
	all := map[string]*runtime.Tensor{}
	_, err = m.Run(t.Context(), in, runtime.Observe(func(name string, v *runtime.Tensor) { all[name] = v }))
	require.NoError(t, err)
	return all
}
