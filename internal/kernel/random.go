package kernel

// gamma is the odd 64-bit integer nearest to 2^64 divided by the golden ratio.
// Its multiples are evenly distributed over the 64-bit integers.
const gamma = 0x9e3779b97f4a7c15

// mix is a bijection on the 64-bit integers whose results for neighboring values
// look unrelated: the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast
// splittable pseudorandom number generators", OOPSLA 2014; constants by
// D. Stafford, variant 13).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Key returns the key of the random numbers for one output position of one layer
// and image. A random number depends on its key and its index only. Therefore
// neither the number of workers nor the batch that contains the image changes it.
func Key(seed, layer, image, position uint64) uint64 {
	return PositionKey(ImageKey(seed, layer, image), position)
}

// ImageKey returns the part of the keys that all positions of one layer and image share, for
// PositionKey.
func ImageKey(seed, layer, image uint64) uint64 {
	k := mix(seed + gamma)
	k = mix(k + (layer+1)*gamma)
	return mix(k + (image+1)*gamma)
}

// PositionKey returns Key for the layer and image of an ImageKey.
func PositionKey(image, position uint64) uint64 { return mix(image + (position+1)*gamma) }

// counter returns the argument of mix for the word that contains random number i
// of a key.
func counter(key uint64, i int) uint64 { return key + uint64(i/2+1)*gamma }

// Random returns random number i of a key, uniformly distributed over the 32-bit
// integers. A 64-bit word gives two numbers: its low half is the first.
func Random(key uint64, i int) uint32 {
	w := mix(counter(key, i))
	if i&1 == 0 {
		return uint32(w)
	}
	return uint32(w >> 32)
}
