package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // a format that requests can have
	_ "image/jpeg" // a format that requests can have
	_ "image/png"  // a format that requests can have
	"io"
	"net/http"

	"github.com/spike-by-spike/sbs/classify"
)

const (
	maxBytes  = 10 << 20 // of a request
	maxPixels = 25e6     // of an image: a small file can hold a very large image
	top       = 3        // classes in an answer
)

// class is a class in an answer.
type class struct {
	Class       int     `json:"class"`
	Name        string  `json:"name"`
	Probability float32 `json:"probability"`
}

// newHandler returns the handler of the service. A Classifier is safe for concurrent use,
// so all requests share one.
func newHandler(c *classify.Classifier) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /classify", func(w http.ResponseWriter, r *http.Request) {
		img, status, err := decode(http.MaxBytesReader(w, r.Body, maxBytes))
		if err != nil {
			http.Error(w, err.Error(), status)
			return
		}
		// The context of the request stops the computation if the client hangs up.
		results, err := c.Images(r.Context(), img)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		var answer struct {
			Classes  []class `json:"classes"`
			Inverted bool    `json:"inverted,omitempty"` // dark on light became light on dark
		}
		answer.Inverted = results[0].Inverted
		for _, guess := range results[0].Top(top) {
			answer.Classes = append(answer.Classes, class(guess))
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // fails only if the client has hung up
	})
	return mux
}

// decode reads an image, or returns an error and the status to report it with.
func decode(body io.Reader) (image.Image, int, error) {
	data, err := io.ReadAll(body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the image has more than %d bytes", tooLarge.Limit)
	case err != nil:
		return nil, http.StatusBadRequest, err
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("want a PNG, JPEG or GIF image: %w", err)
	}
	if config.Width > maxPixels/max(config.Height, 1) {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the image has %dx%d pixels, want at most %d", config.Width, config.Height, int(maxPixels))
	}
	img, err := classify.DecodeImage(data, maxPixels) // turns photos, unlike image.Decode
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	return img, http.StatusOK, nil
}
