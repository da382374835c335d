package metadata

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseBorders_RefusesWhatIsNoDescription(t *testing.T) {
	want := Borders{Lower: [3]float32{0, 0.1, 0.2}, Median: [3]float32{0, 0.2, 0.5}, Upper: [3]float32{0.1, 0.5, 1}}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := ParseBorders(string(text))
	require.NoError(t, err)
	require.Equal(t, want, *got)
	require.NoError(t, got.Inverted().Check())
	require.Equal(t, [3]float32{0, 0.5, 0.9}, got.Inverted().Lower)

	for _, wrong := range []string{
		"", "[]", "{}", `{"lower":[0,0],"median":[0,0,0],"upper":[0,0,0]}`, `{"lower":[0,0,0,0],"median":[0,0,0],"upper":[0,0,0]}`,
		`{"lower":[0,0,0],"median":[0,0,0],"upper":[0,0,2]}`, `{"lower":[-1,0,0],"median":[0,0,0],"upper":[0,0,0]}`,
		`{"lower":[0,0.5,0],"median":[0,0.5,0.5],"upper":[1,1,1]}`, `{"lower":[0,0,0.5],"median":[0,0,0.4],"upper":[1,1,1]}`,
	} {
		_, err := ParseBorders(wrong)
		require.ErrorContains(t, err, "metadata ai.sbs.border", wrong)
	}
}
