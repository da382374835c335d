//go:build !purego

package kernel

// The functions of this file have no assembly: the portable code takes all of their work.

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

func splitVectors(_, _, _ []uint8) int { return 0 }

func powVectors(_, _, _ []float32, _, _ int) int { return 0 }
