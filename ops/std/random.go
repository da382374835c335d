package std

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"sort"

	kernels "github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// randomStream generates the random numbers of a node. Each number is a function of the
// seed of the run, the seed of the node, the index of the image and the index of the number
// only.
type randomStream struct{ node uint64 }

// onlyInRuns implements runOnly.
func (randomStream) onlyInRuns() {}

// newStream uses the attribute seed or, without it, the name of the node. Nodes without a
// seed therefore draw different numbers.
func newStream(n ops.Node) (randomStream, error) {
	switch seed := n.Attributes["seed"].(type) {
	case nil:
	case float32:
		return randomStream{uint64(math.Float32bits(seed))}, nil
	case int64: // Dropout
		return randomStream{uint64(seed)}, nil
	default:
		return randomStream{}, fmt.Errorf("%w: seed is not a number", ops.ErrAttribute)
	}
	h := fnv.New64a()
	h.Write([]byte(n.Name)) // never fails
	return randomStream{h.Sum64()}, nil
}

// uniform calls f with random numbers in [0, 1), as many as draws, for every element of a
// tensor of the given shape. If batched is set, the first dimension is the batch.
func (s randomStream) uniform(ctx *ops.Context, shape []int, batched bool, draws int, f func(i int, u []float64)) error {
	n := numElements(shape)
	if n == 0 {
		return nil
	}
	entry, seed, image := n, func(int) uint64 { return ctx.Seed }, func(int) uint64 { return 0 }
	if batched && len(shape) > 0 {
		entry, seed, image = n/shape[0], ctx.ImageSeed, ctx.Image
	}
	return ctx.For(n, grain/8, func(lo, hi int) error {
		u := make([]float64, draws)
		for i := lo; i < hi; i++ {
			key := kernels.Key(seed(i/entry), s.node, image(i/entry), 0)
			for d := range u {
				u[d] = float64(kernels.Random(key, i%entry*draws+d)) / (1 << 32)
			}
			f(i, u)
		}
		return nil
	})
}

// newRandom returns the constructor of RandomUniform or, with normal, RandomNormal (opset
// 1): uniform random numbers from low up to high, or normal random numbers with the given
// mean and standard deviation scale. With like, the operators are RandomUniformLike and
// RandomNormalLike, whose output has the shape of the input.
//
// Attributes: low (default 0) and high (default 1), or mean (default 0) and scale (default
// 1); seed; dtype (default float32, or with like the type of the input; float32 or
// float64); shape (required; not with like). With like, the first dimension is the batch:
// the numbers of an image depend on its index in the stream of images.
func newRandom(normal, like bool) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) {
		names, standard := []string{"low", "high"}, []float32{0, 1}
		if normal {
			names = []string{"mean", "scale"}
		}
		known := append([]string{"seed", "dtype"}, names...)
		if !like {
			known = append(known, "shape")
		}
		if err := n.Attributes.Only(known...); err != nil {
			return nil, err
		}
		k := &random{normal: normal, like: like}
		var err error
		if k.randomStream, err = newStream(n); err != nil {
			return nil, err
		}
		for i, name := range names {
			v, err := ops.Attr(n.Attributes, name, standard[i])
			if err != nil {
				return nil, err
			}
			k.p[i] = float64(v)
		}
		if _, ok := n.Attributes["dtype"]; ok || !like {
			if k.dtype, err = dtypeAttr(n.Attributes, "dtype", ops.Float32); err != nil {
				return nil, err
			}
		}
		if like {
			return k, nil
		}
		if _, ok := n.Attributes["shape"]; !ok {
			return nil, fmt.Errorf("%w: shape is missing", ops.ErrAttribute)
		}
		k.shape, err = sizesAttr(n.Attributes, "shape", 0)
		return k, err
	}
}

type random struct {
	randomStream
	normal, like bool
	p            [2]float64
	dtype        ops.DType // 0 means the type of the input
	shape        []int
}

func (k *random) infer(in []*ops.Input) (ops.Type, error) {
	t := ops.Type{DType: k.dtype, Shape: ops.Dims(k.shape...)}
	if k.like {
		t.Shape = in[0].Shape
		if k.dtype == 0 {
			t.DType = in[0].DType
		}
	}
	return t, t.CheckDType("the output", slices.Concat(floatTypes, halfTypes)...)
}

func (k *random) run(ctx *ops.Context, _ []*ops.Tensor, out *ops.Tensor) error {
	draws := 1
	if k.normal {
		draws = 2
	}
	return k.uniform(ctx, out.Shape(), k.like, draws, func(i int, u []float64) {
		v := k.p[0] + float64(u[0]*(k.p[1]-k.p[0]))
		if k.normal { // Box-Muller transform
			v = k.p[0] + float64(k.p[1]*math.Sqrt(-2*portmath.Log(1-u[0]))*portmath.Cos(2*math.Pi*u[1]))
		}
		store(out, i, 1, []float64{v})
	})
}

// newBernoulli returns Bernoulli (opset 15): 1 with the probability given by the element of
// the input, float32 or float64, and 0 otherwise. The first dimension is the batch, as in
// newRandom.
//
// Attributes: dtype (default: the type of the input), seed.
func newBernoulli(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("dtype", "seed"); err != nil {
		return nil, err
	}
	s, err := newStream(n)
	if err != nil {
		return nil, err
	}
	k := &bernoulli{randomStream: s}
	if _, ok := n.Attributes["dtype"]; ok {
		k.dtype, err = dtypeAttr(n.Attributes, "dtype", 0)
	}
	return k, err
}

type bernoulli struct {
	randomStream
	dtype ops.DType // 0 means the type of the input
}

func (k *bernoulli) infer(in []*ops.Input) (ops.Type, error) {
	t := in[0].Type
	if err := t.CheckDType("input", floatTypes...); err != nil {
		return t, err
	}
	if k.dtype != 0 {
		t.DType = k.dtype
	}
	return t, t.CheckDType("the output", slices.Concat(allTypes, halfTypes)...)
}

func (k *bernoulli) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return k.uniform(ctx, out.Shape(), true, 1, func(i int, u []float64) {
		var v [1]float64
		load(v[:], in[0], i, 1)
		if u[0] < v[0] {
			v[0] = 1
		} else {
			v[0] = 0
		}
		store(out, i, 1, v[:])
	})
}

// newMultinomial returns Multinomial (opset 7): sample_size random classes for each row of
// the input (batch, classes), float32 or float64. The probabilities are the softmax of the
// row.
//
// Attributes: sample_size (default 1), seed, dtype (default int32; or int64).
func newMultinomial(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("dtype", "sample_size", "seed"); err != nil {
		return nil, err
	}
	size, err := ops.Attr(n.Attributes, "sample_size", int64(1))
	if err != nil {
		return nil, err
	}
	if size < 0 || size > ops.MaxElements {
		return nil, fmt.Errorf("%w: sample_size %d is out of range", ops.ErrAttribute, size)
	}
	s, err := newStream(n)
	if err != nil {
		return nil, err
	}
	dtype, err := dtypeAttr(n.Attributes, "dtype", ops.Int32)
	return &multinomial{s, int(size), dtype}, err
}

type multinomial struct {
	randomStream
	samples int
	dtype   ops.DType
}

func (k *multinomial) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	t := ops.Type{DType: k.dtype, Shape: ops.Dims(-1, k.samples)}
	if err := x.CheckDType("input", floatTypes...); err != nil {
		return t, err
	}
	if len(x.Shape) != 2 || x.Shape[1].Size == 0 {
		return t, fmt.Errorf("%w: input is %v, want a batch of rows", ops.ErrShape, x)
	}
	t.Shape[0] = x.Shape[0]
	return t, t.CheckDType("the output", indexTypes...)
}

func (k *multinomial) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	classes := in[0].Shape()[1]
	sums, err := ops.Temporary[float64](ctx, in[0].Len())
	if err != nil {
		return err
	}
	err = forEachLine(ctx, in[0], 1, func(l *line[float64]) error {
		top, total := math.Inf(-1), 0.0
		if err := inPieces(ctx, len(l.elements), func(lo, hi int) {
			for _, v := range l.elements[lo:hi] {
				top = max(top, v)
			}
		}); err != nil {
			return err
		}
		return inPieces(ctx, len(l.elements), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				total += portmath.Exp(l.elements[i] - top)
				sums[l.first+i] = total
			}
		})
	})
	if err != nil {
		return err
	}
	return k.uniform(ctx, out.Shape(), true, 1, func(i int, u []float64) {
		row := sums[i/k.samples*classes:][:classes]
		limit := u[0] * row[classes-1]
		at := sort.Search(classes-1, func(i int) bool { return !(row[i] <= limit) }) // the sums increase, or end in NaN
		store(out, i, 1, []int64{int64(at)})
	})
}

// newDropout returns Dropout (opsets 1, 6, 7, 10, 12, 13, 22): the data, of a floating-point
// type, and a mask of the elements that were kept. In training mode, which the third input, a
// bool scalar, switches on, each element becomes 0 with the probability ratio, the second
// input, a float scalar; all others are divided by 1 - ratio. Otherwise all elements are kept.
// Before opset 12, ratio is an attribute; opsets 7 to 11 have no training mode.
//
// Attributes: seed (since opset 12), ratio (default 0.5; before opset 12), is_test (default 0,
// which is the training mode; before opset 7).
func newDropout(n ops.Node) (multiOperation, error) {
	known := []string{"seed"}
	if n.Opset < 12 {
		known = []string{"ratio"}
		if n.Opset < 7 {
			known = append(known, "is_test")
		}
		if n.NumInputs > 1 {
			return nil, fmt.Errorf("opset %d: ratio and training_mode must not be inputs", n.Opset)
		}
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	ratio, err := ops.Attr(n.Attributes, "ratio", float32(0.5))
	if err != nil {
		return nil, err
	}
	isTest, err := flagAttr(n.Attributes, "is_test")
	if err != nil {
		return nil, err
	}
	s, err := newStream(n)
	return &dropout{s, n.Opset < 10, float64(ratio), n.Opset < 7 && !isTest}, err
}

type dropout struct {
	randomStream
	typedMask bool    // the mask has the type of the data
	ratio     float64 // without the input
	training  bool    // without the input
}

func (k *dropout) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	types := slices.Concat(floatTypes, halfTypes, float8Types)
	if err := x.CheckDType("data", types...); err != nil {
		return nil, err
	}
	if len(in) > 1 && in[1] != nil {
		if err := checkScalar("ratio", in[1].Type, types...); err != nil {
			return nil, err
		}
	}
	if len(in) > 2 && in[2] != nil {
		if err := checkScalar("training_mode", in[2].Type, ops.Bool); err != nil {
			return nil, err
		}
	}
	mask := ops.Type{DType: ops.Bool, Shape: x.Shape}
	if k.typedMask {
		mask.DType = x.DType
	}
	return []ops.Type{x, mask}, nil
}

func (k *dropout) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	ratio := k.ratio
	if len(in) > 1 && in[1] != nil {
		ratio = firstElement[float64](in[1])
	}
	training := k.training
	if len(in) > 2 && in[2] != nil {
		training = firstElement[int64](in[2]) != 0
	}
	if !training {
		ratio = 0
	}
	if !(ratio >= 0 && ratio < 1) {
		return fmt.Errorf("%w: ratio %v is not in [0, 1)", ops.ErrShape, ratio)
	}
	if ratio == 0 {
		if len(out) > 1 {
			one := constantOfShape{value: trueTensor(out[1].DType())}
			if err := one.run(ctx, nil, out[1]); err != nil {
				return err
			}
		}
		return copyAll(ctx, out[0], in[0])
	}
	return k.uniform(ctx, out[0].Shape(), true, 1, func(i int, u []float64) {
		var v, kept [1]float64
		if u[0] >= ratio {
			load(v[:], in[0], i, 1)
			v[0] /= 1 - ratio
			kept[0] = 1
		}
		store(out[0], i, 1, v[:])
		if len(out) > 1 {
			store(out[1], i, 1, kept[:])
		}
	})
}

// trueTensor returns a tensor with the single element 1 or true.
func trueTensor(d ops.DType) *ops.Tensor {
	one, err := ops.Zeros(d, []int{1})
	if err != nil {
		panic(err) // the type of an output is always an element type
	}
	store(one, 0, 1, []int64{1})
	return one
}
