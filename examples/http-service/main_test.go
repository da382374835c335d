package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
)

func seven(t *testing.T) []byte {
	data, err := os.ReadFile("models/mnist/images/7/00000.png")
	require.NoError(t, err)
	return data
}

func post(t *testing.T, url string, body []byte) (int, []byte) {
	response, err := http.Post(url, "application/octet-stream", bytes.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, answer
}

func requireSeven(t *testing.T, answer []byte) {
	var got struct{ Classes []class }
	require.NoError(t, json.Unmarshal(answer, &got))
	require.Len(t, got.Classes, 3)
	require.Equal(t, "7", got.Classes[0].Name)
	require.Greater(t, got.Classes[0].Probability, float32(.9))
}

func TestHandler_ClassifiesImagesAndRefusesOtherRequests(t *testing.T) {
	t.Chdir("../..")
	model, err := load("models/mnist/Weights")
	require.NoError(t, err)
	defer model.Close()
	classifier, err := classify.New(model, classify.Resize())
	require.NoError(t, err)
	defer classifier.Close()
	server := httptest.NewServer(newHandler(classifier))
	defer server.Close()

	status, answer := post(t, server.URL+"/classify", seven(t))
	require.Equal(t, http.StatusOK, status)
	requireSeven(t, answer)
	require.Contains(t, string(answer), `{"classes":[{"class":7,"name":"7","probability":`)

	var colored bytes.Buffer
	require.NoError(t, png.Encode(&colored, image.NewRGBA(image.Rect(0, 0, 90, 60))))
	status, _ = post(t, server.URL+"/classify", colored.Bytes())
	require.Equal(t, http.StatusOK, status)

	var large bytes.Buffer
	require.NoError(t, png.Encode(&large, image.NewPaletted(image.Rect(0, 0, 6000, 5000), color.Palette{color.Black})))
	for _, c := range []struct {
		path   string
		body   []byte
		status int
	}{
		{"/classify", nil, http.StatusUnsupportedMediaType},
		{"/classify", []byte("no image"), http.StatusUnsupportedMediaType},
		{"/classify", seven(t)[:100], http.StatusBadRequest},
		{"/classify", make([]byte, maxBytes+1), http.StatusRequestEntityTooLarge},
		{"/classify", large.Bytes(), http.StatusRequestEntityTooLarge},
		{"/other", seven(t), http.StatusNotFound},
	} {
		status, answer := post(t, server.URL+c.path, c.body)
		require.Equal(t, c.status, status, "%s", answer)
	}
	response, err := http.Get(server.URL + "/classify")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

func TestRun_ServesUntilInterrupted(t *testing.T) {
	t.Chdir("../..")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-addr", "localhost:0"}, writer) }()

	line := make([]byte, 100)
	n, err := reader.Read(line)
	require.NoError(t, err)
	url := regexp.MustCompile(`http://\S+`).FindString(string(line[:n]))
	status, answer := post(t, url, seven(t))
	require.Equal(t, http.StatusOK, status)
	requireSeven(t, answer)

	interrupt()
	require.NoError(t, <-ended)
	_, err = http.Post(url, "image/png", nil)
	require.Error(t, err)
}

func TestRun_ReportsAMissingModelAndAWrongAddress(t *testing.T) {
	require.ErrorIs(t, run(t.Context(), []string{"-model", "missing.onnx"}, io.Discard), os.ErrNotExist)
	t.Chdir("../..")
	require.ErrorContains(t, run(t.Context(), []string{"-addr", "nowhere"}, io.Discard), "nowhere")
}
