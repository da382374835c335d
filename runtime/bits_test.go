package runtime_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/runtime"
)

// TestBits_OutputsAreTheSameOnAllProcessors compares the outputs of whole networks with
// hashes of what an amd64 processor with AVX-512 has computed.
func TestBits_OutputsAreTheSameOnAllProcessors(t *testing.T) {
	for name, c := range map[string]struct {
		network *convert.Network
		want    string
	}{
		"digits":      {converttest.Digits(), "8523d281030f32f4"},
		"every layer": {converttest.EveryLayer(), "58f24f398b0124c6"},
	} {
		data := modeltest.Write(t, c.network, convert.Options{})
		for _, tier := range kernel.Tiers() {
			t.Run(name+"/"+tier.String(), func(t *testing.T) {
				defer kernel.Use(tier)()
				m, err := runtime.New(data)
				require.NoError(t, err)
				defer m.Close()
				sum := fnv.New64a()
				for _, sampler := range []runtime.Sampler{runtime.IID, runtime.LowDiscrepancy} {
					in := map[string]*runtime.Tensor{m.Inputs()[0].Name: modeltest.Pixels(3, 5, c.network.Input)}
					out, err := m.Run(t.Context(), in, runtime.Seed(7), runtime.WithSampler(sampler))
					require.NoError(t, err)
					require.NoError(t, binary.Write(sum, binary.LittleEndian, out[m.Outputs()[0].Name].Float32s()))
				}
				require.Equal(t, c.want, fmt.Sprintf("%016x", sum.Sum64()))
			})
		}
	}
}
