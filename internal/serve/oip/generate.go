// Package oip is the gRPC service of the Open Inference Protocol as generated code. Its source,
// with the license, is in third_party/open-inference-protocol.
package oip

//go:generate protoc -I ../../../third_party/open-inference-protocol --go_out=. --go_opt=paths=source_relative,Mopen_inference_grpc.proto=github.com/spike-by-spike/sbs/internal/serve/oip --go-grpc_out=. --go-grpc_opt=paths=source_relative,Mopen_inference_grpc.proto=github.com/spike-by-spike/sbs/internal/serve/oip open_inference_grpc.proto
