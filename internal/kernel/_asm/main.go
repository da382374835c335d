// Command asm writes the amd64 assembly of package kernel.
//
//	go generate ./internal/kernel
package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func main() {
	ConstraintExpr("!purego")
	sampleAVX512()
	minOverlap()
	ones()
	for v := 1; v <= maxVectors; v++ {
		for _, k := range []kind{fast, general, forgetting} {
			updateAVX512(v, k)
		}
	}
	Generate()
}
