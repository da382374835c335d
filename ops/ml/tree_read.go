package ml

import (
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// modes are the values of nodes_modes of TreeEnsembleClassifier and TreeEnsembleRegressor.
var modes = map[string]mode{"BRANCH_LEQ": leq, "BRANCH_LT": lt, "BRANCH_GTE": gte, "BRANCH_GT": gt, "BRANCH_EQ": eq, "BRANCH_NEQ": neq}

// nodeID identifies a node in a list of the nodes of all trees.
type nodeID struct{ tree, node int64 }

// readForest reads the attributes of TreeEnsembleClassifier or TreeEnsembleRegressor. Those of
// the votes begin with a prefix: class or target.
func readForest(n ops.Node, a *attributes, prefix string) *forest {
	if n.Opset >= 5 {
		a.failf("version %d of the operators of %s has no such operator: TreeEnsemble replaces it", n.Opset, Domain)
	}
	votes := readVotes(n, a, prefix)
	var (
		treeIDs  = attr(a, "nodes_treeids", []int64(nil))
		nodeIDs  = attr(a, "nodes_nodeids", []int64(nil))
		names    = attr(a, "nodes_modes", []string(nil))
		features = attr(a, "nodes_featureids", []int64(nil))
		yes      = attr(a, "nodes_truenodeids", []int64(nil))
		no       = attr(a, "nodes_falsenodeids", []int64(nil))
		missing  = attr(a, "nodes_missing_value_tracks_true", []int64(nil))
	)
	thresholds, double := listOf(n, a, "nodes_values")
	listOf(n, a, "nodes_hitrates") // how often each node was visited in training
	count := len(treeIDs)
	a.length("nodes_nodeids", len(nodeIDs), count)
	a.length("nodes_modes", len(names), count)
	a.length("nodes_featureids", len(features), count)
	a.length("nodes_truenodeids", len(yes), count)
	a.length("nodes_falsenodeids", len(no), count)
	a.length("nodes_values", len(thresholds), count)
	a.lengthOrNone("nodes_missing_value_tracks_true", len(missing), count)
	if a.err != nil {
		return &forest{}
	}
	f := &forest{double: double || votes.double}
	places := make(map[nodeID]int, count) // of a node: a split, or ^leaf
	for i := range count {
		id := nodeID{treeIDs[i], nodeIDs[i]}
		if _, twice := places[id]; twice {
			a.failf("tree %d has two nodes %d", id.tree, id.node)
			return f
		}
		if names[i] == "LEAF" {
			places[id] = ^len(f.leaves)
			f.leaves = append(f.leaves, nil)
			continue
		}
		m, ok := modes[names[i]]
		if !ok {
			a.failf("nodes_modes has the unknown mode %q", names[i])
			return f
		}
		places[id] = len(f.splits)
		f.splits = append(f.splits, split{mode: m, threshold: thresholds[i], feature: features[i], missing: len(missing) > 0 && missing[i] != 0})
	}
	seen := map[int64]bool{}
	number := 0 // of splits
	for i := range count {
		id := nodeID{treeIDs[i], nodeIDs[i]}
		if !seen[id.tree] { // the first node of a tree is its root
			seen[id.tree] = true
			f.roots = append(f.roots, places[id])
		}
		if names[i] == "LEAF" {
			continue
		}
		for b, child := range []int64{no[i], yes[i]} {
			at, ok := places[nodeID{id.tree, child}]
			if !ok {
				a.failf("node %d of tree %d has the child %d, which does not exist", id.node, id.tree, child)
				return f
			}
			f.splits[number].next[b] = at
		}
		number++
	}
	f.addVotes(a, votes, places)
	return f
}

// voteList holds the votes of the leaves as the file describes them.
type voteList struct {
	treeIDs, nodeIDs, targets []int64
	weights                   []float64
	double                    bool // the weights are float64
}

// readVotes reads the attributes of the votes of the leaves, which begin with a prefix.
func readVotes(n ops.Node, a *attributes, prefix string) voteList {
	v := voteList{
		treeIDs: attr(a, prefix+"_treeids", []int64(nil)), nodeIDs: attr(a, prefix+"_nodeids", []int64(nil)), targets: attr(a, prefix+"_ids", []int64(nil)),
	}
	v.weights, v.double = listOf(n, a, prefix+"_weights")
	a.length(prefix+"_nodeids", len(v.nodeIDs), len(v.treeIDs))
	a.length(prefix+"_ids", len(v.targets), len(v.treeIDs))
	a.length(prefix+"_weights", len(v.weights), len(v.treeIDs))
	return v
}

// addVotes adds the votes of the leaves. places holds the place of each node.
func (f *forest) addVotes(a *attributes, list voteList, places map[nodeID]int) {
	for i, target := range list.targets {
		at, ok := places[nodeID{list.treeIDs[i], list.nodeIDs[i]}]
		if !ok {
			a.failf("node %d of tree %d has a weight, but does not exist", list.nodeIDs[i], list.treeIDs[i])
			return
		}
		if at >= 0 {
			continue // an inner node has no vote
		}
		if target < 0 || target > ops.MaxElements {
			a.failf("a leaf of a tree has the target or class %d", target)
			return
		}
		f.leaves[^at] = append(f.leaves[^at], vote{int(target), list.weights[i]})
	}
}

// newTreeEnsemble returns TreeEnsemble (version 5): for each row of X, float16, float32 or
// float64, what the leaves of all trees vote for each target: (rows, targets), in the type of X.
//
// Attributes: nodes_featureids, nodes_modes (see mode), nodes_splits, nodes_truenodeids,
// nodes_falsenodeids, nodes_trueleafs and nodes_falseleafs (whether the id is that of a leaf),
// and the optional nodes_missing_value_tracks_true and nodes_hitrates describe the inner nodes of
// all trees. leaf_targetids and leaf_weights describe the leaves. tree_roots lists inner nodes.
// membership_values lists, with NaN after each of them, the sets of the nodes with the mode
// BRANCH_MEMBER. n_targets, aggregate_function (0: average, 1: sum, the default, 2: least, 3:
// largest), post_transform (the place of the name among those of the other operators).
func newTreeEnsemble(_ ops.Node, a *attributes) operation {
	k := &treeEnsemble{forest: &forest{}, targets: int(min(max(attr(a, "n_targets", int64(1)), 0), ops.MaxElements))}
	how, post := attr(a, "aggregate_function", int64(total)), attr(a, "post_transform", int64(0))
	k.forest.readSplits(a)
	if how < 0 || how > int64(most) || post < 0 || post >= int64(len(transforms)) {
		a.failf("aggregate_function is %d and post_transform %d", how, post)
	}
	if a.err == nil {
		k.how, k.post = aggregation(how), transforms[post]
		k.forest.check(a, k.targets)
	}
	return k
}

// readSplits reads the attributes of TreeEnsemble.
func (f *forest) readSplits(a *attributes) {
	var (
		features  = attr(a, "nodes_featureids", []int64(nil))
		yes       = attr(a, "nodes_truenodeids", []int64(nil))
		no        = attr(a, "nodes_falsenodeids", []int64(nil))
		yesLeaves = attr(a, "nodes_trueleafs", []int64(nil))
		noLeaves  = attr(a, "nodes_falseleafs", []int64(nil))
		missing   = attr(a, "nodes_missing_value_tracks_true", []int64(nil))
		targets   = attr(a, "leaf_targetids", []int64(nil))
		roots     = attr(a, "tree_roots", []int64(nil))
	)
	attr(a, "nodes_hitrates", (*ops.Tensor)(nil)) // how often each node was visited in training
	numbers := func(name string) []float64 {
		t := attr(a, name, (*ops.Tensor)(nil))
		if t == nil {
			return nil
		}
		f.double = f.double || t.DType() == ops.Float64
		return floatsOf(a, name, t)
	}
	thresholds, weights, members := numbers("nodes_splits"), numbers("leaf_weights"), numbers("membership_values")
	kinds, _ := ops.Data[uint8](attr(a, "nodes_modes", (*ops.Tensor)(nil)))
	a.length("nodes_truenodeids", len(yes), len(features))
	a.length("nodes_falsenodeids", len(no), len(features))
	a.length("nodes_trueleafs", len(yesLeaves), len(features))
	a.length("nodes_falseleafs", len(noLeaves), len(features))
	a.length("nodes_splits", len(thresholds), len(features))
	a.length("nodes_modes", len(kinds), len(features))
	a.lengthOrNone("nodes_missing_value_tracks_true", len(missing), len(features))
	a.length("leaf_weights", len(weights), len(targets))
	if a.err != nil {
		return
	}
	for i, w := range weights {
		if targets[i] < 0 || targets[i] > ops.MaxElements {
			a.failf("leaf_targetids has the entry %d", targets[i])
			return
		}
		f.leaves = append(f.leaves, []vote{{int(targets[i]), w}})
	}
	place := func(id, leaf int64) int {
		switch {
		case leaf != 0 && id >= 0 && id < int64(len(weights)):
			return ^int(id)
		case leaf == 0 && id >= 0 && id < int64(len(features)):
			return int(id)
		}
		a.failf("a node of a tree has the child %d, which does not exist", id)
		return 0
	}
	for i := range features {
		s := split{
			mode: mode(kinds[i]), threshold: thresholds[i], feature: features[i], missing: len(missing) > 0 && missing[i] != 0,
			next: [2]int{place(no[i], noLeaves[i]), place(yes[i], yesLeaves[i])},
		}
		switch {
		case s.mode > member:
			a.failf("nodes_modes has the unknown mode %d", kinds[i])
		case s.mode == member:
			for len(members) > 0 && !math.IsNaN(members[0]) {
				s.members, members = append(s.members, members[0]), members[1:]
			}
			if len(members) == 0 {
				a.failf("membership_values has too few sets, with NaN after each of them")
			} else {
				members = members[1:]
			}
		}
		if a.err != nil {
			return
		}
		f.splits = append(f.splits, s)
	}
	for _, r := range roots {
		f.roots = append(f.roots, place(r, 0))
	}
}
