package sweep

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRow_SurvivesJSON(t *testing.T) {
	for text, s := range map[string]spikes{`25`: "25", `"25,100"`: "25,100", `"stages"`: stages, `""`: ""} {
		r := newRow(id{Model: "a", SHA256: "ff", Noise: "gaussian", Level: 0.1, Spikes: s, Sampler: "iid", Seed: 1<<64 - 1}, 3, 2, 1000.0/3)
		line, err := r.jsonLine()
		require.NoError(t, err)
		require.Contains(t, string(line), `"spikes":`+text+`,`)
		require.Contains(t, string(line), `"accuracy":0.666667,`)
		require.Contains(t, string(line), `"updates_per_image":333.33}`)
		var back row
		require.NoError(t, json.Unmarshal(line, &back))
		require.Equal(t, r, back)
		require.NoError(t, back.check())
		back.Right = 3
		require.Error(t, back.check(), "the accuracy no longer fits")
		require.Len(t, r.fields(), len(columns))
	}
}

// everyModel is the manifest of a sweep with all kinds of models.
func everyModel() *manifest {
	return &manifest{
		Format: format, Version: "v1", Seeds: 2, FirstSeed: 5, Noise: []kindLevels{{"gaussian", []float64{0.1, 0.2}}, {"contrast", []float64{0.5}}},
		Models: []manifestModel{
			{Name: "sbs.onnx", SHA256: "aa", Images: 100, Data: "dd", Random: true, Variants: []variant{
				{"25", "iid", 1000}, {"25", "low-discrepancy", 1000}, {"100", "iid", 4000}, {"100", "low-discrepancy", 4000},
			}},
			{Name: "staged.onnx", SHA256: "bb", Images: 100, Data: "dd", Random: true, Variants: []variant{{stages, "", 500}}},
			{Name: "cnn.onnx", SHA256: "cc", Images: 100, Data: "dd", Variants: []variant{{}}},
		},
	}
}

func TestPlan_HasNoNoiseOnceAndOneSeedWithoutRandomNumbers(t *testing.T) {
	tasks := everyModel().plan()
	count := map[string]int{}
	seen := map[id]bool{}
	for _, task := range tasks {
		require.False(t, seen[task.id])
		seen[task.id] = true
		count[task.Model+" "+task.noise()]++
	}
	require.Equal(t, map[string]int{
		"sbs.onnx ": 8, "sbs.onnx gaussian=0.1": 8, "sbs.onnx gaussian=0.2": 8, "sbs.onnx contrast=0.5": 8,
		"staged.onnx ": 2, "staged.onnx gaussian=0.1": 2, "staged.onnx gaussian=0.2": 2, "staged.onnx contrast=0.5": 2,
		"cnn.onnx ": 1, "cnn.onnx gaussian=0.1": 2, "cnn.onnx gaussian=0.2": 2, "cnn.onnx contrast=0.5": 2,
	}, count)
	require.Equal(t, id{Model: "sbs.onnx", SHA256: "aa", Noise: noNoise, Spikes: "25", Sampler: "iid", Seed: 5}, tasks[0].id)
}

func TestAssign_DividesByCost(t *testing.T) {
	all := everyModel().plan()
	total := 0.0
	for _, task := range all {
		total += task.cost
	}
	for n := 1; n <= 7; n++ {
		found := map[id]int{}
		owners := assign(all, n)
		for i := range n {
			cost, last := 0.0, -1
			for _, task := range owned(all, owners, i) {
				found[task.id]++
				cost += task.cost
				for k, a := range all { // in order
					if a.id == task.id {
						require.Greater(t, k, last)
						last = k
					}
				}
			}
			require.InDelta(t, total/float64(n), cost, 100*(overhead+4000))
		}
		require.Len(t, found, len(all))
		for _, count := range found {
			require.Equal(t, 1, count)
		}
	}
}

// TestAssign_TakesThePartWithTheLeastCost compares with a search through all parts.
func TestAssign_TakesThePartWithTheLeastCost(t *testing.T) {
	tasks := make([]task, 100)
	for i := range tasks {
		tasks[i].cost = float64(100 - i/3) // many are equal
	}
	for _, n := range []int{1, 3, 8, 100, 150} {
		costs := make([]float64, n)
		for i, part := range assign(tasks, n) {
			require.Equal(t, slices.Index(costs, slices.Min(costs)), part)
			costs[part] += tasks[i].cost
		}
	}
}

func TestCheckSeeds_AcceptsTheLargestSeed(t *testing.T) {
	require.NoError(t, checkSeeds(math.MaxUint64, 1))
	require.NoError(t, checkSeeds(math.MaxUint64-1, 2))
	require.EqualError(t, checkSeeds(math.MaxUint64, 2), "the 2 seeds from 18446744073709551615 on are too large: the largest seed is 18446744073709551615")
	require.EqualError(t, checkSeeds(0, 0), "there are 0 seeds, want 1 to 1048576")
}
