package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBusiest_FindsTheUnitThatLimits reads reports with two units for vectors, one of them busy, and one for loads.
func TestBusiest_FindsTheUnitThatLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		v0, v1 float64 // cycles of an iteration
		loads  float64
		uops   int
		want   load
	}{
		{"one unit", 4, 1, 2, 10, load{"one unit for vectors", 1}},
		{"both units", 4, 3.8, 2, 10, load{"vectors", 0.975}},
		{"loads", 1, 1, 3, 10, load{"loads and stores", 0.75}},
		{"dispatch", 1, 1, 1, 160, load{"dispatch", 0.5}},
		{"nothing", 0.5, 0.5, 1, 16, load{"loads and stores", 0.25}},
	} {
		t.Run(c.name, func(t *testing.T) {
			type usage struct {
				InstructionIndex, ResourceIndex int
				ResourceUsage                   float64
			}
			text, err := json.Marshal(map[string]any{
				"TargetInfo": map[string]any{"Resources": []string{"N1UnitB", "N1UnitL", "N1UnitV0", "N1UnitV1"}},
				"CodeRegions": []any{map[string]any{
					"SummaryView": map[string]int{"Iterations": 10, "TotalCycles": 50, "TotaluOps": c.uops, "DispatchWidth": 8},
					"ResourcePressureView": map[string]any{"ResourcePressureInfo": []usage{
						{0, 1, 9}, {1, 2, 9}, // of single instructions, before the sums
						{2, 0, 4}, {2, 1, c.loads}, {2, 2, c.v0}, {2, 3, c.v1},
					}},
				}},
			})
			require.NoError(t, err)
			var r report
			require.NoError(t, json.Unmarshal(text, &r))
			got := r.busiest([]use{{0, 3, 4}})
			require.Equal(t, c.want.units, got.units)
			require.InDelta(t, c.want.busy, got.busy, 1e-9)
		})
	}
}

// TestBusiest_CountsHowOftenLoopsRun has a loop that is busy with vectors, and one with loads that runs three times.
func TestBusiest_CountsHowOftenLoopsRun(t *testing.T) {
	var r report
	require.NoError(t, json.Unmarshal([]byte(`{
		"TargetInfo": {"Resources": ["N1UnitL", "N1UnitV0"]},
		"CodeRegions": [
			{"SummaryView": {"Iterations": 1, "TotaluOps": 8, "DispatchWidth": 8},
				"ResourcePressureView": {"ResourcePressureInfo": [{"InstructionIndex": 1, "ResourceIndex": 1, "ResourceUsage": 10}]}},
			{"SummaryView": {"Iterations": 1, "TotaluOps": 8, "DispatchWidth": 8},
				"ResourcePressureView": {"ResourcePressureInfo": [{"InstructionIndex": 1, "ResourceIndex": 0, "ResourceUsage": 8}]}}
		]}`), &r))
	once, often := use{0, 1, 10}, use{1, 3, 10}
	require.Equal(t, "vectors", r.busiest([]use{once}).units)
	got := r.busiest([]use{once, often})
	require.Equal(t, "loads and stores", got.units)
	require.InDelta(t, 24./40, got.busy, 1e-9)
}
