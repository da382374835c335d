package ml

import (
	"math/rand/v2"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// names are the attributes of all operators.
var names = strings.Fields(`aggregate_function base_values base_values_as_tensor cast_to cats_int64s cats_strings class_ids class_nodeids
	class_treeids class_weights classes_strings classlabels_int64s classlabels_ints classlabels_strings coefficients default_int64 default_string
	default_tensor imputed_value_floats imputed_value_int64s inputdimensions int64_vocabulary intercepts kernel_params kernel_type keys_floats
	keys_int64s keys_strings keys_tensor leaf_targetids leaf_weights map_form max_map membership_values n_supports n_targets nodes_falseleafs
	nodes_falsenodeids nodes_featureids nodes_hitrates nodes_missing_value_tracks_true nodes_modes nodes_nodeids nodes_splits nodes_treeids
	nodes_trueleafs nodes_truenodeids nodes_values norm offset one_class post_transform prob_a prob_b rho scale string_vocabulary
	support_vectors target_ids target_nodeids target_treeids target_weights targets threshold tree_roots values_floats values_int64s
	values_strings values_tensor vectors_per_class zeros`)

// isUnknown reports whether an error says that an operator has no such attribute.
func isUnknown(err error, name string) bool {
	return strings.Contains(err.Error(), "unknown "+name+" ")
}

// randomAttribute returns a value of an attribute, often of a type that it has.
func randomAttribute(r *rand.Rand, name string) any {
	n := r.IntN(4)
	integers, floats, words := make([]int64, n), make([]float32, n), make([]string, n)
	for i := range n {
		integers[i] = []int64{0, 0, 1, 2, -1, 1 << 40}[r.IntN(6)]
		floats[i] = []float32{0, 1, -1, nan}[r.IntN(4)]
		words[i] = []string{"BRANCH_LEQ", "LEAF", "BRANCH_GT", "a"}[r.IntN(4)]
	}
	modes := make([]uint8, n)
	for i := range modes {
		modes[i] = uint8(r.IntN(8))
	}
	switch {
	case name == "nodes_modes" && r.IntN(2) == 0:
		return opstest.Tensor([]int{n}, modes...)
	case strings.Contains(name, "strings") || strings.HasPrefix(name, "string") || name == "nodes_modes":
		return words
	case strings.HasSuffix(name, "_tensor") || strings.HasPrefix(name, "leaf_w") || strings.HasPrefix(name, "member") || strings.HasSuffix(name, "splits") || strings.HasSuffix(name, "hitrates"):
		return opstest.F32([]int{n}, floats...)
	case strings.HasSuffix(name, "ids") || strings.HasSuffix(name, "ints") || strings.Contains(name, "int64") && !strings.HasPrefix(name, "default") ||
		strings.HasSuffix(name, "leafs") || strings.HasSuffix(name, "roots") || strings.HasSuffix(name, "true") || name == "vectors_per_class" || name == "inputdimensions":
		return integers
	case strings.HasSuffix(name, "floats") || strings.HasSuffix(name, "weights") || strings.HasSuffix(name, "values") || name == "coefficients" || name == "intercepts" ||
		name == "rho" || name == "prob_a" || name == "prob_b" || name == "offset" || name == "scale" || name == "support_vectors" || name == "kernel_params":
		return floats
	case name == "threshold":
		return float32(1)
	case name == "kernel_type" || name == "norm" || name == "map_form" || name == "cast_to" || name == "default_string":
		return []string{"LINEAR", "RBF", "L2", "SPARSE", "TO_STRING"}[r.IntN(5)]
	case (name == "post_transform" || name == "aggregate_function") && r.IntN(2) == 0:
		return []string{"NONE", "SOFTMAX", "SUM"}[r.IntN(3)]
	}
	return []any{int64(0), int64(1), int64(3), ops.Attributes{}}[r.IntN(4)]
}
