package training

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spike-by-spike/sbs/train"
)

// ErrStopped is wrapped by the error of a training that stopped because the network did not
// learn any more.
var ErrStopped = errors.New("training stopped")

// The limits of a guard. Fine-tuning for fewer spikes and a learning rate that is rather large
// stay far below them.
const (
	// patience is the number of updates in a row after which a high loss or a layer that does
	// not learn is no longer chance.
	patience = 20

	// highLoss and extremeLoss are multiples of the loss at the start, or of a guess if that is
	// larger. An extreme loss needs no patience.
	highLoss    = 10
	extremeLoss = 1000
)

// guard finds out that a training does not lead to anything. Its fields are exported for gob: a
// training that resumes stops at the same update.
type guard struct {
	Start  float64        // loss per image of the first update, or of a guess if that is larger; 0 before the first update
	High   int            // number of updates in a row with a high loss
	Faults map[string]int // number of updates in a row with a fault: see faultKey
}

func faultKey(f train.Fault) string { return f.Layer + " " + string(f.Kind) }

// check looks at an update. guess is the loss of a network that guesses. check returns the reason
// why the training should stop, with advice, or "".
func (g *guard) check(u *train.Update, guess float64) (reason, advice string) {
	if g.Start == 0 {
		g.Start = max(u.LossPerImage, guess)
	}
	if u.LossPerImage > highLoss*g.Start {
		g.High++
	} else {
		g.High = 0
	}
	if g.High >= patience || u.LossPerImage > extremeLoss*g.Start {
		return fmt.Sprintf("the loss exploded: it is %.3g, and at the start it was at most %.3g", u.LossPerImage, g.Start), adviceRate
	}
	counts := map[string]int{}
	for _, f := range u.Faults {
		if f.Kind == train.NoGradient && u.Correct == u.Images {
			continue // nothing is left to learn from these images
		}
		n := g.Faults[faultKey(f)] + 1
		counts[faultKey(f)] = n
		switch {
		case f.Kind == train.NotFinite:
			return fmt.Sprintf("the weights of layer %s, or their gradients, are NaN or infinite", f.Layer), adviceRate
		case n >= patience && f.Kind == train.EqualWeights:
			return fmt.Sprintf("the weights of layer %s died: for %d updates, each neuron has had the same weight for all inputs, so that its output does not depend on the image", f.Layer, n), adviceLimit
		case n >= patience:
			return fmt.Sprintf("the weights of layer %s died: for %d updates, their gradient has been 0, although not all images were classified correctly", f.Layer, n), adviceDead
		}
	}
	g.Faults = counts
	return "", ""
}

// Advice for a training that stopped.
const (
	adviceStart = "Check the images and the weights at the start"
	adviceRate  = "Train again with a smaller --lr"
	adviceLimit = adviceRate + ", or a smaller learning_rate_threshold_w in the configuration, the lower limit of the weights"
	adviceDead  = adviceRate + ", or with another --seed if the network started with random weights"
)

// failure is the reason why a training stopped, and advice.
type failure struct{ reason, advice string }

func (e *failure) Error() string { return e.reason }

// guarded returns a failure if the training should stop after an update.
func (s *session) guarded(u *train.Update) error {
	if reason, advice := s.at.Guard.check(u, s.config.Loss.Guess(s.classes)); reason != "" {
		return &failure{reason, advice}
	}
	return nil
}

// diverged returns the failure of a loss that is NaN or infinite.
func (s *session) diverged() error {
	reason, advice := "the loss is NaN or infinite", adviceRate
	if s.at.SubBatches < s.subBatches {
		reason += ", although no weight has changed yet: the weights at the start or the images have values that are too large"
		advice = adviceStart
	}
	return &failure{reason, advice}
}

// failed ends a training that stopped: the model becomes the best one so far. Other errors are
// returned as they are.
func (s *session) failed(err error) error {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return err
	}
	model, err := s.restoreBest()
	return errors.Join(
		fmt.Errorf("%w after update %d of %d: %s. %s. %s",
			ErrStopped, s.updates(), s.totalUpdates(), f.reason, model, strings.Replace(f.advice, "--lr", fmt.Sprintf("--lr (now %v)", s.config.RateW), 1)),
		err, s.out.curves(s.title()))
}
