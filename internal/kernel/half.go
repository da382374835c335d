package kernel

// FromHalf converts as many float16, given by their bits, as fill whole vectors of the tier, and
// returns how many these are.
func FromHalf(out []float32, x []uint16) int { return fromHalfVectors(out, x[:len(out)]) }

// ToHalf converts as many numbers to the bits of float16 as fill whole vectors of the tier, rounded
// half to even, and returns how many these are.
func ToHalf(out []uint16, x []float32) int { return toHalfVectors(out, x[:len(out)]) }
