package ml

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// svm is what both support vector machines have in common.
type svm struct {
	kind         string // of the kernel
	gamma, coef0 float32
	degree       float32
	vectors      []float32 // (number, features)
	number       int       // of support vectors; 0 for a linear model
	features     int
	coefficients []float32
	rho          []float32
}

// readSVM reads the attributes that both have.
func readSVM(a *attributes) svm {
	s := svm{
		kind:         choice(a, "kernel_type", "LINEAR", "POLY", "RBF", "SIGMOID"),
		vectors:      attr(a, "support_vectors", []float32(nil)),
		coefficients: attr(a, "coefficients", []float32(nil)),
		rho:          attr(a, "rho", []float32(nil)),
	}
	p := attr(a, "kernel_params", []float32(nil))
	if len(p) == 3 {
		s.gamma, s.coef0, s.degree = p[0], p[1], p[2]
	} else if len(p) > 0 {
		a.failf("kernel_params has %d entries, want 3: gamma, coef0 and degree", len(p))
	}
	if len(s.coefficients) == 0 || len(s.rho) == 0 {
		a.failf("coefficients or rho is missing")
	}
	return s
}

// setVectors sets the number of support vectors.
func (s *svm) setVectors(a *attributes, number int64) {
	if number < 1 || number > int64(len(s.vectors)) || len(s.vectors)%int(number) != 0 {
		a.failf("support_vectors has %d entries for %d vectors", len(s.vectors), number)
		return
	}
	s.number, s.features = int(number), len(s.vectors)/int(number)
}

// kernel returns the value of the kernel for two vectors.
func (s *svm) kernel(x, v []float32) float32 {
	var sum float32
	if s.kind == "RBF" {
		for i, e := range x {
			d := e - v[i]
			sum += float32(d * d)
		}
		return float32(portmath.Exp(-float64(s.gamma * sum)))
	}
	sum = dot(x, v)
	switch s.kind {
	case "POLY":
		return float32(portmath.Pow(float64(float32(s.gamma*sum)+s.coef0), float64(s.degree)))
	case "SIGMOID":
		return float32(portmath.Tanh(float64(float32(s.gamma*sum) + s.coef0)))
	}
	return sum
}

func (s *svm) infer(x ops.Type) (rows ops.Dim, err error) {
	if err := x.CheckDType("X", numeric...); err != nil {
		return rows, err
	}
	rows, _, err = rowsOf(x, s.features)
	return rows, err
}

// rows returns the elements of X and the number of rows.
func (s *svm) rows(ctx *ops.Context, x *ops.Tensor) ([]float32, int, error) {
	if _, _, err := rowsOf(ops.TypeOf(x), s.features); err != nil {
		return nil, 0, err
	}
	v, err := numbers[float32](ctx, x)
	rows, _ := sizesOf(x)
	return v, rows, err
}

// newSVMRegressor returns SVMRegressor (version 1): for each row of X, a matrix or a vector, the
// sum of the kernel's values for the support vectors, times their coefficients, plus rho: (rows,
// 1), float32. Without support vectors, it is the product with the coefficients plus rho.
//
// Attributes: kernel_type (LINEAR, the default, POLY, RBF or SIGMOID), kernel_params (gamma,
// coef0, degree), support_vectors, n_supports (their number), coefficients, rho, one_class
// (default 0; with 1 the result is 1 if the sum is positive and -1 otherwise), post_transform,
// which has no effect, as in onnxruntime: there is one target.
func newSVMRegressor(_ ops.Node, a *attributes) operation {
	k := &svmRegressor{svm: readSVM(a), oneClass: attr(a, "one_class", int64(0)) != 0}
	choice(a, "post_transform", transforms...)
	if n := attr(a, "n_supports", int64(0)); n > 0 {
		if k.setVectors(a, n); len(k.coefficients) < k.number {
			a.failf("there are %d coefficients for %d support vectors", len(k.coefficients), n)
		}
	} else {
		k.kind, k.features = "LINEAR", len(k.coefficients)
	}
	return k
}

type svmRegressor struct {
	svm
	oneClass bool
}

func (k *svmRegressor) infer(in []*ops.Input) ([]ops.Type, error) {
	rows, err := k.svm.infer(in[0].Type)
	return []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{rows, {Size: 1}}}}, err
}

func (k *svmRegressor) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, rows, err := k.rows(ctx, in[0])
	if err != nil {
		return err
	}
	y := out[0].Float32s()
	return eachRow(ctx, rows, (k.number+1)*k.features, func(lo, hi int) error {
		for r := lo; r < hi; r++ {
			row := x[r*k.features : (r+1)*k.features]
			var sum float32
			if k.number == 0 {
				sum = dot(row, k.coefficients)
			}
			err := k.each(ctx, row, func(i int, v float32) { sum += float32(k.coefficients[i] * v) })
			if err != nil {
				return err
			}
			y[r] = sum + k.rho[0]
			if k.oneClass {
				y[r] = -1
				if sum+k.rho[0] > 0 {
					y[r] = 1
				}
			}
		}
		return nil
	})
}

// each calls f with the value of the kernel for each support vector.
func (s *svm) each(ctx *ops.Context, row []float32, f func(i int, v float32)) error {
	steps := 0
	for i := range s.number {
		f(i, s.kernel(row, s.vectors[i*s.features:(i+1)*s.features]))
		if steps += s.features; steps > grain {
			if err := ctx.Err(); err != nil {
				return err
			}
			steps = 0
		}
	}
	return nil
}

// newSVMClassifier returns SVMClassifier (version 1): the label of the class of each row of X, a
// matrix or a vector, int64 or string, and the scores of the row, float32: the probabilities of
// the classes if prob_a and prob_b are given, and otherwise the decision values for all pairs of
// classes. Without support vectors, the scores are the products with the coefficients of each
// class, plus rho.
//
// Attributes: those of SVMRegressor but n_supports and one_class; classlabels_ints or
// classlabels_strings; vectors_per_class; prob_a and prob_b, one entry per pair of classes;
// coefficients (classes-1, support vectors); rho, one entry per pair of classes.
func newSVMClassifier(_ ops.Node, a *attributes) operation {
	k := &svmClassifier{
		svm: readSVM(a), labels: readLabels(a, "classlabels_ints", "classlabels_strings"), post: choice(a, "post_transform", transforms...),
		probA: attr(a, "prob_a", []float32(nil)), probB: attr(a, "prob_b", []float32(nil)),
	}
	k.positive = true
	for _, c := range k.coefficients {
		k.positive = k.positive && c >= 0
	}
	k.classes = max(k.labels.len(), 1)
	var total int64
	for _, n := range attr(a, "vectors_per_class", []int64(nil)) {
		if n < 0 || n > ops.MaxElements {
			a.failf("vectors_per_class has the entry %d", n)
			return k
		}
		k.first = append(k.first, int(total))
		total += n
	}
	if total == 0 {
		k.kind, k.first = "LINEAR", nil
		if len(k.coefficients)%k.classes != 0 {
			a.failf("%d coefficients cannot be divided among %d classes", len(k.coefficients), k.classes)
		}
		k.features = len(k.coefficients) / k.classes
		k.scores, k.probA = k.classes, nil
	} else {
		k.setVectors(a, total)
		k.scores = k.classes * (k.classes - 1) / 2
		switch {
		case len(k.first) != k.classes || k.classes < 2:
			a.failf("vectors_per_class has %d entries for %d classes", len(k.first), k.classes)
		case len(k.coefficients) != (k.classes-1)*k.number:
			a.failf("there are %d coefficients for %d classes and %d support vectors", len(k.coefficients), k.classes, k.number)
		case len(k.rho) < k.scores:
			a.failf("rho has %d entries for %d pairs of classes", len(k.rho), k.scores)
		case len(k.probA) != len(k.probB) || len(k.probA) > 0 && len(k.probA) < k.scores:
			a.failf("prob_a has %d and prob_b %d entries for %d pairs of classes", len(k.probA), len(k.probB), k.scores)
		}
		k.first = append(k.first, k.number)
	}
	if k.outputs = k.scores; len(k.probA) > 0 {
		k.outputs = k.classes
	}
	if k.outputs == 1 && (k.post != "PROBIT" || k.classes == 2) && k.secondScore() {
		k.outputs = 2
	}
	return k
}

type svmClassifier struct {
	svm
	labels
	post         string
	probA, probB []float32
	positive     bool  // no coefficient is negative
	classes      int   // at least 1
	first        []int // by class: its first support vector; one more entry for the end
	scores       int   // per row, before probabilities
	outputs      int   // scores per row in the second output
}

// secondScore reports whether a single score gets that of the other class.
func (k *svmClassifier) secondScore() bool { return len(k.rho) == 1 && k.classes == 2 }

func (k *svmClassifier) infer(in []*ops.Input) ([]ops.Type, error) {
	rows, err := k.svm.infer(in[0].Type)
	return k.classified(rows, k.outputs), err
}

func (k *svmClassifier) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	x, rows, err := k.rows(ctx, in[0])
	if err != nil {
		return err
	}
	return eachRow(ctx, rows, (k.number+k.classes)*k.features, func(lo, hi int) error {
		values, votes := make([]float32, k.number), make([]float32, k.classes)
		scores := make([]float32, max(k.scores, k.classes, 2))
		for r := lo; r < hi; r++ {
			s, err := k.decide(ctx, x[r*k.features:(r+1)*k.features], values, votes, scores)
			if err != nil {
				return err
			}
			if err := k.finish(out, r, s, votes); err != nil {
				return err
			}
		}
		return nil
	})
}

// decide computes the scores of a row, and the votes of the pairs of classes.
func (k *svmClassifier) decide(ctx *ops.Context, row, values, votes, scores []float32) ([]float32, error) {
	if k.number == 0 {
		for c := range k.classes {
			scores[c] = dot(row, k.coefficients[c*k.features:(c+1)*k.features]) + k.rho[0]
		}
		return scores[:k.classes], ctx.Err()
	}
	if err := k.each(ctx, row, func(i int, v float32) { values[i] = v }); err != nil {
		return nil, err
	}
	clear(votes)
	pair := 0
	for i := range k.classes {
		for j := i + 1; j < k.classes; j++ {
			lo, hi := k.first[i], k.first[i+1]
			s := k.rho[pair] + dot(values[lo:hi], k.coefficients[(j-1)*k.number+lo:])
			lo, hi = k.first[j], k.first[j+1]
			s += dot(values[lo:hi], k.coefficients[i*k.number+lo:])
			if scores[pair] = s; s > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
			pair++
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if len(k.probA) > 0 {
		p, err := k.probabilities(ctx, scores[:pair])
		return scores[:copy(scores, p)], err
	}
	return scores[:pair], nil
}

// finish stores the label and the scores of a row.
func (k *svmClassifier) finish(out []*ops.Tensor, row int, scores, votes []float32) error {
	deciding := scores
	if k.number > 0 {
		deciding = votes
	}
	best := argmax(deciding)
	weight := deciding[best]
	if k.number == 0 && k.classes == 1 {
		class := 0
		if weight > 0 {
			class = 1
		}
		two := k.binary()
		two.put(out[0], row, class)
	} else {
		class := best
		if k.number == 0 && k.classes == 2 && (k.positive && weight >= 0.5 || !k.positive && weight > 0) {
			class = 1
		}
		if class >= k.labels.len() {
			return errLabels(class, k.labels.len())
		}
		k.put(out[0], row, class)
	}
	switch {
	case len(scores) == 1 && k.outputs == 2 && k.post == "NONE":
		scores = append(scores[:0], -scores[0], scores[0])
	case len(scores) == 1 && k.outputs == 2:
		s := scores[0]
		scores = scores[:2]
		second(k.post, scores, 1-s, s)
	default:
		transform(k.post, scores)
	}
	storeRow(out, row, scores)
	return nil
}

// probabilities returns the probabilities of the classes that fit best to those of the pairs,
// which follow from the scores. This is method 2 of Wu, Lin and Weng (2004), as in LIBSVM.
func (k *svmClassifier) probabilities(ctx *ops.Context, scores []float32) ([]float32, error) {
	n := k.classes
	memory, err := ops.Temporary[float32](ctx, 2*n*n)
	if err != nil {
		return nil, err
	}
	defer ops.Free(ctx, memory)
	pairs, q := memory[:n*n], memory[n*n:]
	pair := 0
	for i := range n {
		for j := i + 1; j < n; j++ {
			const least = 1e-7
			p := 1 - logistic(float32(scores[pair]*k.probA[pair])+k.probB[pair])
			p = min(max(p, least), 1-least)
			pairs[i*n+j], pairs[j*n+i] = p, 1-p
			pair++
		}
	}
	p, qp := make([]float32, n), make([]float32, n)
	for t := range n {
		p[t] = 1 / float32(n)
		for j := range n {
			if j != t {
				q[t*n+t] += float32(pairs[j*n+t] * pairs[j*n+t])
				q[t*n+j] = -float32(pairs[j*n+t] * pairs[t*n+j])
			}
		}
	}
	for range max(100, n) {
		var whole float32 // p Q p
		for t := range n {
			qp[t] = dot(q[t*n:(t+1)*n], p)
			whole += float32(p[t] * qp[t])
		}
		var worst float32
		for t := range n {
			worst = max(worst, float32(math.Abs(float64(qp[t]-whole))))
		}
		if worst < 0.005/float32(n) {
			break
		}
		for t := range n {
			d := (whole - qp[t]) / q[t*n+t]
			p[t] += d
			whole = (whole + float32(d*(float32(d*q[t*n+t])+float32(2*qp[t])))) / float32((1+d)*(1+d))
			for j := range n {
				qp[j] = (qp[j] + float32(d*q[t*n+j])) / (1 + d)
				p[j] /= 1 + d
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}
