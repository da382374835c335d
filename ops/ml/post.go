package ml

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// transforms are the values of the attribute post_transform.
var transforms = []string{"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"}

// transform applies a post_transform to the scores of one row.
func transform[T realNumber](name string, scores []T) {
	switch name {
	case "SOFTMAX":
		softmax(scores, false)
	case "SOFTMAX_ZERO":
		softmax(scores, true)
	case "LOGISTIC":
		for i, v := range scores {
			scores[i] = logistic(v)
		}
	case "PROBIT":
		for i, v := range scores {
			scores[i] = probit(v)
		}
	}
}

// regressed applies a post_transform to the targets of a regression. As in onnxruntime, a single
// target is transformed by PROBIT alone: the others compare targets with each other.
func regressed[T realNumber](name string, targets []T) {
	if len(targets) > 1 || name == "PROBIT" {
		transform(name, targets)
	}
}

func logistic[T realNumber](x T) T {
	v := 1 / (1 + portmath.Exp(-math.Abs(float64(x))))
	if x < 0 {
		v = 1 - v
	}
	return T(v)
}

// softmax divides exponentials by their sum. With zeros, scores that are almost 0 are multiplied
// instead by the factor that turns exp(x) into exp(x-largest), and remain almost 0.
func softmax[T realNumber](scores []T, zeros bool) {
	largest := math.Inf(-1)
	for _, v := range scores {
		largest = max(largest, float64(v))
	}
	factor, sum := portmath.Exp(-largest), 0.0
	for i, v := range scores {
		e := portmath.Exp(float64(v) - largest)
		if zeros && math.Abs(float64(v)) <= 1e-7 {
			e = float64(v) * factor
		}
		scores[i] = T(e)
		sum += float64(scores[i])
	}
	for i, v := range scores {
		if zeros && sum == 0 {
			scores[i] = 0.5
			continue
		}
		scores[i] = T(float64(v) / sum)
	}
}

// probit is an approximation of the inverse of the distribution function of the normal
// distribution.
func probit[T realNumber](x T) T {
	const a = 0.147
	y := float64(2*float64(x)) - 1
	log := portmath.Log((1 - y) * (1 + y))
	v := 2/(math.Pi*a) + float64(0.5*log)
	inverse := math.Sqrt(-v + math.Sqrt(float64(v*v)-float64(log/a)))
	if y < 0 {
		inverse = -inverse
	}
	return T(1.41421356 * inverse)
}
