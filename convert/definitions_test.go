package convert

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops/sbs"
)

func TestDefinitions_KnowsAllOperators(t *testing.T) {
	for _, o := range sbs.Operators() {
		list, err := definitions([]string{o.Name}, InjectNothing)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, o.Name, list[0].GetName())
	}
	_, err := definitions([]string{"Unheard"}, InjectNothing)
	require.ErrorContains(t, err, "the operator Unheard has no function body")
}
