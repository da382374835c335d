package train

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// LossKind names a loss.
type LossKind string

// The losses of PyTorch-SbS.
const (
	// Mixture is the mean of (MSE*(h-t)^2 + KL*D)/(MSE+KL) over all entries h of the
	// output and t of the target, with D = (t+1e-20)*(log(t+1e-20) - log(h+1e-20)).
	// See Loss.Sum.
	Mixture LossKind = "mixture"

	// CrossEntropy is the cross entropy of the target and softmax(h). It is a mean over
	// the images.
	CrossEntropy LossKind = "cross_entropy"
)

// Loss is a loss function of the output of a model and a target.
type Loss struct {
	Kind LossKind

	// MSE and KL are the coefficients of a Mixture. If both are 0, they are 0.5 and 1.
	MSE, KL float64

	// Sum makes a Mixture the sum over all entries instead of the mean, as in dialect 2.
	Sum bool
}

// Check returns an error if the kind of the loss is unknown or a coefficient is out of
// range.
func (l Loss) Check() error {
	switch {
	case l.Kind != Mixture && l.Kind != CrossEntropy:
		return fmt.Errorf("unknown loss %q, want %q or %q", l.Kind, Mixture, CrossEntropy)
	case !(l.MSE >= 0 && l.KL >= 0 && l.MSE+l.KL <= math.MaxFloat32):
		return fmt.Errorf("the coefficients of the loss are %v (MSE) and %v (KL), want finite numbers of at least 0", l.MSE, l.KL)
	}
	return nil
}

// tiny keeps the logarithms finite. PyTorch-SbS uses the same value.
const tiny = 1e-20

// of returns the loss of h and sets grad to the gradient of the loss with respect to h.
// grad, h and target have the shape (images, classes, positions), in row-major order. The
// target is a distribution over the classes at every position.
func (l Loss) of(grad, h, target []float32, classes, positions int) float64 {
	if l.Kind == CrossEntropy {
		return crossEntropy(grad, h, target, classes, positions)
	}
	mse, kl := l.MSE, l.KL
	if mse == 0 && kl == 0 {
		mse, kl = 0.5, 1
	}
	norm := 1 / (mse + kl)
	if !l.Sum {
		norm /= float64(len(h))
	}
	var sum float64
	for i, v := range h {
		// The sums are rounded to float32, as in PyTorch-SbS: tiny does not change a 1.
		t := float64(target[i] + tiny)
		x := float64(v + tiny)
		d := float64(v) - float64(target[i])
		sum += float64(mse*d*d) + float64(kl*t*(portmath.Log(t)-portmath.Log(x)))
		grad[i] = float32(norm * (float64(2*mse*d) - kl*t/x))
	}
	return sum * norm
}

// Guess returns the loss per image of a model whose output is the same for all classes, for a
// target of a single class.
func (l Loss) Guess(classes int) float64 {
	classes = max(classes, 1)
	h, target := make([]float32, classes), make([]float32, classes)
	for i := range h {
		h[i] = 1 / float32(classes)
	}
	target[0] = 1
	return l.perImage(l.of(make([]float32, classes), h, target, classes, 1), 1)
}

// perImage returns the mean loss per image of a sub-batch with the given loss.
func (l Loss) perImage(loss float64, images int) float64 {
	if l.Kind == Mixture && l.Sum {
		return loss / float64(images)
	}
	return loss
}

func crossEntropy(grad, h, target []float32, classes, positions int) float64 {
	rows := len(h) / classes
	var sum float64
	for row := range rows {
		first := row/positions*classes*positions + row%positions
		at := func(c int) int { return first + c*positions }
		top := math.Inf(-1)
		for c := range classes {
			top = max(top, float64(h[at(c)]))
		}
		var total, mass float64
		for c := range classes {
			total += portmath.Exp(float64(h[at(c)]) - top)
			mass += float64(target[at(c)])
		}
		norm := portmath.Log(total) + top
		for c := range classes {
			t, x := float64(target[at(c)]), float64(h[at(c)])
			if t != 0 {
				sum += float64(t * (norm - x))
			}
			grad[at(c)] = float32((float64(mass*portmath.Exp(x-norm)) - t) / float64(rows))
		}
	}
	return sum / float64(rows)
}
