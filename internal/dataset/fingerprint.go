package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// samples is the number of images whose pixels are part of a fingerprint.
const samples = 16

// Fingerprint returns a hexadecimal number that tells sources with different images apart: the
// SHA-256 of the names and labels of all images, and of the pixels of 16 images, evenly spread
// over the source. Only these 16 images are read, so that other images can change without an
// effect.
func Fingerprint(s Source) string {
	sum := sha256.New()
	out := bufio.NewWriter(sum) // a hash returns no errors
	number := func(n uint64) { _, _ = out.Write(binary.LittleEndian.AppendUint64(nil, n)) }
	n := s.Len()
	number(uint64(n))
	for i := range n {
		name := s.Name(i)
		number(uint64(len(name)))
		_, _ = out.WriteString(name)
		number(uint64(s.Label(i)))
	}
	for i := range min(n, samples) {
		pixels := s.At(sampled(i, n)).Pixels // none of an image that cannot be read
		number(uint64(len(pixels)))
		_ = binary.Write(out, binary.LittleEndian, pixels)
	}
	_ = out.Flush()
	return hex.EncodeToString(sum.Sum(nil))
}

// sampled returns the number of image i of the samples of n images. The first and the last
// image are among them.
func sampled(i, n int) int {
	if n <= samples {
		return i
	}
	return int(int64(i) * int64(n-1) / (samples - 1))
}
