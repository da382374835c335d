package std

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// newTestLink returns a link whose inputs have the given shapes; -1 is a size that is not known.
func newTestLink(t *testing.T, name string, inputs []int, shapes ...[]int) Link {
	t.Helper()
	op, err := find(t, name).New(ops.Node{Opset: 14, NumInputs: len(inputs), NumOutputs: 1})
	require.NoError(t, err)
	l := Link{Op: op, Inputs: inputs}
	for _, shape := range shapes {
		dims := make([]ops.Dim, len(shape))
		for i, n := range shape {
			dims[i] = ops.Dim{Size: n}
		}
		l.Types = append(l.Types, &ops.Input{Type: ops.Type{DType: ops.Float32, Shape: dims}})
	}
	return l
}

// requireFused compares a chain that Fuse combines with one node after the other.
func requireFused(t *testing.T, links []Link, in ...*ops.Tensor) {
	t.Helper()
	var before *ops.Tensor
	for i := range links {
		out, err := ops.Run(links[i].Op, ops.NewContext(t.Context(), 1), links[i].inputsOf(in, before))
		require.NoError(t, err)
		before = out[0]
	}
	fused := Fuse(links)
	require.NotNil(t, fused)
	out, err := ops.Zeros(ops.Float32, before.Shape())
	require.NoError(t, err)
	require.NoError(t, fused.Run(ops.NewContext(t.Context(), 1), in, out))
	require.Equal(t, before.Float32s(), out.Float32s())
}

func randomTensor(r *rand.Rand, scale float32, shape ...int) *ops.Tensor {
	v := make([]float32, numElements(shape))
	for i := range v {
		v[i] = scale * (2*r.Float32() - 1)
	}
	return tensor(shape, v)
}

// TestFuse_ComputesLargeAnglesInPlace has angles for which the kernel is not precise: a link replaces
// them by its results.
func TestFuse_ComputesLargeAnglesInPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for _, name := range []string{"Sin", "Cos"} {
		for _, scale := range []float32{100, 1e5, 1e9} {
			requireFused(t, []Link{
				newTestLink(t, "Mul", []int{0, 1}, []int{1500}, []int{1}),
				newTestLink(t, name, []int{Before}, []int{1500}),
			}, randomTensor(r, scale, 1500), randomTensor(r, 3, 1))
		}
	}
}

// TestFuse_FindsBroadcastsThatTheTypesDoNotTell has shapes whose unknown sizes turn out to differ.
func TestFuse_FindsBroadcastsThatTheTypesDoNotTell(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 6))
	for _, shapes := range [][2][]int{
		{{1, 8, 6, 6}, {3, 8, 4, 4}},
		{{1, 8, 3, 3}, {1, 8, 4, 4}},
		{{2, 8, 6, 6}, {2, 8, 4, 4}},
		{{3, 8, 6, 6}, {1, 8, 1, 1}},
	} {
		unknown := []int{-1, 8, -1, -1}
		requireFused(t, []Link{
			newTestLink(t, "Conv", []int{0, 1}, unknown, []int{8, 8, 3, 3}),
			newTestLink(t, "Relu", []int{Before}, unknown),
			newTestLink(t, "Add", []int{Before, 3}, unknown, unknown),
		}, randomTensor(r, 1, shapes[0]...), randomTensor(r, 1, 8, 8, 3, 3), nil, randomTensor(r, 1, shapes[1]...))
	}
	unknown := []int{2, -1, 5}
	one := []int{1}
	requireFused(t, []Link{
		newTestLink(t, "Abs", []int{0}, unknown),
		newTestLink(t, "BatchNormalization", []int{Before, 1, 2, 3, 4}, unknown, one, one, one, one),
		newTestLink(t, "Add", []int{Before, 5}, unknown, unknown),
	}, randomTensor(r, 1, 2, 1, 5), randomTensor(r, 1, 1), randomTensor(r, 1, 1), randomTensor(r, 1, 1), tensor(one, []float32{2}), randomTensor(r, 1, 2, 3, 5))
	requireFused(t, []Link{
		newTestLink(t, "Mul", []int{0, 1}, unknown, unknown),
		newTestLink(t, "BatchNormalization", []int{Before, 2, 3, 4, 5}, unknown, one, one, one, one),
		newTestLink(t, "Add", []int{Before, 6}, unknown, unknown),
	}, randomTensor(r, 1, 2, 1, 5), randomTensor(r, 1, 2, 1, 5), randomTensor(r, 1, 1), randomTensor(r, 1, 1), randomTensor(r, 1, 1), tensor(one, []float32{2}),
		randomTensor(r, 1, 2, 3, 5))
}

// TestFuseRows_OfANodeWithoutInputs has a group that begins with such a node, as RandomNormal is.
func TestFuseRows_OfANodeWithoutInputs(t *testing.T) {
	next := newTestLink(t, "Relu", []int{Before}, []int{3, 4})
	require.Nil(t, FuseRows([]Link{{Op: next.Op}, next, next}))
}
