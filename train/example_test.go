package train_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
	"github.com/spike-by-spike/sbs/train"
)

// A layer of two neurons learns which of two pixels is bright.
func ExampleNew() {
	data := untrained() // an ONNX file that package convert has written
	batch := pixels()   // two images and their labels, 0 and 1
	trainer, err := train.New(data, train.Config{RateW: 0.05})
	if err != nil {
		log.Fatal(err)
	}
	defer trainer.Close()
	var first, last train.Result
	for i := range 20 {
		r, err := trainer.Step(context.Background(), batch)
		if err != nil {
			log.Fatal(err)
		}
		if i == 0 {
			first = r
		}
		last = r
	}
	fmt.Println("updates:", trainer.Position().Updates)
	fmt.Println("loss halved:", last.LossPerImage < first.LossPerImage/2)
	fmt.Println("correct:", last.Correct, "of", last.Images)
	// Output:
	// updates: 20
	// loss halved: true
	// correct: 2 of 2
}

// Fit takes the sub-batches from an iterator, which can read them one by one.
func ExampleTrainer_Fit() {
	trainer, err := train.New(untrained(), train.Config{SubBatches: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer trainer.Close()
	var batches iter.Seq2[train.Batch, error] = func(yield func(train.Batch, error) bool) {
		for range 6 {
			if !yield(pixels(), nil) {
				return
			}
		}
	}
	err = trainer.Fit(context.Background(), batches, func(r train.Result) error {
		if r.Update != nil {
			fmt.Println("update", r.Update.Number, "from", r.Update.Images, "images")
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// update 0 from 4 images
	// update 1 from 4 images
	// update 2 from 4 images
}

// Training that resumes from a state gives the same weights as training without the
// interruption.
func ExampleTrainer_Restore() {
	steps := func(t *train.Trainer, n int) {
		for range n {
			if _, err := t.Step(context.Background(), pixels()); err != nil {
				log.Fatal(err)
			}
		}
	}
	trainer, err := train.New(untrained(), train.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer trainer.Close()
	steps(trainer, 3)
	state, err := trainer.State() // to be written to a file
	if err != nil {
		log.Fatal(err)
	}
	steps(trainer, 3)

	resumed, err := train.New(untrained(), train.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer resumed.Close()
	if err := resumed.Restore(state); err != nil {
		log.Fatal(err)
	}
	fmt.Println("resumed after", resumed.Position().Updates, "updates")
	steps(resumed, 3)

	want, err := trainer.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	got, err := resumed.Bytes()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("equal models:", string(got) == string(want))
	// Output:
	// resumed after 3 updates
	// equal models: true
}

// Model returns a model to test with while training continues.
func ExampleTrainer_Model() {
	trainer, err := train.New(untrained(), train.Config{RateW: 0.05})
	if err != nil {
		log.Fatal(err)
	}
	defer trainer.Close()
	for range 20 {
		if _, err := trainer.Step(context.Background(), pixels()); err != nil {
			log.Fatal(err)
		}
	}
	model, err := trainer.Model()
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	out, err := model.Run(context.Background(), map[string]*runtime.Tensor{"image": pixels().Images})
	if err != nil {
		log.Fatal(err)
	}
	p := out["probabilities"].Float32s() // (2 images, 2 classes)
	fmt.Println(p[0] > 0.9, p[3] > 0.9)
	// Output: true true
}

// The saved model has the dynamics of the Config.
func ExampleTrainer_Save() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	path := filepath.Join(folder, "trained.onnx")

	trainer, err := train.New(untrained(), train.Config{
		Dynamics: sbs.Dynamics{Spikes: 10, Sampler: sbs.LowDiscrepancy},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer trainer.Close()
	if _, err := trainer.Step(context.Background(), pixels()); err != nil {
		log.Fatal(err)
	}
	if err := trainer.Save(path); err != nil {
		log.Fatal(err)
	}

	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	network, err := convert.FromONNX(data)
	if err != nil {
		log.Fatal(err)
	}
	layer := network.Layers[0].(*convert.SbS)
	fmt.Println(layer.Spikes, layer.Sampler)
	// Output: 10 low_discrepancy
}

// untrained returns the ONNX file of a network of one layer, which has two inputs and two
// neurons.
func untrained() []byte {
	weights, err := runtime.NewTensor([]int{2, 2}, []float32{0.45, 0.55, 0.55, 0.45})
	if err != nil {
		log.Fatal(err)
	}
	one := [2]int{1, 1}
	data, err := convert.ToONNX(&convert.Network{
		Input: convert.Size{Channels: 2, Height: 1, Width: 1},
		Layers: []convert.Layer{&convert.SbS{
			Window:  convert.Window{Kernel: one, Strides: one, Dilations: one},
			Weights: weights, Spikes: 20, Epsilon0: 1, EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(20),
		}},
	}, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return data
}

// pixels returns two images of two pixels, one of which is bright, and their classes.
func pixels() train.Batch {
	images, err := runtime.NewTensor([]int{2, 2, 1, 1}, []float32{1, 0, 0, 1})
	if err != nil {
		log.Fatal(err)
	}
	return train.Batch{Images: images, Labels: []int{0, 1}}
}
