package main

// productCases adds products of matrices, convolutions, cells and interpolations.
func productCases(add func(op string, attrs anyAttr, rank int, in ...operand) *benchmark) {
	add("MatMul", nil, 0, f(1, 768), f(768, 768))
	add("MatMul", nil, 0, f(197, 768), f(768, 768))
	add("MatMul", nil, 0, f(197, 768), f(768, 3072))
	add("MatMul", nil, 0, f(12, 197, 64), f(12, 64, 197))
	add("MatMul", nil, 0, f(12, 197, 197), f(12, 197, 64))
	add("MatMul", nil, 0, f(64, 16, 16), f(64, 16, 16))
	add("MatMul", nil, 0, f(1000, 1000), f(1000, 1))
	add("MatMul", nil, 0, f(1000, 1000), f(1000, 4))
	add("MatMul", nil, 0, f(4, 768), f(768, 768))
	add("MatMul", nil, 0, f(8, 1000), f(1000, 1000))
	add("MatMul", nil, 0, f(500, 8, 8), f(500, 8, 8))
	add("MatMul", nil, 0, f(500, 1, 64), f(500, 64, 50))
	add("MatMul", nil, 0, f(12, 1, 64), f(12, 64, 512))
	add("MatMul", nil, 0, f(8, 50, 64), f(64, 64))
	add("Gemm", one("transB", int64(1)), 0, f(1, 768), f(768, 768), f(768))
	add("Gemm", one("transB", int64(1)), 0, f(2, 768), f(768, 768), f(768))
	add("Gemm", one("transB", int64(1)), 0, f(4, 768), f(768, 768), f(768))
	add("Gemm", one("transB", int64(1)), 0, f(8, 768), f(768, 768), f(768))
	add("Gemm", one("transB", int64(1)), 0, f(16, 128), f(64, 128), f(64))
	add("Gemm", one("transB", int64(1)), 0, f(64, 768), f(1000, 768), f(1000))
	add("Gemm", one("transA", int64(1)), 0, f(768, 64), f(768, 1000), f(1000))
	add("Gemm", nil, 0, f(32, 256), f(256, 10), f(10))
	up := anyAttr{"strides": ints(2, 2), "pads": ints(1, 1, 1, 1)}
	add("ConvTranspose", up, 0, f(1, 64, 32, 32), f(64, 32, 4, 4), f(32))
	add("ConvTranspose", one("strides", ints(2, 2)), 0, f(1, 24, 160, 160), f(24, 24, 2, 2))
	add("ConvTranspose", one("strides", ints(8)), 0, f(1, 128, 200), f(128, 64, 16))
	add("ConvTranspose", anyAttr{"strides": ints(2, 2, 2), "pads": ints(1, 1, 1, 1, 1, 1)}, 0, f(1, 16, 8, 16, 16), f(16, 8, 4, 4, 4))
	add("ConvTranspose", anyAttr{"strides": ints(2, 2), "group": int64(32)}, 0, f(1, 32, 64, 64), f(32, 1, 4, 4))
	add("Conv", one("pads", ints(1, 1)), 0, f(1, 128, 500), f(128, 128, 3))
	add("Conv", one("pads", ints(1, 1, 1, 1, 1, 1)), 0, f(1, 16, 16, 32, 32), f(32, 16, 3, 3, 3))
	add("Conv", anyAttr{"pads": ints(1, 1, 1, 1), "group": int64(8)}, 0, f(1, 64, 56, 56), f(64, 8, 3, 3))
	hidden := func(n int64) anyAttr { return one("hidden_size", n) }
	add("LSTM", hidden(128), 0, f(50, 1, 128), small(1, 512, 128), small(1, 512, 128), small(1, 1024))
	add("LSTM", hidden(256), 0, f(30, 16, 128), small(1, 1024, 128), small(1, 1024, 256), small(1, 2048))
	add("GRU", hidden(128), 0, f(50, 1, 128), small(1, 384, 128), small(1, 384, 128), small(1, 768))
	add("GRU", hidden(256), 0, f(30, 16, 128), small(1, 768, 128), small(1, 768, 256), small(1, 1536))
	add("RNN", hidden(256), 0, f(30, 16, 128), small(1, 256, 128), small(1, 256, 256), small(1, 512))
	for _, mode := range []string{"nearest", "linear", "cubic"} {
		add("Resize", anyAttr{"mode": mode, "coordinate_transformation_mode": "asymmetric"}, 0, f(1, 24, 80, 80), f(0), operand{number: []float32{1, 1, 2, 2}})
		add("Resize", one("mode", mode), 0, f(1, 3, 200, 300), f(0), operand{number: []float32{1, 1, 0.7, 0.7}})
	}
	add("GridSample", nil, 0, f(1, 16, 64, 64), operand{dims: []int{1, 64, 64, 2}, dtype: f().dtype, low: -1, high: 1})
	add("BatchNormalization", nil, 0, f(1, 64, 56, 56), f(64), f(64), f(64), positive(64))
}
