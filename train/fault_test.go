package train_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/train"
)

// TestUpdate_ReportsLayersThatDoNotLearn makes one update with networks that cannot learn, and
// with networks that can.
func TestUpdate_ReportsLayersThatDoNotLearn(t *testing.T) {
	deadReLU, huge, single := convNet(), convNet(), sbsNet(2)
	for i := range deadReLU.Layers[3].(*convert.Conv).Bias.Float32s() {
		deadReLU.Layers[3].(*convert.Conv).Bias.Float32s()[i] = -1e6 // the ReLU after it is always 0
	}
	huge.Layers[6].(*convert.Conv).Weights.Float32s()[0] = 3e38
	single.Layers[0] = converttest.New(7).SbS(converttest.Window(1, 1), 1, 6, 60) // a single input for every neuron
	single.Layers[2] = converttest.New(8).SbS(converttest.Window(4, 1), 6, 3, 60)
	crossEntropy := train.Loss{Kind: train.CrossEntropy}
	for name, c := range map[string]struct {
		network *convert.Network
		config  train.Config
		want    []train.Fault
	}{
		"SbS layers":                   {sbsNet(2), train.Config{RateW: 0.1}, nil},
		"SbS layers of dialect 1":      {sbsNet(1), train.Config{RateW: 0.003}, nil},
		"a neuron with a single input": {single, train.Config{RateW: 0.1}, nil},
		"convolutions":                 {convNet(), train.Config{Loss: crossEntropy}, nil},
		"a lower limit above the weights": {sbsNet(2), train.Config{RateW: 0.1, ThresholdW: 0.9},
			[]train.Fault{{Layer: "L0", Kind: train.EqualWeights}, {Layer: "L2", Kind: train.EqualWeights}}},
		"a layer frozen among them": {sbsNet(2), train.Config{RateW: 0.1, ThresholdW: 0.9, FreezeW: []string{"L0"}},
			[]train.Fault{{Layer: "L2", Kind: train.EqualWeights}}},
		"a ReLU that is always 0": {deadReLU, train.Config{Loss: crossEntropy},
			[]train.Fault{{Layer: "L0", Kind: train.NoGradient}, {Layer: "L3", Kind: train.NoGradient}, {Layer: "L6", Kind: train.NoGradient}}},
		"values that overflow": {huge, train.Config{Loss: crossEntropy, RateW: 1e4, Optimizer: train.SGD},
			[]train.Fault{{Layer: "L0", Kind: train.NotFinite}, {Layer: "L3", Kind: train.NotFinite}}},
	} {
		r := step(t, newTrainer(t, c.network, c.config), bars(1, 24))
		require.NotNil(t, r.Update, name)
		require.Subset(t, r.Update.Faults, c.want, "%s: %v", name, r.Update.Faults)
		if c.want == nil {
			require.Empty(t, r.Update.Faults, name)
		}
	}
}

// TestStep_ReportsALossThatIsNotFinite has a weight that is infinite.
func TestStep_ReportsALossThatIsNotFinite(t *testing.T) {
	n := convNet()
	n.Layers[6].(*convert.Conv).Bias.Float32s()[0] = float32(math.Inf(1))
	trainer := newTrainer(t, n, train.Config{Loss: train.Loss{Kind: train.CrossEntropy}})
	_, err := trainer.Step(t.Context(), bars(1, 24))
	require.ErrorIs(t, err, train.ErrDiverged)
	require.ErrorIs(t, err, train.ErrTrain)
}

// TestGuess_IsTheLossOfEqualProbabilities compares with the formulas.
func TestGuess_IsTheLossOfEqualProbabilities(t *testing.T) {
	require.InDelta(t, math.Log(10), train.Loss{Kind: train.CrossEntropy}.Guess(10), 1e-6)
	const mse, kl = 0.81 + 9*0.01, 2.302585
	require.InDelta(t, (0.5*mse+kl)/1.5, train.Loss{Kind: train.Mixture, Sum: true}.Guess(10), 1e-5)
	require.InDelta(t, (0.5*mse+kl)/1.5/10, train.Loss{Kind: train.Mixture}.Guess(10), 1e-5)
	require.InDelta(t, mse, train.Loss{Kind: train.Mixture, MSE: 2, Sum: true}.Guess(10), 1e-5)
}
