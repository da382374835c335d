package serve

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/internal/serve/oip"
	"github.com/spike-by-spike/sbs/ops"
)

const sevens = "../../models/mnist/images/7/"

// answer has the outputs of the answer to an image.
type answer struct {
	names         []string
	probabilities []float32
	updates       []int64
	stage         []int64
	inverted      []bool
}

func answerOf(t *testing.T, r responseJSON) (a answer) {
	t.Helper()
	for _, out := range r.Outputs {
		to := map[string]any{
			"class_names": &a.names, "class_probabilities": &a.probabilities, "updates": &a.updates, "stage": &a.stage, "inverted": &a.inverted,
		}[out.Name]
		require.NotNil(t, to, out.Name)
		require.NoError(t, json.Unmarshal(out.Data, to))
	}
	return a
}

// TestServer_ClassifiesPictures sends files as they are, and compares the answers with those of
// package classify, and so of sbs-run.
func TestServer_ClassifiesPictures(t *testing.T) {
	const model = "../../models/mnist-fast/model.onnx"
	s := begin(t, model)
	c, err := classify.Open(model, classify.Resize(), classify.Seed(4))
	require.NoError(t, err)
	defer c.Close()
	file, err := os.ReadFile(sevens + "00000.png")
	require.NoError(t, err)
	digit, err := classify.DecodeImage(file, 1e6)
	require.NoError(t, err)
	negative := image.NewRGBA(image.Rect(0, 0, 56, 56)) // dark on light, larger, and with colors
	for y := range 56 {
		for x := range 56 {
			r, _, _, _ := digit.At(x/2, y/2).RGBA()
			v := uint8(255 - r>>8)
			negative.Set(x, y, color.RGBA{v, v, v, 255})
		}
	}
	var asJPEG, asPNG bytes.Buffer
	require.NoError(t, jpeg.Encode(&asJPEG, negative, nil))
	require.NoError(t, png.Encode(&asPNG, negative))
	files := [][]byte{file, asJPEG.Bytes(), asPNG.Bytes()}
	var want []answer
	for i, f := range files {
		img, err := classify.DecodeImage(f, 1e6)
		require.NoError(t, err)
		results, err := c.Images(t.Context(), img)
		require.NoError(t, err)
		require.Equal(t, "7", results[0].Name)
		require.Equal(t, i > 0, results[0].Inverted)
		a := answer{updates: []int64{results[0].Updates}, stage: []int64{int64(results[0].Stage)}, inverted: []bool{results[0].Inverted}}
		for _, g := range results[0].Top(2) {
			a.names, a.probabilities = append(a.names, g.Name), append(a.probabilities, g.Probability)
		}
		want = append(want, a)
	}
	for i, f := range files {
		for _, contentType := range []string{"image/png", "image/jpeg", "application/x-www-form-urlencoded", ""} {
			got := s.do(http.MethodPost, "/v2/models/mnist-fast/infer?seed=4&top=2&id=picture", map[string]string{"Content-Type": contentType}, f)
			require.Equal(t, http.StatusOK, got.status, "%s", got.body)
			var r responseJSON
			require.NoError(t, json.Unmarshal(got.body, &r))
			require.Equal(t, "picture", r.ID)
			require.Equal(t, want[i], answerOf(t, r))
		}
	}

	// The same files as elements of the datatype BYTES. With a seed, image i has the number i.
	var list []byte
	list = inference.AppendRaw(list, inference.Tensor{Strings: files})
	names := []tensorJSON{{Name: "class_names"}, {Name: "inverted"}}
	object, err := json.Marshal(requestJSON{
		Inputs:     []tensorJSON{{Name: "image", Shape: []int{3}, Datatype: "BYTES", Parameters: map[string]any{"binary_data_size": len(list)}}},
		Parameters: map[string]any{"top": 1}, Outputs: names,
	})
	require.NoError(t, err)
	got := s.do(http.MethodPost, "/v2/models/mnist-fast/infer", map[string]string{headerLength: strconv.Itoa(len(object))}, append(object, list...))
	var r responseJSON
	require.NoError(t, json.Unmarshal(got.body, &r), "%s", got.body)
	require.Equal(t, answer{names: []string{"7", "7", "7"}, inverted: []bool{false, true, true}}, answerOf(t, r))
	require.Equal(t, []int{3, 1}, r.Outputs[0].Shape)

	called, err := s.call().ModelInfer(t.Context(), &oip.ModelInferRequest{
		ModelName: "mnist-fast", Parameters: call("", "", ops1(t), map[string]any{"seed": 4, "top": 2}).Parameters,
		Inputs:  []*oip.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{1}, Contents: &oip.InferTensorContents{BytesContents: files[:1]}}},
		Outputs: []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "class_names"}, {Name: "class_probabilities"}},
	})
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte(want[0].names[0]), []byte(want[0].names[1])}, called.Outputs[0].Contents.BytesContents)
	require.Equal(t, want[0].probabilities, called.Outputs[1].Contents.Fp32Contents)
}

// ops1 returns a tensor of one element.
func ops1(t *testing.T) *ops.Tensor {
	t.Helper()
	x, err := ops.NewTensor([]int{1}, []float32{0})
	require.NoError(t, err)
	return x
}

func TestServer_RefusesPicturesThatItCannotRead(t *testing.T) {
	path, _ := digits(t)
	s := begin(t, path)
	file, err := os.ReadFile(sevens + "00000.png")
	require.NoError(t, err)
	bomb := bytes.Clone(file) // a small file that claims to be a large picture
	binary.BigEndian.PutUint32(bomb[16:], 8000)
	binary.BigEndian.PutUint32(bomb[20:], 8000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	for want, body := range map[string][]byte{
		`input "image": image 0: `: file[:100],
		"8000x8000 pixels":         bomb,
		"this is a text":           []byte("no image"),
	} {
		got := s.do(http.MethodPost, "/v2/models/digits/infer", map[string]string{"Content-Type": "image/png"}, body)
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Contains(t, got.failure(t), want)
	}
	got := s.do(http.MethodPost, "/v2/models/digits/infer", map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, []byte("--x\r\n"))
	require.Equal(t, http.StatusUnsupportedMediaType, got.status)
	require.Contains(t, got.failure(t), "curl --data-binary @FILE")
}

// TestServer_FillsTheBatchOfModelsThatTakeOneSize sends fewer pictures than a model takes at a time,
// and more.
func TestServer_FillsTheBatchOfModelsThatTakeOneSize(t *testing.T) {
	pair := put(t, "pair", foreign(t, []*onnxpb.ValueInfoProto{info("x", ops.Float32, 2, 1, 4, 4)}, []*onnxpb.ValueInfoProto{info("y", ops.Float32, 2, 1, 1, 1)},
		node("GlobalAveragePool", "y", "x")))
	s := begin(t, pair)
	file, err := os.ReadFile(sevens + "00000.png")
	require.NoError(t, err)
	client := s.call()
	for n := 1; n <= 3; n++ {
		r := &oip.ModelInferRequest{ModelName: "pair", Inputs: []*oip.ModelInferRequest_InferInputTensor{
			{Name: "x", Datatype: "BYTES", Shape: []int64{int64(n)}, Contents: &oip.InferTensorContents{}},
		}, Outputs: []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "class_names"}, {Name: "y"}}}
		for range n {
			r.Inputs[0].Contents.BytesContents = append(r.Inputs[0].Contents.BytesContents, file)
		}
		got, err := client.ModelInfer(t.Context(), r)
		if n == 3 {
			require.ErrorContains(t, err, `input "x" has 3 images: the model takes 2`)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []int64{int64(n), 1}, got.Outputs[0].Shape)
		require.Equal(t, []int64{2, 1, 1, 1}, got.Outputs[1].Shape)
	}
	got := s.do(http.MethodPost, "/v2/models/pair/infer", map[string]string{"Content-Type": "application/json"},
		[]byte(`{"inputs":[{"name":"x","shape":[1,1,4,4],"datatype":"FP32","data":`+listOf(16, "1")+`}]}`))
	require.Contains(t, got.failure(t), `input "x" is FP32 [1 1 4 4]: the model takes FP32 [2 1 4 4]`)
	require.InDelta(t, 3, s.metric(`sbs_images_total{model="pair"}`), 0, "the images that fill a batch do not count")
}
