package training

import (
	"cmp"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/train"
)

// kind is a kind of training. The defaults of the settings depend on it.
type kind int

const (
	fineTuning kind = iota // of a model; steps are epochs
	byEpochs               // from a dialect 2 configuration; steps are epochs
	byUpdates              // from a dialect 1 configuration; steps are updates
)

// Defaults of fine-tuning. A model may contain the configuration of its training, but
// that configuration is meant for training from scratch.
const (
	tuneEpochs        = 1
	tuneBatch         = 24
	tuneSubBatches    = 4
	tuneRate1         = 0.001 // dialect 1, and networks without SbS or NNMF layers: an update adds to the weights
	tuneRate2         = 0.03  // dialect 2: an update multiplies the weights
	tuneRateEpsilonXY = 0.0005
)

// Defaults of fine-tuning with a new last layer, which has more to learn than the others.
const (
	newLayerRate2   = 0.1 // instead of tuneRate2
	newLayerUpdates = 300 // the number of epochs has at least as many updates,
	newLayerLeast   = 3   // and is at least this
	newLayerMost    = 100 // and at most this
)

// Values of --loss.
const (
	lossCrossEntropy = "cross-entropy"
	lossMixture      = "mixture"
)

// Values of --lr-schedule.
const (
	scheduleConfigured = "" // without the flag: the schedule of the configuration
	scheduleConstant   = "constant"
	scheduleCosine     = "cosine"
	schedulePlateau    = "plateau"
)

var (
	lossNames     = []string{lossCrossEntropy, lossMixture}
	scheduleNames = []string{scheduleConstant, scheduleCosine, schedulePlateau}
)

// plan holds the settings of a training whose defaults depend on the kind of training.
// A flag can change each of them, except the optimizer.
type plan struct {
	batch      int // images per sub-batch
	subBatches int // per update
	steps      int // until the end; see kind

	optimizer            train.Optimizer
	rateW, rateEpsilonXY float64
	schedule             string // see --lr-schedule
	loss                 string // see --loss

	tested    bool
	testEvery int // steps
	saveEvery int // steps
}

// defaultsFor returns the plan of a training without flags.
func defaultsFor(k kind, t *pytorch.Training, n *convert.Network) plan {
	p := plan{loss: lossMixture, testEvery: 1, saveEvery: 1}
	if t.LossMode == 1 || t.Dialect == 2 && (signed(n) || !t.LossGiven && !probabilities(n)) {
		p.loss = lossCrossEntropy
	}
	if k == fineTuning {
		p.batch, p.subBatches, p.steps = tuneBatch, tuneSubBatches, tuneEpochs
		p.optimizer, p.schedule, p.tested = train.Adam, scheduleCosine, true
		p.rateW, p.rateEpsilonXY = tuneRate2, tuneRateEpsilonXY
		if t.Dialect == 1 || !multiplies(n) {
			p.rateW = tuneRate1
		}
		return p
	}
	p.batch, p.subBatches, p.steps = t.BatchSize, t.BatchesPerUpdate, t.StepMax-t.Step
	if t.BatchesPerUpdate == 1 && t.UpdateAfter > 1 {
		p.subBatches = int(t.UpdateAfter)
	}
	p.optimizer, p.schedule, p.tested = train.Optimizer(t.Optimizer), scheduleConfigured, t.Test
	p.rateW, p.rateEpsilonXY = t.W.LearningRate(), t.EpsilonXY.LearningRate()
	if k == byUpdates {
		p.testEvery = t.TestEvery
	}
	return p
}

// withNewLayer returns the plan for fine-tuning a network whose last layer is new. See job.fit for
// the number of epochs.
func (p plan) withNewLayer(n *convert.Network) plan {
	if last, err := pytorch.LastLayer(n); err == nil && p.rateW == tuneRate2 {
		if weightsOf(n.Layers[last]) == proportions {
			p.rateW = newLayerRate2
		}
	}
	return p
}

// newLayerEpochs returns the number of epochs of a training with a new last layer, for a number of
// updates per epoch.
func newLayerEpochs(updates int) int {
	return min(max((newLayerUpdates+updates-1)/updates, newLayerLeast), newLayerMost)
}

// override returns the plan with the values of the flags that were given. It ignores
// --epochs, since the number of updates in an epoch depends on the number of images:
// see job.fit.
func (p plan) override(f *flags) plan {
	p.batch, p.subBatches = f.batch.Or(p.batch), f.subBatches.Or(p.subBatches)
	p.rateW, p.rateEpsilonXY = cmp.Or(f.rateW, p.rateW), cmp.Or(f.rateEpsilonXY, p.rateEpsilonXY)
	p.schedule, p.loss = cmp.Or(f.schedule, p.schedule), cmp.Or(f.loss, p.loss)
	p.testEvery, p.saveEvery = f.testEvery.Or(p.testEvery), f.saveEvery.Or(p.saveEvery)
	p.tested = !f.noTest && (p.tested || f.test != "" || f.testEvery.Set || f.testSpikes.Set())
	return p
}
