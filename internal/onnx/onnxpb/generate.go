// Package onnxpb is the ONNX file format as generated protobuf code. See
// sbs_onnx.proto for why its protobuf package is not called onnx.
package onnxpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative sbs_onnx.proto
