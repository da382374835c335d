// Command asm generates the amd64 assembly of package kernel. To run it:
//
//	go generate ./internal/kernel
package main

import (
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func main() {
	ConstraintExpr("!purego")
	for _, d := range []func() Mem{laneData, mixData, goldenLanes, stepData, belowFull, units, fullShare, laneBits, levels,
		func() Mem { return wideMix(0) }, minOverlap, ones,
		func() Mem { return constant("quarter", 0.25) }, numbers,
		tiny, func() Mem { return constant("minus", -1) }, lowBytes,
		func() Mem { return longsOnce("highBits", 0x80808080) }} {
		d() // so that the data comes before the functions in the file
	}
	sampleAVX512(false)
	sampleAVX512(true)
	for _, lanes := range []int{16, 8} {
		d := newDrawer(lanes)
		d.thresholds()
		d.look()
		d.lookRow()
		for d.spans = range 4 {
			d.totalsRow()
			d.thresholdsRow()
		}
	}
	transposeAVX()
	for v := 1; v <= maxVectors; v++ {
		for _, k := range []kind{fast, general, forgetting} {
			switch positions := groups[v]; {
			case positions > 0:
				updateKept(v, positions, k)
			default:
				updateFused("AVX512", 64, v, k)
			}
		}
	}
	sampleAVX2(false)
	sampleAVX2(true)
	for v := 1; v <= maxVectorsAVX2; v++ {
		for _, k := range []kind{fast, general, forgetting} {
			updateFused("AVX2", 32, v, k)
		}
	}
	for _, k := range []kind{fast, general, forgetting} {
		updateWide("AVX512", 64, k)
		updateWide("AVX2", 32, k)
	}
	for _, t := range []*tiling{&tilingAVX512, &tilingAVX2} {
		for rows := 1; rows <= t.rows; rows++ {
			for vectors := 1; vectors <= t.vectors; vectors++ {
				t.tile(rows, vectors)
			}
		}
		for panels := 1; panels <= maxPanels; panels++ {
			t.rowProducts(panels)
		}
		for groups := 1; groups <= maxGroups; groups++ {
			t.pack(groups, false)
		}
		t.pack(1, true)
		t.relu()
		t.pool(false)
		t.pool(true)
		t.ratios()
		t.factors()
		t.quotients()
		t.grow()
		t.products()
		t.interleave(4)
		t.depthwise()
		t.quantize(false)
		t.quantize(true)
		t.dequantize()
		t.bounds()
		t.truncate()
		t.singles()
		t.longs()
		t.toBytes(false)
		t.toBytes(true)
		for pixels := 1; pixels <= t.halfPixels(); pixels++ {
			for vectors := 1; vectors <= t.vectors; vectors++ {
				t.windowTile(pixels, vectors)
			}
		}
		t.alongTaps(weighted)
		t.alongTaps(maximum)
		t.meanTaps()
		t.deal()
		t.standardize()
	}
	packAlongAVX2()
	for _, d := range directs {
		for rows := 1; rows <= d.rows; rows++ {
			for vectors := 1; vectors <= d.vectors; vectors++ {
				d.tile(rows, vectors)
			}
		}
	}
	for groups := 1; groups <= maxRowGroups; groups++ {
		rowSums(groups, false)
	}
	rowSums(1, true)
	for _, d := range []*dots{&dotsVNNI512, &dotsVNNI, &dotsAVX2} {
		for rows := 1; rows <= d.rows; rows++ {
			for vectors := 1; vectors <= d.vectors; vectors++ {
				d.tile(rows, vectors)
			}
		}
	}
	tilingAVX2.interleave(2)
	for _, l := range []lanes{16, 8} {
		l.generate()
		l.transpose()
		l.addRows()
	}
	flipAVX2()
	widenAVX2()
	sumBytesAVX2()
	splitAVX2()
	Generate()
	if err := writeTables("../tables_amd64.go"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
