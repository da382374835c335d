package kernel

// gamma is the odd 64-bit integer nearest to 2^64 divided by the golden ratio:
// multiples of it are spread evenly over all 64-bit values.
const gamma = 0x9e3779b97f4a7c15

// mix is a bijection on 64 bits that makes neighbouring values look unrelated:
// the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014; constants by D. Stafford,
// variant 13).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Key returns the key of the random numbers of one output position of one
// image. Every random number is a function of its key and its index alone, so
// that neither the number of workers nor the batch an image comes in changes
// it.
func Key(seed, layer, image, position uint64) uint64 {
	k := mix(seed + gamma)
	k = mix(k + (layer+1)*gamma)
	k = mix(k + (image+1)*gamma)
	return mix(k + (position+1)*gamma)
}

// counter returns what is mixed into the word that random number i is half of.
func counter(key uint64, i int) uint64 { return key + uint64(i/2+1)*gamma }

// Random returns random number i of a key, uniform over the 32-bit integers.
// Two numbers come from each 64-bit word, the low half first.
func Random(key uint64, i int) uint32 {
	w := mix(counter(key, i))
	if i&1 == 0 {
		return uint32(w)
	}
	return uint32(w >> 32)
}
