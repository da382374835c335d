//go:build (!amd64 && !arm64) || purego

package kernel

// Tiers returns the tiers that the machine and the build have, in ascending order of
// speed.
func Tiers() []Tier { return []Tier{Portable} }

func updaterFor(Tier, int, int) updater { return portable() }

func tilingOf(Tier) *tiling { return &portableTiling }

func reluVectors([]float32, []float32) int { return 0 }

func ratiosVectors(_, _, _, _ []float32) int { return 0 }

func quotientsVectors(_, _, _ []float32, _ float32) int { return 0 }

func growVectors(_, _, _ []float32, _, _ float32) int { return 0 }

func productsVectors(_, _, _ []float32) int { return 0 }

func factorsVectors(_, _, _ []float32) int { return 0 }

func poolVectors(bool, []float32, []float32, int, int, int) bool { return false }

func dotsTiers() []*dots { return []*dots{&portableDots} }

func dotsOf(Tier) *dots { return &portableDots }

func sumVectors([]uint8, uint8) (n, sum int) { return 0, 0 }

func flipVectors(_, _ []uint8) int { return 0 }

func requantizeVectors([]uint8, []int32, []float32, float32, float32, int32) int { return 0 }

func quantizeVectors([]uint8, []float32, float32, float32, float32, int32) int { return 0 }

func dequantizeVectors([]float32, []uint8, float32, int32, uint8) int { return 0 }

func boundsVectors(_ []float32, low, high float32) (n int, least, largest float32) {
	return 0, low, high
}

func truncateVectors([]int32, []float32) int { return 0 }

func singlesVectors([]float32, []int32) int { return 0 }

func longsVectors([]int64, []int32) int { return 0 }

func narrowVectors([]uint8, []int32) int { return 0 }

func truncateBytesVectors([]uint8, []float32, float32, float32) int { return 0 }

func splitVectors(_, _, _ []uint8) int { return 0 }

func windowsOf(Tier) *windowTiling { return &portableWindows }

func weightVectors(_, _ []float32, _ []int, _ []float32, _ float32) int { return 0 }

func meanVectors(_, _ []float32, _ []int, _ []float64) int { return 0 }

func maxVectors(_, _ []float32, _ []int, _ float32) int { return 0 }

func dealVectors(_, _, _ []float32) int { return 0 }

func standardizeVectors([]float32, float64, float64, float64) int { return 0 }

func mapVectors(_ Function, _, _, _ []float32) bool { return false }

func softmaxVectors(_, _ []float32, _ int, _ bool) bool { return false }

func expSumVectors(_, _ []float32, _ float32) (sum float32, ok bool) { return 0, false }

func expTotalVectors([]float32, float32) (sum float32, ok bool) { return 0, false }

func expColumnsVectors(_, _, _, _ []float32) bool { return false }

func normalizeRowVectors(_, _, _, _, _ []float32) bool { return false }

func combineVectors(_ Pair, _, _, _ []float32, _, _ int) int { return 0 }

func addRowsVectors(_ []float32, _ int, _ []float32, _, _, _ int) bool { return false }

func compareVectors(_ Comparison, _ []bool, _, _ []float32, _, _ int) int { return 0 }

func selectVectors(_ []float32, _ []bool, _, _ []float32, _, _ int) int { return 0 }

func totalVectors(Summand, []float32, float64) (sum float64, ok bool) { return 0, false }

func productVectors(*[32]float64, []float32) int { return 0 }

func accumulateVectors(Summand, []float64, []float32) int { return 0 }

func accumulateRowsVectors(Summand, []float64, []float32, int, int) int { return 0 }

func extremeVectors(bool, []float32, float32) (best float32, ok bool) { return 0, false }

func fromHalfVectors([]float32, []uint16) int { return 0 }

func toHalfVectors([]uint16, []float32) int { return 0 }

func transposeVectors(_ []float32, _ int, _ []float32, _, _, _ int) bool { return false }

func powVectors(_, _, _ []float32, _, _ int) int { return 0 }
