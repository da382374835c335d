package runtime_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// requireRunsAlike runs a model with one input after the other, several times, and compares with
// fresh models. The outputs of a run must not change in later ones.
func requireRunsAlike(t *testing.T, pb *onnxpb.ModelProto, inputs []values) {
	m := load(t, pb)
	type result struct{ want, got values }
	var results []result
	for round := range 3 {
		for i := range inputs {
			in := inputs[(i*(round+1)+round)%len(inputs)]
			want, err := load(t, pb).Run(t.Context(), in)
			require.NoError(t, err)
			got, err := m.Run(t.Context(), in)
			require.NoError(t, err)
			results = append(results, result{want, got})
		}
	}
	for i, r := range results {
		for name := range r.want {
			requireSame(t, r.want[name], r.got[name], fmt.Sprintf("run %d, output %s", i, name))
		}
	}
}

func TestRun_OfSubgraphsDoesNotDependOnEarlierRuns(t *testing.T) {
	for _, c := range flowCases() {
		t.Run(c.name, func(t *testing.T) {
			other := values{}
			for name, x := range c.in {
				other[name] = x
				if v := x.Float32s(); v != nil {
					w := slices.Clone(v)
					for i := range w {
						w[i] = 3 - w[i]
					}
					other[name] = f32(x.Shape(), w...)
				}
			}
			requireRunsAlike(t, c.model, []values{c.in, other})
		})
	}
}
