package noise

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBits_AreTheRecordedOnes compares the results of every kind with those that were recorded.
// They are the same on all processors.
func TestBits_AreTheRecordedOnes(t *testing.T) {
	const channels, height, width = 3, 21, 19
	recorded := map[string]string{
		"gaussian=0.1":         "b1714441e17c7e29",
		"gaussian=3":           "8c3d28692ff1d2a6",
		"salt-and-pepper=0.25": "b43f502167bb38b8",
		"uniform=0.7":          "281d5ce4700211f9",
		"shot=0.03":            "1d9d8ecfb2a8a17e",
		"shot=0.3":             "ed828f54e9fe65f2",
		"shot=2":               "911e50f00a56fb55",
		"contrast=0.37":        "1e5051ba3b9bfc1e",
		"brightness=0.3":       "b45e91b8d7ed06c7",
		"brightness=-0.3":      "8eb42db739c3291a",
		"blur=0.6":             "c6f3af9bad7383d9",
		"blur=7.7":             "890449cd04b7bd20",
		"occlusion=8":          "ed8b11f52125beb8",
		"rotation=0.7":         "88a308dff2b0ff30",
		"rotation=77":          "1d7539b590c68677",
		"translation=0.3":      "861a74af43477fb8",
		"translation=5.6":      "b8e6c504fc0711e5",
		"crop-shift=3":         "2557360f1551323e",
	}
	covered := map[string]bool{}
	for text, want := range recorded {
		covered[parse(t, text).steps[0].kind.Name] = true
		h := sha256.New()
		for image := range uint64(20) {
			x := make([]float32, channels*height*width)
			for i := range x {
				x[i] = float32(i%256) / 255
			}
			parse(t, text).Apply(x, channels, height, width, 17, image)
			for _, v := range x {
				require.NoError(t, binary.Write(h, binary.LittleEndian, math.Float32bits(v)))
			}
		}
		require.Equal(t, want, hex.EncodeToString(h.Sum(nil)[:8]), text)
	}
	require.Len(t, covered, len(Kinds()), "a kind is missing")
}
