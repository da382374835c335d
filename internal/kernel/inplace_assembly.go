//go:build (amd64 || arm64) && !purego

package kernel

type rowSumsFunc func(k int, w *float32, stride int, x *float32, step int, c *float32)

// addRowSums is tiling.rowSums.
func addRowSums(k int, w []float32, stride int, x []float32, step int, c []float32) {
	if len(c) == 0 || k == 0 {
		return
	}
	_, _ = w[(len(c)-1)*stride+k-1], x[(k-1)*step]
	for len(c) >= rowLanes {
		groups := min(len(c)/rowLanes, maxRowGroups)
		rowSums[groups](k, &w[0], stride, &x[0], step, &c[0])
		if c = c[rowLanes*groups:]; len(c) == 0 {
			return
		}
		w = w[rowLanes*groups*stride:]
	}
	var starts [rowLanes]int
	var sums [rowLanes]float32
	for i := range starts {
		starts[i] = min(i, len(c)-1) * stride
	}
	copy(sums[:], c)
	rowSumsApart(k, &w[0], &starts, &x[0], step, &sums)
	copy(c, sums[:])
}
