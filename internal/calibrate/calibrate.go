// Package calibrate chooses the threshold at which an image may leave a stage of a model.
//
// An image is lost if it leaves at a stage that is wrong, while the last stage is right. The
// loss of a threshold is the probability of that. Threshold returns one whose loss is, with a
// stated confidence, at most a given value: if the calibration were repeated with other images
// from the same source, the value would be exceeded in at most the remaining share of the
// repetitions.
//
// The method is Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei, arXiv
// 2110.01052) with fixed-sequence testing, which Jazbec et al. apply to networks with early
// exits (arXiv 2405.20915). The hypothesis "the loss of this threshold is above the value" is
// rejected if losing as few images as were seen has, under a loss of exactly the value, at
// most the probability 1 - confidence (a binomial tail). The thresholds are tested from the
// most careful one on, up to the first that is not rejected, so that no correction for several
// tests is necessary.
package calibrate

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/stat/distuv"
)

// Image is what a stage does with one image of the calibration.
type Image struct {
	Margin float64 // largest minus second-largest probability
	Lost   bool    // the stage is wrong, and the last stage is right
}

// ErrNone is wrapped by the error of Threshold if no threshold is allowed.
var ErrNone = errors.New("no threshold is allowed")

// steps is the number of thresholds per factor of 10 of 1 - threshold.
const steps = 16

// Thresholds returns the thresholds in the order in which they are tested, from 1 to 0. Many are
// close to 1, because networks are very sure of most images. A threshold above one that is allowed
// is allowed too.
func Thresholds() []float64 {
	list := []float64{1}
	for i := -7 * steps; i <= 0; i++ {
		// Three digits are the same on every processor.
		rest, _ := strconv.ParseFloat(strconv.FormatFloat(math.Pow(10, float64(i)/steps), 'e', 2, 64), 64)
		list = append(list, math.Round((1-rest)*1e10)/1e10)
	}
	return list
}

// Needed returns the number of images that are needed to state with the given confidence that
// the loss is at most loss, if no image is lost. Both are between 0 and 1.
func Needed(loss, confidence float64) int {
	return int(min(math.Ceil(math.Log1p(-confidence)/math.Log1p(-loss)), math.MaxInt32))
}

// Threshold returns the lowest threshold that is allowed. An image leaves if its margin is at
// least the threshold. loss and confidence are shares between 0 and 1. The images must come
// from the same source as those that the model will classify, and nothing in the model may
// have been chosen with them. It is an error if there are too few images, or if no threshold
// is allowed; the error says how many images it takes or what the smallest loss is.
func Threshold(images []Image, loss, confidence float64) (float64, error) {
	if !(loss > 0 && loss < 1 && confidence > 0 && confidence < 1) {
		return 0, fmt.Errorf("a loss of %v with the confidence %v cannot be stated", loss, confidence)
	}
	if n := Needed(loss, confidence); len(images) < n {
		return 0, fmt.Errorf("%d images are too few to state a loss of at most %.4g%% with a confidence of %.4g%%: it takes %d images",
			len(images), 100*loss, 100*confidence, n)
	}
	binomial := distuv.Binomial{N: float64(len(images)), P: loss}
	allowed, found := 0.0, false
	for _, t := range Thresholds() {
		lost := 0
		for _, v := range images {
			if v.Lost && v.Margin >= t {
				lost++
			}
		}
		if binomial.CDF(float64(lost)) > 1-confidence {
			break
		}
		allowed, found = t, true
	}
	if !found {
		return 0, fmt.Errorf("%w: the stage is wrong even about images of which it is completely sure, so that none keeps the loss at %.4g%% with a confidence of %.4g%%",
			ErrNone, 100*loss, 100*confidence)
	}
	return allowed, nil
}
