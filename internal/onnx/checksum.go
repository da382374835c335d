package onnx

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// ErrChecksum is the error of a model that does not match the checksum in its metadata.
var ErrChecksum = errors.New("the contents of the model do not match its checksum (metadata " + metadata.Checksum + "): " +
	"the file is damaged, or another program has changed it. Get the file again; if it was changed on purpose, use --ignore-checksum, or IgnoreChecksum in Go")

// checksumPrefix names the method of a checksum, so that another one can follow.
const checksumPrefix = "crc32c-1:"

// Stamp stores the checksum of a model in its metadata, in place of an older one. Whatever
// changes a model that has a checksum stamps it again. An error is about a tensor that
// cannot be read.
func Stamp(m *onnxpb.ModelProto) error {
	sum, err := checksum(context.Background(), m)
	if err != nil {
		return err
	}
	m.MetadataProps = slices.DeleteFunc(slices.Clone(m.GetMetadataProps()), isChecksum)
	m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: metadata.Checksum, Value: sum})
	return nil
}

// MarshalStamped stamps a model and encodes it.
func MarshalStamped(m *onnxpb.ModelProto) ([]byte, error) {
	if err := Stamp(m); err != nil {
		return nil, err
	}
	return Marshal(m)
}

// Verify returns an error that wraps ErrChecksum if a model does not match its checksum. A
// model without a checksum, or with one of an unknown method, is accepted.
func Verify(ctx context.Context, m *onnxpb.ModelProto) error {
	if len(External(m)) > 0 {
		return nil // the tensors are missing, which the reader of the model reports
	}
	for _, p := range m.GetMetadataProps() {
		if !isChecksum(p) || !strings.HasPrefix(p.GetValue(), checksumPrefix) {
			continue
		}
		sum, err := checksum(ctx, m)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%w (%w)", ErrChecksum, err)
		case sum != p.GetValue():
			return ErrChecksum
		}
	}
	return nil
}

func isChecksum(p *onnxpb.StringStringEntryProto) bool { return p.GetKey() == metadata.Checksum }

// checksum returns the checksum of everything in a model that its results depend on: the
// graph and the functions with all tensors, the versions of the operators, and the metadata
// of this project. It is computed from the decoded message, so that it depends neither on
// the order in which the fields of the file are encoded, nor on whether the elements of a
// tensor are stored as bytes or as numbers, or in another file. The order of initializers,
// functions, attributes and metadata does not matter either.
//
// CRC-32C finds damage, but not a change that is meant to stay undetected.
func checksum(ctx context.Context, m *onnxpb.ModelProto) (string, error) {
	s := &summing{ctx: ctx, h: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	s.int(m.GetIrVersion())
	s.opsets(m.GetOpsetImport())
	s.graph(m.GetGraph())
	s.functions(m.GetFunctions())
	s.properties(m.GetMetadataProps())
	return fmt.Sprintf("%s%08x", checksumPrefix, s.h.Sum32()), s.err
}

// summing adds a message to a checksum, part by part. Every list starts with its length, so
// that different models do not give the same bytes.
type summing struct {
	ctx     context.Context
	h       hash.Hash32
	scratch []byte
	err     error // the first one
}

func (s *summing) int(v int64) {
	s.scratch = binary.LittleEndian.AppendUint64(s.scratch[:0], uint64(v))
	s.h.Write(s.scratch) // never fails
}

func (s *summing) text(v string) {
	s.int(int64(len(v)))
	s.scratch = append(s.scratch[:0], v...)
	s.h.Write(s.scratch)
}

func (s *summing) texts(list []string) {
	s.int(int64(len(list)))
	for _, v := range list {
		s.text(v)
	}
}

// bytes adds the elements of a tensor, and checks the context.
func (s *summing) bytes(v []byte) {
	s.int(int64(len(v)))
	for len(v) > 0 && s.err == nil {
		n := min(len(v), readAtOnce)
		s.h.Write(v[:n])
		v = v[n:]
		s.err = s.ctx.Err()
	}
}

// numbers adds a slice of numbers of fixed size.
func (s *summing) numbers(list any) {
	raw, err := binary.Append(nil, binary.LittleEndian, list)
	if s.err == nil {
		s.err = err
	}
	s.bytes(raw)
}

// sorted calls f for the elements of a list in the order of their keys.
func sorted[T any](s *summing, list []T, key func(T) string, f func(T)) {
	s.int(int64(len(list)))
	for _, v := range slices.SortedStableFunc(slices.Values(list), func(a, b T) int { return cmp.Compare(key(a), key(b)) }) {
		f(v)
	}
}

func (s *summing) opsets(list []*onnxpb.OperatorSetIdProto) {
	sorted(s, list, (*onnxpb.OperatorSetIdProto).GetDomain, func(o *onnxpb.OperatorSetIdProto) {
		s.text(o.GetDomain())
		s.int(o.GetVersion())
	})
}

// properties adds the metadata of this project, apart from the checksum. Other programs may
// add metadata of their own.
func (s *summing) properties(list []*onnxpb.StringStringEntryProto) {
	own := slices.DeleteFunc(slices.Clone(list), func(p *onnxpb.StringStringEntryProto) bool {
		return isChecksum(p) || !strings.HasPrefix(p.GetKey(), metadata.Prefix)
	})
	sorted(s, own, (*onnxpb.StringStringEntryProto).GetKey, func(p *onnxpb.StringStringEntryProto) {
		s.text(p.GetKey())
		s.text(p.GetValue())
	})
}

func (s *summing) functions(list []*onnxpb.FunctionProto) {
	key := func(f *onnxpb.FunctionProto) string {
		return f.GetDomain() + "\x00" + f.GetName() + "\x00" + f.GetOverload()
	}
	sorted(s, list, key, func(f *onnxpb.FunctionProto) {
		s.texts([]string{f.GetDomain(), f.GetName(), f.GetOverload()})
		s.texts(f.GetInput())
		s.texts(f.GetOutput())
		s.texts(f.GetAttribute())
		s.attributes(f.GetAttributeProto())
		s.opsets(f.GetOpsetImport())
		s.nodes(f.GetNode())
	})
}

// graph adds a graph without the declared types of its intermediate values, which programs
// add and leave out, and which no result depends on.
func (s *summing) graph(g *onnxpb.GraphProto) {
	for _, list := range [][]*onnxpb.ValueInfoProto{g.GetInput(), g.GetOutput()} {
		s.int(int64(len(list)))
		for _, v := range list {
			s.text(v.GetName())
			t := v.GetType().GetTensorType()
			s.int(int64(t.GetElemType()))
			s.int(int64(len(t.GetShape().GetDim())))
			for _, d := range t.GetShape().GetDim() {
				s.int(d.GetDimValue())
			}
		}
	}
	sorted(s, g.GetInitializer(), (*onnxpb.TensorProto).GetName, s.tensor)
	s.sparse(g.GetSparseInitializer())
	s.nodes(g.GetNode())
}

func (s *summing) nodes(list []*onnxpb.NodeProto) {
	s.int(int64(len(list)))
	for _, n := range list {
		s.texts([]string{n.GetName(), n.GetDomain(), n.GetOpType(), n.GetOverload()})
		s.texts(n.GetInput())
		s.texts(n.GetOutput())
		s.attributes(n.GetAttribute())
	}
}

func (s *summing) attributes(list []*onnxpb.AttributeProto) {
	sorted(s, list, (*onnxpb.AttributeProto).GetName, func(a *onnxpb.AttributeProto) {
		s.texts([]string{a.GetName(), a.GetRefAttrName()})
		s.int(int64(a.GetType()))
		s.int(int64(math.Float32bits(a.GetF())))
		s.int(a.GetI())
		s.text(string(a.GetS()))
		s.numbers(a.GetFloats())
		s.numbers(a.GetInts())
		s.int(int64(len(a.GetStrings())))
		for _, v := range a.GetStrings() {
			s.text(string(v))
		}
		for _, t := range append(slices.Clone(a.GetTensors()), a.GetT()) {
			s.tensor(t)
		}
		s.sparse(append(slices.Clone(a.GetSparseTensors()), a.GetSparseTensor()))
		for _, g := range append(slices.Clone(a.GetGraphs()), a.GetG()) {
			if g != nil {
				s.graph(g)
			}
		}
	})
}

// sparse adds sparse tensors. A list without any adds nothing, as checksums of the first version
// did not have them.
func (s *summing) sparse(list []*onnxpb.SparseTensorProto) {
	for _, t := range list {
		if t != nil {
			s.tensor(t.GetValues())
			s.tensor(t.GetIndices())
			s.numbers(t.GetDims())
		}
	}
}

// tensor adds the name, the type and the elements of a tensor, in raw form.
func (s *summing) tensor(t *onnxpb.TensorProto) {
	if t == nil || s.err != nil {
		return
	}
	s.text(t.GetName())
	s.int(int64(t.GetDataType()))
	s.int(int64(len(t.GetDims())))
	for _, d := range t.GetDims() {
		s.int(d)
	}
	raw := t.GetRawData()
	if len(raw) == 0 {
		raw, s.err = rawOf(s.ctx, t)
	}
	s.bytes(raw)
}

// rawOf returns the elements of a tensor that are stored as numbers, in raw form.
func rawOf(ctx context.Context, t *onnxpb.TensorProto) ([]byte, error) {
	if len(t.GetStringData()) > 0 {
		var raw []byte
		for _, v := range t.GetStringData() {
			raw = append(binary.AppendUvarint(raw, uint64(len(v))), v...)
		}
		return raw, nil
	}
	_, data, err := TensorData(ctx, t)
	if err != nil {
		return nil, err
	}
	return binary.Append(nil, binary.LittleEndian, data)
}
