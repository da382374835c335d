package train_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/train"
)

// TestBits_WeightsAreTheSameOnAllProcessors compares the weights after some updates with
// hashes of those that an amd64 processor with AVX-512 has computed. They depend on all that a
// checkpoint holds, so that a training can resume on another processor.
func TestBits_WeightsAreTheSameOnAllProcessors(t *testing.T) {
	for name, c := range map[string]struct {
		build func() (*train.Trainer, train.Batch)
		want  string
	}{
		"every layer": {func() (*train.Trainer, train.Batch) { return everyLayer(t, 2) }, "7ebae58592f6d7ca"},
		"dialect 1": {func() (*train.Trainer, train.Batch) {
			return newTrainer(t, sbsNet(1), train.Config{RateW: 0.003, RateEpsilonXY: 0.0001}), bars(1, 24)
		}, "560118673737e042"},
		"dialect 2": {func() (*train.Trainer, train.Batch) {
			return newTrainer(t, sbsNet(2), train.Config{RateW: 0.1, ScheduleW: train.Schedule{Kind: train.Cosine, Length: 5}}), bars(1, 24)
		}, "8ebfb2e81eeb1002"},
		"cross entropy": {func() (*train.Trainer, train.Batch) {
			return newTrainer(t, convNet(), train.Config{RateW: 0.02, Loss: train.Loss{Kind: train.CrossEntropy}}), bars(1, 24)
		}, "5adfc66876935367"},
	} {
		for _, tier := range kernel.Tiers() {
			t.Run(name+"/"+tier.String(), func(t *testing.T) {
				defer kernel.Use(tier)()
				trainer, b := c.build()
				for range 4 {
					step(t, trainer, b)
				}
				m, err := onnx.Unmarshal(t.Context(), fileOf(t, trainer))
				require.NoError(t, err)
				sum := sha256.New()
				for _, weights := range m.Graph.Initializer {
					sum.Write(weights.RawData)
				}
				require.Equal(t, c.want, fmt.Sprintf("%x", sum.Sum(nil))[:16])
			})
		}
	}
}
