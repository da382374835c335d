package tfevents

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers and enum values from TensorFlow's event.proto, summary.proto,
// histogram.proto, tensor.proto, tensor_shape.proto and types.proto.
const (
	eventWallTime    = 1
	eventStep        = 2
	eventFileVersion = 3
	eventSummary     = 5
	eventSessionLog  = 7

	sessionLogStatus = 1
	statusStart      = 1

	summaryValue     = 1
	valueTag         = 1
	valueScalar      = 2
	valueHistogram   = 5
	valueTensor      = 8
	valueMetadata    = 9
	metadataPlugin   = 1
	pluginName       = 1
	histogramMin     = 1
	histogramMax     = 2
	histogramNum     = 3
	histogramSum     = 4
	histogramSquares = 5
	histogramLimits  = 6
	histogramCounts  = 7
	tensorType       = 1
	tensorShape      = 2
	tensorStrings    = 8
	typeString       = 7
	shapeDimension   = 2
	dimensionSize    = 1
)

// event encodes a message of type Event with the given time, step and encoded field.
func event(now time.Time, step int64, field []byte) []byte {
	b := double(nil, eventWallTime, float64(now.UnixMicro())/1e6)
	if step != 0 {
		b = number(b, eventStep, uint64(step))
	}
	return append(b, field...)
}

func fileVersion() []byte { return text(nil, eventFileVersion, "brain.Event:2") }

func sessionStart() []byte {
	return message(nil, eventSessionLog, number(nil, sessionLogStatus, statusStart))
}

// summary encodes the field summary of an Event with one value, which consists of the
// tag and the given encoded fields.
func summary(tag string, value []byte) []byte {
	value = append(text(nil, valueTag, tag), value...)
	return message(nil, eventSummary, message(nil, summaryValue, value))
}

func scalar(v float32) []byte {
	b := protowire.AppendTag(nil, valueScalar, protowire.Fixed32Type)
	return protowire.AppendFixed32(b, math.Float32bits(v))
}

// textValue encodes the fields of a value for the text plugin of TensorBoard: a tensor
// of one string.
func textValue(s string) []byte {
	tensor := number(nil, tensorType, typeString)
	tensor = message(tensor, tensorShape, message(nil, shapeDimension, number(nil, dimensionSize, 1)))
	tensor = text(tensor, tensorStrings, s)
	b := message(nil, valueTensor, tensor)
	return message(b, valueMetadata, message(nil, metadataPlugin, text(nil, pluginName, "text")))
}

func (h *histogram) encode() []byte {
	b := double(nil, histogramMin, h.min)
	b = double(b, histogramMax, h.max)
	b = double(b, histogramNum, float64(h.n))
	b = double(b, histogramSum, h.sum)
	b = double(b, histogramSquares, h.squares)
	b = message(b, histogramLimits, packed(h.limits))
	b = message(b, histogramCounts, packed(h.counts))
	return message(nil, valueHistogram, b)
}

func packed(values []float64) []byte {
	var b []byte
	for _, v := range values {
		b = protowire.AppendFixed64(b, math.Float64bits(v))
	}
	return b
}

func double(b []byte, field protowire.Number, v float64) []byte {
	b = protowire.AppendTag(b, field, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, math.Float64bits(v))
}

func number(b []byte, field protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func text(b []byte, field protowire.Number, s string) []byte {
	return message(b, field, []byte(s))
}

func message(b []byte, field protowire.Number, content []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, content)
}
