package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
)

// BenchmarkServer measures requests of 1 and 32 images for mnist-fast, with clients in the same
// process, and runs of the model of the same size beside them.
func BenchmarkServer(b *testing.B) {
	const path = "../../models/mnist-fast/model.onnx"
	s := begin(b, path)
	c, err := classify.Open(path)
	require.NoError(b, err)
	defer c.Close()
	m := c.Model()
	url := s.url + "/v2/models/mnist-fast/infer"
	post := func(b *testing.B, body []byte, header string) {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
		require.NoError(b, err)
		if header != "" {
			r.Header.Set(headerLength, header)
		}
		response, err := http.DefaultClient.Do(r)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(b, err)
		require.NoError(b, response.Body.Close())
		require.Equal(b, http.StatusOK, response.StatusCode)
	}
	files, err := filepath.Glob("../../models/mnist/images/*/*.png")
	require.NoError(b, err)
	client := s.call()
	for _, n := range []int{1, 32} {
		pictures := make([]image.Image, n)
		for i := range pictures {
			file, err := os.ReadFile(files[i%len(files)])
			require.NoError(b, err)
			pictures[i], err = classify.DecodeImage(file, 1e6)
			require.NoError(b, err)
		}
		x, err := c.Tensor(pictures...)
		require.NoError(b, err)
		text, err := json.Marshal(requestJSON{Inputs: images(x)})
		require.NoError(b, err)
		bytesOf := raw(b, x.Float32s())
		object, err := json.Marshal(requestJSON{
			Inputs:     []tensorJSON{{Name: "image", Shape: x.Shape(), Datatype: "FP32", Parameters: map[string]any{"binary_data_size": len(bytesOf)}}},
			Parameters: map[string]any{"binary_data_output": true},
		})
		require.NoError(b, err)
		binary := append(object, bytesOf...)
		typed := call("mnist-fast", "", x, nil)
		rawCall := call("mnist-fast", "", x, nil)
		rawCall.Inputs[0].Contents, rawCall.RawInputContents = nil, [][]byte{bytesOf}
		infer := func(r *oip.ModelInferRequest) func(b *testing.B) {
			return func(b *testing.B) {
				_, err := client.ModelInfer(b.Context(), r)
				require.NoError(b, err)
			}
		}
		for _, c := range []struct {
			name string
			do   func(b *testing.B)
		}{
			{"run", func(b *testing.B) { alone(b, m, x) }},
			{"json", func(b *testing.B) { post(b, text, "") }},
			{"binary", func(b *testing.B) { post(b, binary, strconv.Itoa(len(object))) }},
			{"grpc", infer(typed)},
			{"grpc raw", infer(rawCall)},
		} {
			b.Run(fmt.Sprintf("%s/images=%d", c.name, n), func(b *testing.B) {
				for b.Loop() {
					c.do(b)
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
