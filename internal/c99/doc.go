// Package c99 writes models of this project as C files for microcontrollers and other programs that link no
// runtime. A file is complete: it holds the weights as constants, uses memory of a fixed size, and needs no
// library. Its results are those of package runtime, bit for bit.
//
// The code of a file comes from the folder templates, with only the parts that the model needs. It repeats what
// the portable code of internal/kernel, ops/sbs and ops/std computes, including the order of the operations and
// where they round. The tests compile files and compare their results with those of package runtime.
package c99
