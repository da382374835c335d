package serve

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// rows returns images lo to hi-1.
func rows(t testing.TB, x *ops.Tensor, lo, hi int) *ops.Tensor {
	t.Helper()
	size := x.Len() / x.Shape()[0]
	shape := append([]int{hi - lo}, x.Shape()[1:]...)
	part, err := ops.NewTensor(shape, x.Float32s()[lo*size:hi*size])
	require.NoError(t, err)
	return part
}

// seedsOf returns the seeds of images without the parameter seed, as docs/serving.md has them.
func seedsOf(t testing.TB, x *ops.Tensor) (seeds, numbers []uint64) {
	t.Helper()
	for i := range x.Shape()[0] {
		seeds = append(seeds, xxhash.Sum64(raw(t, rows(t, x, i, i+1).Float32s())))
	}
	return seeds, make([]uint64, len(seeds))
}

// TestServer_GivesEveryRequestItsOwnRows sends requests of different sizes, seeds and parameters
// with both protocols at the same time, and compares every answer with a run of its own.
func TestServer_GivesEveryRequestItsOwnRows(t *testing.T) {
	path, plain := digits(t)
	other, withStages := staged(t)
	s := begin(t, path, other, "--max-batch", "16")
	client := s.call()
	const clients, each = 16, 12
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 1))
			for i := range each {
				x := pixels(r.Uint64(), 1+r.IntN(8))
				m, name := plain, "digits"
				if r.IntN(2) == 0 {
					m, name = withStages, "staged"
				}
				parameters, opts := map[string]any{}, []runtime.RunOption{}
				if r.IntN(2) == 0 {
					seed := r.Uint64()
					parameters["seed"], opts = seed, append(opts, runtime.Seed(seed))
				} else {
					seeds, numbers := seedsOf(t, x)
					opts = append(opts, runtime.Seeds(seeds), runtime.ImageNumbers(numbers))
				}
				if name == "digits" && r.IntN(3) == 0 {
					parameters["spikes"], opts = 7, append(opts, runtime.Spikes(7))
				}
				want := alone(t, m, x, opts...)
				id := fmt.Sprint(c, "/", i)
				if r.IntN(2) == 0 {
					got := s.infer(name, requestJSON{ID: id, Inputs: images(x), Parameters: parameters})
					require.Equal(t, id, got.ID)
					require.Equal(t, want, got.float32s(t, "probabilities"))
					continue
				}
				got, err := client.ModelInfer(t.Context(), call(name, id, x, parameters))
				require.NoError(t, err)
				require.Equal(t, id, got.Id)
				require.Equal(t, want, got.Outputs[0].Contents.Fp32Contents)
			}
		})
	}
	group.Wait()
	metrics := string(s.do(http.MethodGet, "/metrics", nil, nil).body)
	var batches int
	for line := range strings.Lines(metrics) {
		if n, found := strings.CutPrefix(line, `sbs_batch_images_count{model="digits"} `); found {
			_, err := fmt.Sscan(n, &batches)
			require.NoError(t, err)
		}
	}
	require.Positive(t, batches)
	t.Logf("%d batches of the model without stages", batches)
}

// call returns a call of gRPC with typed contents.
func call(model, id string, x *ops.Tensor, parameters map[string]any) *oip.ModelInferRequest {
	r := &oip.ModelInferRequest{ModelName: model, Id: id, Parameters: map[string]*oip.InferParameter{}}
	shape := make([]int64, len(x.Shape()))
	for i, n := range x.Shape() {
		shape[i] = int64(n)
	}
	r.Inputs = []*oip.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "FP32", Shape: shape, Contents: &oip.InferTensorContents{Fp32Contents: x.Float32s()}}}
	for name, v := range parameters {
		p := &oip.InferParameter{}
		switch v := v.(type) {
		case int:
			p.ParameterChoice = &oip.InferParameter_Int64Param{Int64Param: int64(v)}
		case uint64:
			p.ParameterChoice = &oip.InferParameter_Uint64Param{Uint64Param: v}
		case string:
			p.ParameterChoice = &oip.InferParameter_StringParam{StringParam: v}
		case bool:
			p.ParameterChoice = &oip.InferParameter_BoolParam{BoolParam: v}
		case float64:
			p.ParameterChoice = &oip.InferParameter_DoubleParam{DoubleParam: v}
		}
		r.Parameters[name] = p
	}
	return r
}

// TestServer_AnswersEqualImagesEqually sends the same image alone and among others, without a seed.
func TestServer_AnswersEqualImagesEqually(t *testing.T) {
	path, m := digits(t)
	s := begin(t, path)
	x := pixels(5, 4)
	seeds, numbers := seedsOf(t, x)
	want := alone(t, m, x, runtime.Seeds(seeds), runtime.ImageNumbers(numbers))
	require.Equal(t, want, s.infer("digits", requestJSON{Inputs: images(x)}).float32s(t, "probabilities"))
	for i := range 4 {
		require.Equal(t, want[3*i:3*i+3], s.infer("digits", requestJSON{Inputs: images(rows(t, x, i, i+1))}).float32s(t, "probabilities"))
	}
	seeded := s.infer("digits", requestJSON{Inputs: images(x), Parameters: map[string]any{"seed": 1}}).float32s(t, "probabilities")
	require.NotEqual(t, want, seeded)
	require.Equal(t, seeded[:3], s.infer("digits", requestJSON{Inputs: images(rows(t, x, 0, 1)), Parameters: map[string]any{"seed": 1}}).float32s(t, "probabilities"))
}

// TestServer_DoesNotBatchModelsOfOtherPrograms uses a model whose first dimension is no batch: its
// rows depend on each other. With --batch-all, it says that the requests cannot share a batch, or
// answers wrongly, which is why there is a flag.
func TestServer_DoesNotBatchModelsOfOtherPrograms(t *testing.T) {
	// Every row of y is the sum of all rows of x.
	data := foreign(t, []*onnxpb.ValueInfoProto{info("x", ops.Float32, -1, 2)}, []*onnxpb.ValueInfoProto{info("y", ops.Float32, -1, 2)},
		node("Transpose", "t", "x"), node("MatMul", "s", "x", "t"), node("MatMul", "y", "s", "x"))
	m, err := runtime.New(data)
	require.NoError(t, err)
	defer m.Close()
	s := begin(t, put(t, "mixing", data))
	var group sync.WaitGroup
	for c := range 16 {
		group.Go(func() {
			for i := range 10 {
				n := 1 + (c+i)%3
				x, err := ops.NewTensor([]int{n, 2}, pixels(uint64(c*100+i), 1).Float32s()[:2*n])
				require.NoError(t, err)
				want, err := m.Run(t.Context(), map[string]*runtime.Tensor{"x": x})
				require.NoError(t, err)
				got := s.infer("mixing", requestJSON{Inputs: []tensorJSON{{Name: "x", Shape: []int{n, 2}, Datatype: "FP32", Data: x.Float32s()}}})
				require.Equal(t, want["y"].Float32s(), got.float32s(t, "y"))
			}
		})
	}
	group.Wait()

	together := put(t, "adding", foreign(t, []*onnxpb.ValueInfoProto{info("x", ops.Float32, -1, -1)}, []*onnxpb.ValueInfoProto{info("y", ops.Float32, -1, -1)}, node("Add", "y", "x", "x")))
	s = begin(t, together, "--batch-all")
	for c := range 16 {
		group.Go(func() {
			for i := range 10 {
				n, width := 1+(c+i)%3, 1+i%2 // requests of different widths cannot share a batch
				v := pixels(uint64(c*100+i), 1).Float32s()[:n*width]
				want := make([]float32, len(v))
				for j := range v {
					want[j] = 2 * v[j]
				}
				got := s.infer("adding", requestJSON{Inputs: []tensorJSON{{Name: "x", Shape: []int{n, width}, Datatype: "FP32", Data: v}}})
				require.Equal(t, want, got.float32s(t, "y"))
			}
		})
	}
	group.Wait()
}
