package ml

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// stump returns the attributes of one tree with one split: feature 0 is compared with 1.
func stump(mode string, more ops.Attributes) ops.Attributes {
	a := attrs{
		"nodes_treeids": []int64{0, 0, 0}, "nodes_nodeids": []int64{0, 1, 2}, "nodes_modes": []string{mode, "LEAF", "LEAF"},
		"nodes_featureids": []int64{0, 0, 0}, "nodes_values": []float32{1, 0, 0}, "nodes_truenodeids": []int64{1, 0, 0}, "nodes_falsenodeids": []int64{2, 0, 0},
		"target_treeids": []int64{0, 0}, "target_nodeids": []int64{1, 2}, "target_ids": []int64{0, 0}, "target_weights": []float32{1, 0},
	}
	for k, v := range more {
		a[k] = v
	}
	return a
}

func TestTreeEnsembleRegressor_Compares(t *testing.T) {
	below, above := math.Nextafter32(1, 0), math.Nextafter32(1, 2)
	inf := float32(math.Inf(1))
	x := opstest.F32([]int{6, 1}, below, 1, above, nan, inf, -inf)
	threshold := func(v float32) ops.Attributes { return attrs{"nodes_values": []float32{v, 0, 0}} }
	var cases []opstest.Case
	for _, c := range []struct {
		name, mode string
		more       ops.Attributes
		want       []float32
	}{
		{"LEQ", "BRANCH_LEQ", nil, []float32{1, 1, 0, 0, 0, 1}},
		{"LT", "BRANCH_LT", nil, []float32{1, 0, 0, 0, 0, 1}},
		{"GTE", "BRANCH_GTE", nil, []float32{0, 1, 1, 0, 1, 0}},
		{"GT", "BRANCH_GT", nil, []float32{0, 0, 1, 0, 1, 0}},
		{"EQ", "BRANCH_EQ", nil, []float32{0, 1, 0, 0, 0, 0}},
		{"NEQ", "BRANCH_NEQ", nil, []float32{1, 0, 1, 1, 1, 1}},
		{"missing values", "BRANCH_GTE", attrs{"nodes_missing_value_tracks_true": []int64{1, 0, 0}}, []float32{0, 1, 1, 1, 1, 0}},
		{"LT -Inf", "BRANCH_LT", threshold(-inf), []float32{0, 0, 0, 0, 0, 0}},
		{"GTE -Inf", "BRANCH_GTE", threshold(-inf), []float32{1, 1, 1, 0, 1, 1}},
		{"LEQ NaN", "BRANCH_LEQ", threshold(nan), []float32{0, 0, 0, 0, 0, 0}},
		{"GT NaN", "BRANCH_GT", threshold(nan), []float32{0, 0, 0, 0, 0, 0}},
		{"GTE NaN", "BRANCH_GTE", threshold(nan), []float32{0, 0, 0, 0, 0, 0}},
	} {
		cases = append(cases, opstest.Case{Name: c.name, Attributes: stump(c.mode, c.more), Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{6, 1}, c.want...)}})
	}
	opstest.Run(t, find(t, "TreeEnsembleRegressor"), cases)
}

func TestTreeEnsembleRegressor_Aggregates(t *testing.T) {
	// The second tree is a leaf.
	two := func(how string, base ...float32) ops.Attributes {
		a := attrs{
			"nodes_treeids": []int64{0, 0, 0, 7}, "nodes_nodeids": []int64{0, 1, 2, 0}, "nodes_modes": []string{"BRANCH_LEQ", "LEAF", "LEAF", "LEAF"},
			"nodes_featureids": []int64{1, 0, 0, 0}, "nodes_values": []float32{1, 0, 0, 0}, "nodes_truenodeids": []int64{1, 0, 0, 0}, "nodes_falsenodeids": []int64{2, 0, 0, 0},
			"target_treeids": []int64{0, 0, 7}, "target_nodeids": []int64{1, 2, 0}, "target_ids": []int64{0, 1, 1}, "target_weights": []float32{3, 5, -1},
			"n_targets": int64(2), "aggregate_function": how,
		}
		if base != nil {
			a["base_values"] = base
		}
		return a
	}
	x := opstest.F64([]int{2, 2}, 9, 1, 0, 2)
	out := func(v ...float32) tensors { return tensors{opstest.F32([]int{2, 2}, v...)} }
	opstest.Run(t, find(t, "TreeEnsembleRegressor"), []opstest.Case{
		{Name: "sum", Attributes: two("SUM"), Inputs: tensors{x}, Batch: []int{0}, Outputs: out(3, -1, 0, 4)},
		{Name: "average", Attributes: two("AVERAGE", 10, 20), Inputs: tensors{x}, Outputs: out(11.5, 19.5, 10, 22)},
		{Name: "least", Attributes: two("MIN"), Inputs: tensors{x}, Outputs: out(3, -1, 0, -1)},
		{Name: "most", Attributes: two("MAX"), Inputs: tensors{x}, Outputs: out(3, -1, 0, 5)},
		{Name: "too few features", Attributes: two("SUM"), Inputs: tensors{opstest.F32([]int{2, 1}, 1, 2)}, WantErr: "the trees compare 2 features"},
		{
			Name: "double thresholds", Opset: 3, Inputs: tensors{opstest.F64([]int{2, 1}, 1, 1+1e-12)}, Outputs: tensors{opstest.F32([]int{2, 1}, 1, 0)},
			Attributes: func() ops.Attributes {
				a := stump("BRANCH_LEQ", attrs{"nodes_values_as_tensor": opstest.F64([]int{3}, 1+1e-13, 0, 0)})
				delete(a, "nodes_values")
				return a
			}(),
		},
	})
}

func TestTreeEnsemble_RejectsBrokenTrees(t *testing.T) {
	x := opstest.F32([]int{1, 1}, 1)
	opstest.Run(t, find(t, "TreeEnsembleRegressor"), []opstest.Case{
		{Name: "cycle", Attributes: stump("BRANCH_LEQ", attrs{"nodes_truenodeids": []int64{0, 0, 0}}), Inputs: tensors{x}, WantErr: "a node of a tree is below itself"},
		{Name: "no child", Attributes: stump("BRANCH_LEQ", attrs{"nodes_truenodeids": []int64{5, 0, 0}}), Inputs: tensors{x}, WantErr: "node 0 of tree 0 has the child 5, which does not exist"},
		{Name: "mode", Attributes: stump("BRANCH_MEMBER", nil), Inputs: tensors{x}, WantErr: `unknown mode "BRANCH_MEMBER"`},
		{Name: "length", Attributes: stump("BRANCH_LEQ", attrs{"nodes_values": []float32{1}}), Inputs: tensors{x}, WantErr: "nodes_values has 1 entries, want 3"},
		{Name: "target", Attributes: stump("BRANCH_LEQ", attrs{"target_ids": []int64{0, 1}}), Inputs: tensors{x}, WantErr: "a leaf of a tree has the target or class 1, but there are 1"},
		{Name: "feature", Attributes: stump("BRANCH_LEQ", attrs{"nodes_featureids": []int64{-1, 0, 0}}), Inputs: tensors{x}, WantErr: "compares feature -1"},
		{Name: "twice", Attributes: stump("BRANCH_LEQ", attrs{"nodes_nodeids": []int64{0, 1, 1}}), Inputs: tensors{x}, WantErr: "tree 0 has two nodes 1"},
		{Name: "no trees", Attributes: attrs{}, Inputs: tensors{x}, WantErr: "there are no trees"},
	})
}

func TestTreeEnsembleClassifier_ChoosesClasses(t *testing.T) {
	classes := func(ids []int64, weights []float32, more ops.Attributes) ops.Attributes {
		a := stump("BRANCH_LEQ", nil)
		for _, name := range []string{"target_treeids", "target_nodeids", "target_ids", "target_weights"} {
			delete(a, name)
		}
		a["class_treeids"], a["class_nodeids"] = make([]int64, len(ids)), []int64{1, 1, 2, 2}[:len(ids)]
		if len(ids) == 2 {
			a["class_nodeids"] = []int64{1, 2}
		}
		a["class_ids"], a["class_weights"] = ids, weights
		for k, v := range more {
			a[k] = v
		}
		return a
	}
	x := opstest.F32([]int{2, 1}, 0, 2)
	texts, numbers := attrs{"classlabels_strings": []string{"a", "b"}}, attrs{"classlabels_int64s": []int64{10, 11}}
	s := func(x float64) float32 { return float32(1 / (1 + math.Exp(-x))) }
	out := func(labels *ops.Tensor, v ...float32) tensors { return tensors{labels, opstest.F32([]int{2, 2}, v...)} }
	opstest.Run(t, find(t, "TreeEnsembleClassifier"), []opstest.Case{
		{Name: "votes for both", Attributes: classes([]int64{0, 1, 0, 1}, []float32{0.7, 0.3, 0.5, 0.5}, texts), Inputs: tensors{x}, Batch: []int{0}, Outputs: out(words([]int{2}, "a", "a"), 0.7, 0.3, 0.5, 0.5)},
		{Name: "votes for one", Attributes: classes([]int64{0, 0}, []float32{0.75, 0.25}, texts), Inputs: tensors{x}, Outputs: out(words([]int{2}, "b", "a"), 0.25, 0.75, 0.75, 0.25)},
		{Name: "negative votes", Attributes: classes([]int64{0, 0}, []float32{2, -3}, numbers), Inputs: tensors{x}, Outputs: out(opstest.Ints(11, 10), -2, 2, 3, -3)},
		{
			Name: "logistic", Attributes: classes([]int64{0, 0}, []float32{2, -3}, attrs{"classlabels_int64s": []int64{10, 11}, "post_transform": "LOGISTIC", "base_values": []float32{1}}), Inputs: tensors{x}, Tolerance: 1e-6,
			Outputs: out(opstest.Ints(11, 10), s(-3), s(3), s(2), s(-2)),
		},
		{Name: "no labels", Attributes: classes([]int64{0, 0}, []float32{2, -3}, nil), Inputs: tensors{x}, WantErr: "want either classlabels_int64s or classlabels_strings"},
	})
}

func TestTreeEnsemble_TestsMembership(t *testing.T) {
	x := opstest.F32([]int{5, 1}, 1, 3, nan, 7, 12)
	a := attrs{
		"n_targets": int64(1), "tree_roots": []int64{0}, "nodes_modes": opstest.Tensor([]int{2}, uint8(6), uint8(0)), "nodes_featureids": []int64{0, 0},
		"nodes_splits": opstest.F32([]int{2}, nan, 5), "membership_values": opstest.F32([]int{3}, 12, 1, nan),
		"nodes_trueleafs": []int64{1, 1}, "nodes_truenodeids": []int64{0, 1}, "nodes_falseleafs": []int64{0, 1}, "nodes_falsenodeids": []int64{1, 2},
		"leaf_targetids": []int64{0, 0, 0}, "leaf_weights": opstest.F32([]int{3}, 1, 2, 3),
	}
	opstest.Run(t, find(t, "TreeEnsemble"), []opstest.Case{
		{Name: "float32", Opset: 5, Attributes: a, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{5, 1}, 1, 2, 3, 3, 1)}},
		{Name: "float16", Opset: 5, Attributes: a, Inputs: tensors{opstest.Tensor([]int{1, 1}, ops.ToF16(12))}, Outputs: tensors{opstest.Tensor([]int{1, 1}, ops.ToF16(1))}},
		{Name: "integers", Opset: 5, Attributes: a, Inputs: tensors{opstest.I64([]int{1, 1}, 1)}, WantErr: "X is int64(1, 1), want float16"},
	})
}

// TestTreeEnsembleRegressor_AgreesWithDirectWalk compares large random forests with trees that
// are walked through one by one.
func TestTreeEnsembleRegressor_AgreesWithDirectWalk(t *testing.T) {
	const features, count, depth, rows = 7, 20, 6, 301
	r := rand.New(rand.NewPCG(1, 2))
	a, x := randomForest(r, features, count, depth), opstest.Random(5, rows, features)
	treeIDs, modes := a["nodes_treeids"].([]int64), a["nodes_modes"].([]string)
	want := make([]float32, rows)
	for i := range rows {
		weight := 0
		for n := range treeIDs {
			if n > 0 && treeIDs[n] == treeIDs[n-1] {
				continue
			}
			at := int64(0)
			for modes[n+int(at)] != "LEAF" {
				f, v := a["nodes_featureids"].([]int64)[n+int(at)], a["nodes_values"].([]float32)[n+int(at)]
				next := a["nodes_falsenodeids"]
				if x.Float32s()[i*features+int(f)] <= v {
					next = a["nodes_truenodeids"]
				}
				at = next.([]int64)[n+int(at)]
			}
			for k := range a["target_treeids"].([]int64) {
				if a["target_treeids"].([]int64)[k] == treeIDs[n] && a["target_nodeids"].([]int64)[k] == at {
					want[i] += a["target_weights"].([]float32)[k]
					weight++
				}
			}
		}
		require.Equal(t, count, weight)
	}
	opstest.Run(t, find(t, "TreeEnsembleRegressor"), []opstest.Case{{Name: "forest", Attributes: a, Inputs: tensors{x}, Outputs: tensors{opstest.F32([]int{rows, 1}, want...)}}})
}

// randomForest returns the attributes of complete trees.
func randomForest(r *rand.Rand, features, count, depth int) ops.Attributes {
	var treeIDs, nodeIDs, featureIDs, yes, no, targetTrees, targetNodes []int64
	var modes []string
	var values, weights []float32
	for tree := range int64(count) {
		for n := range int64(1)<<(depth+1) - 1 {
			treeIDs, nodeIDs, featureIDs = append(treeIDs, tree), append(nodeIDs, n), append(featureIDs, int64(r.IntN(features)))
			values = append(values, 2*float32(r.Float32())-1)
			if 2*n+2 < 1<<(depth+1)-1 {
				modes, yes, no = append(modes, "BRANCH_LEQ"), append(yes, 2*n+1), append(no, 2*n+2)
				continue
			}
			modes, yes, no = append(modes, "LEAF"), append(yes, 0), append(no, 0)
			targetTrees, targetNodes, weights = append(targetTrees, tree), append(targetNodes, n), append(weights, r.Float32())
		}
	}
	return attrs{
		"nodes_treeids": treeIDs, "nodes_nodeids": nodeIDs, "nodes_featureids": featureIDs, "nodes_modes": modes, "nodes_values": values,
		"nodes_truenodeids": yes, "nodes_falsenodeids": no,
		"target_treeids": targetTrees, "target_nodeids": targetNodes, "target_ids": make([]int64, len(weights)), "target_weights": weights,
	}
}

func BenchmarkTreeEnsembleRegressor(b *testing.B) {
	a := randomForest(rand.New(rand.NewPCG(1, 2)), 30, 100, 8)
	op, err := find(b, "TreeEnsembleRegressor").New(ops.Node{Opset: 3, NumInputs: 1, Attributes: a})
	require.NoError(b, err)
	x, out := opstest.Random(5, 10000, 30), opstest.Random(5, 10000, 1)
	ctx := ops.NewContext(b.Context(), 1)
	defer ctx.Close()
	for b.Loop() {
		require.NoError(b, op.Run(ctx, tensors{x}, tensors{out}))
	}
}
