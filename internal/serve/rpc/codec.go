package rpc

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spike-by-spike/sbs/internal/serve/oip"
)

// maxParts is the largest number of strings, messages and lists in a request. Two bytes of a
// request can become a message of more than 100 bytes in memory, so that a request below the limit
// of bytes could take all memory.
const maxParts = 100_000

// codec is the codec for protobuf messages with a check before a request is decoded.
type codec struct{ encoding.CodecV2 }

// newCodec returns the codec of the server.
func newCodec() encoding.CodecV2 { return codec{encoding.GetCodecV2("proto")} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if _, ok := v.(*oip.ModelInferRequest); ok {
		whole := data.MaterializeToBuffer(mem.DefaultBufferPool()) // copies only what is in pieces
		defer whole.Free()
		parts := 0
		if err := count(whole.ReadOnlyData(), inRequest, &parts); err != nil {
			return err
		}
	}
	return c.CodecV2.Unmarshal(data, v)
}

// message says which fields of a message are messages with fields of any number.
type message map[protowire.Number]message

// inRequest describes ModelInferRequest: field 5 are the inputs, whose field 5 has the contents, and
// field 6 are the outputs.
var inRequest = message{5: {5: {}}, 6: {}}

// count adds the fields of a message that have a length to parts.
func count(b []byte, m message, parts *int) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(number, kind, b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if kind == protowire.BytesType {
			if *parts++; *parts > maxParts {
				return fmt.Errorf("the request has more than %d strings and messages", maxParts)
			}
			if inner, ok := m[number]; ok {
				value, _ := protowire.ConsumeBytes(b)
				if err := count(value, inner, parts); err != nil {
					return err
				}
			}
		}
		b = b[size:]
	}
	return nil
}
