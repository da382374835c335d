package std

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// newRotaryEmbedding returns RotaryEmbedding (opset 23): it rotates pairs of numbers in each
// head of X by an angle that depends on the position in the sequence. X is float32 with shape
// (batch, heads, length, size), or (batch, length, heads*size). cos_cache and sin_cache hold
// the cosine and sine of the angles of all pairs: (positions, pairs) together with
// position_ids, int64 (batch, length), and else (batch, length, pairs).
//
// Attributes: interleaved (default 0: number i and number i + pairs form a pair; 1: adjacent
// numbers do), num_heads (required if X has 3 dimensions), rotary_embedding_dim (default 0:
// the size of a head; the numbers of a head beyond it stay unchanged).
func newRotaryEmbedding(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("interleaved", "num_heads", "rotary_embedding_dim"); err != nil {
		return nil, err
	}
	var k rotaryEmbedding
	var err error
	if k.interleaved, err = flagAttr(n.Attributes, "interleaved"); err != nil {
		return nil, err
	}
	if k.heads, err = sizeAttr(n.Attributes, "num_heads"); err != nil {
		return nil, err
	}
	if k.rotated, err = sizeAttr(n.Attributes, "rotary_embedding_dim"); err != nil {
		return nil, err
	}
	if k.rotated%2 != 0 {
		return nil, fmt.Errorf("%w: rotary_embedding_dim is %d, want an even number", ops.ErrAttribute, k.rotated)
	}
	return &k, nil
}

// sizeAttr returns an attribute that is a size. The default is 0, which means that the node
// does not give it.
func sizeAttr(a ops.Attributes, name string) (int, error) {
	v, err := ops.Attr(a, name, int64(0))
	if err == nil && (v < 0 || v > ops.MaxElements) {
		err = fmt.Errorf("%w: %s %d is out of range", ops.ErrAttribute, name, v)
	}
	return int(v), err
}

type rotaryEmbedding struct {
	interleaved    bool
	heads, rotated int // 0 if not given
}

// sizes returns the batch, the heads, the length and the size of a head of X.
func (k *rotaryEmbedding) sizes(x ops.Type) ([4]ops.Dim, error) {
	s, err := headSizes("X", "num_heads", x, k.heads)
	if err != nil {
		return s, err
	}
	switch d := s[3]; {
	case !d.Known():
	case k.rotated > d.Size:
		return s, fmt.Errorf("%w: X is %v, but rotary_embedding_dim is %d: a head has %d numbers", ops.ErrShape, x, k.rotated, d.Size)
	case k.rotated == 0 && d.Size%2 != 0:
		return s, fmt.Errorf("%w: X is %v: its heads have %d numbers, want an even number", ops.ErrShape, x, d.Size)
	}
	return s, nil
}

// headSizes returns the batch, the heads, the length and the size of a head of a tensor
// (batch, heads, length, size) or (batch, length, heads*size). attribute is the name of the
// attribute with the number of heads, which is 0 if it is not given.
func headSizes(name, attribute string, x ops.Type, heads int) (s [4]ops.Dim, err error) {
	switch len(x.Shape) {
	case 4:
		s = [4]ops.Dim(x.Shape)
		if heads > 0 && s[1].Known() && s[1].Size != heads {
			return s, fmt.Errorf("%w: %s is %v, but %s is %d", ops.ErrShape, name, x, attribute, heads)
		}
	case 3:
		if heads == 0 {
			return s, fmt.Errorf("%w: %s is %v: an input with 3 dimensions needs %s", ops.ErrAttribute, name, x, attribute)
		}
		all := x.Shape[2]
		s = [4]ops.Dim{x.Shape[0], {Size: heads}, x.Shape[1], unknown}
		if all.Known() && all.Size%heads != 0 {
			return s, fmt.Errorf("%w: %s is %v, but %s is %d: it must divide the last dimension", ops.ErrShape, name, x, attribute, heads)
		}
		if all.Known() {
			s[3] = ops.Dim{Size: all.Size / heads}
		}
	default:
		return s, fmt.Errorf("%w: %s is %v, want 3 or 4 dimensions", ops.ErrShape, name, x)
	}
	return s, nil
}

func (k *rotaryEmbedding) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	for i, name := range []string{"X", "cos_cache", "sin_cache"} {
		if err := in[i].Type.CheckDType(name, ops.Float32); err != nil {
			return x, err
		}
	}
	s, err := k.sizes(x)
	if err != nil {
		return x, err
	}
	pairs := unknown
	switch {
	case k.rotated > 0:
		pairs = ops.Dim{Size: k.rotated / 2}
	case s[3].Known():
		pairs = ops.Dim{Size: s[3].Size / 2}
	}
	want := []ops.Dim{s[0], s[2], pairs}
	if len(in) > 3 && in[3] != nil {
		positions := in[3].Type
		if err := positions.CheckDType("position_ids", ops.Int64); err != nil {
			return x, err
		}
		if !fitsDims(positions.Shape, []ops.Dim{s[0], s[2]}) {
			return x, fmt.Errorf("%w: X is %v but position_ids is %v, want its batch and length", ops.ErrShape, x, positions)
		}
		want = []ops.Dim{unknown, pairs}
		if c := in[1].Shape; len(c) > 0 {
			want[0] = c[0]
		}
	}
	for i, name := range []string{"cos_cache", "sin_cache"} {
		if t := in[i+1].Type; !fitsDims(t.Shape, want) {
			return x, fmt.Errorf("%w: X is %v but %s is %v, want %v", ops.ErrShape, x, name, t, ops.Type{DType: ops.Float32, Shape: want})
		}
	}
	return x, nil
}

// fitsDims reports whether a shape may be equal to another one.
func fitsDims(shape, want []ops.Dim) bool {
	if len(shape) != len(want) {
		return false
	}
	for i, d := range shape {
		if _, ok := mergeDims(d, want[i]); !ok {
			return false
		}
	}
	return true
}

func (k *rotaryEmbedding) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	dims, err := k.sizes(ops.TypeOf(in[0]))
	if err != nil {
		return err
	}
	heads, length, size := dims[1].Size, dims[2].Size, dims[3].Size
	pairs := k.rotated / 2
	if k.rotated == 0 {
		pairs = size / 2
	}
	var positions []int64
	if len(in) > 3 && in[3] != nil {
		positions = in[3].Int64s()
		for i, p := range positions {
			if n := in[1].Shape()[0]; p < 0 || p >= int64(n) {
				return fmt.Errorf("%w: position_ids has the position %d at index %d, but cos_cache has %d positions", ops.ErrValue, p, i, n)
			}
		}
	}
	x, y, cosines, sines := in[0].Float32s(), out.Float32s(), in[1].Float32s(), in[2].Float32s()
	if len(x) == 0 {
		return nil
	}
	planes := len(in[0].Shape()) == 4 // the heads come before the positions
	first, second, step := 0, pairs, 1
	if k.interleaved {
		second, step = 1, 2
	}
	return ctx.For(len(x)/size, max(1, grain/size), func(lo, hi int) error {
		for row := lo; row < hi; row++ {
			at := row / heads // batch and position
			if planes {
				at = row/(heads*length)*length + row%length
			}
			if positions != nil {
				at = int(positions[at])
			}
			c, s := cosines[at*pairs:][:pairs], sines[at*pairs:][:pairs]
			from, to := x[row*size:][:size], y[row*size:][:size]
			copy(to[2*pairs:], from[2*pairs:])
			i, j := first, second
			for p := range pairs {
				a, b := from[i], from[j]
				to[i] = float32(c[p]*a) - float32(s[p]*b)
				to[j] = float32(s[p]*a) + float32(c[p]*b)
				i += step
				j += step
			}
		}
		return nil
	})
}
