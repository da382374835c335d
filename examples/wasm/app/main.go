//go:build js

// App is the WebAssembly part of the page: it gives JavaScript an object sbs with two functions.
//
//	sbs.open(model)     loads an ONNX model, a Uint8Array, and returns {classes, width, height}
//	sbs.classify(file)  classifies a picture file, a Uint8Array, and returns
//	                    {class, probabilities, stage, updates}, the probabilities by class
//
// If something is wrong, both return {error}, a sentence for people.
package main

import (
	"context"
	"syscall/js"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/runtime"
)

// maxPixels limits the pictures that people choose.
const maxPixels = 50_000_000

func main() {
	a := &app{}
	js.Global().Set("sbs", map[string]any{
		"open":     a.function(a.open),
		"classify": a.function(a.classify),
	})
	select {} // the functions live as long as the page
}

type app struct{ classifier *classify.Classifier }

// function makes a JavaScript function of f, with the bytes of a Uint8Array as its argument.
func (a *app) function(f func(data []byte) (map[string]any, error)) js.Func {
	return js.FuncOf(func(_ js.Value, args []js.Value) any {
		if len(args) != 1 || !args[0].InstanceOf(js.Global().Get("Uint8Array")) {
			return map[string]any{"error": "The argument must be a Uint8Array."}
		}
		data := make([]byte, args[0].Length())
		js.CopyBytesToGo(data, args[0])
		result, err := f(data)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		return result
	})
}

func (a *app) open(data []byte) (map[string]any, error) {
	model, err := runtime.New(data)
	if err != nil {
		return nil, err
	}
	classifier, err := classify.New(model, classify.Resize())
	if err != nil {
		model.Close()
		return nil, err
	}
	if a.classifier != nil { // of the model before
		a.classifier.Close()
		a.classifier.Model().Close()
	}
	a.classifier = classifier
	size := classifier.Size()
	return map[string]any{"classes": list(classifier.Classes()), "width": size.Width, "height": size.Height}, nil
}

func (a *app) classify(file []byte) (map[string]any, error) {
	if a.classifier == nil {
		return map[string]any{"error": "No model is open: call sbs.open first."}, nil
	}
	img, err := classify.DecodeImage(file, maxPixels)
	if err != nil {
		return nil, err
	}
	results, err := a.classifier.Images(context.Background(), img)
	if err != nil {
		return nil, err
	}
	r := results[0]
	return map[string]any{"class": r.Class, "probabilities": list(r.Probabilities), "stage": r.Stage, "updates": r.Updates}, nil
}

// list returns a slice of the kind that js.ValueOf takes.
func list[T any](values []T) []any {
	result := make([]any, len(values))
	for i, v := range values {
		result[i] = v
	}
	return result
}
