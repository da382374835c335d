package classify_test

import (
	"context"
	"fmt"
	"image"
	_ "image/png"
	"log"
	"os"
	"path/filepath"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/runtime"
)

func ExampleOpen() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	path := filepath.Join(folder, "model.onnx")
	if err := os.WriteFile(path, converted("../models/fashion-mnist/Weights"), 0o600); err != nil {
		log.Fatal(err)
	}

	c, err := classify.Open(path, classify.Runtime(runtime.WithSampler(runtime.LowDiscrepancy)))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Size())
	fmt.Println(c.Classes()[:3])
	results, err := c.Images(context.Background(), readImage("../models/fashion-mnist/images/8/00018.png"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %.0f%%\n", results[0].Name, 100*results[0].Probability)
	// Output:
	// 1x28x28
	// [T-shirt/top Trouser Pullover]
	// Bag 100%
}

// A Classifier can share a model with other parts of a program, for example the model that
// a train.Trainer returns.
func ExampleNew() {
	model, err := runtime.New(converted("../models/mnist/Weights"), runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	c, err := classify.New(model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close() // does not close the model
	results, err := c.Images(context.Background(),
		readImage("../models/mnist/images/7/00000.png"),
		readImage("../models/mnist/images/2/00001.png"))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.Class)
	}
	// Output:
	// 7
	// 2
}

// Resize accepts images of any size and color, such as this one of 56x84 pixels.
func ExampleResize() {
	model, err := runtime.New(converted("../models/mnist/Weights"), runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	large := image.NewRGBA(image.Rect(0, 0, 56, 84))
	seven := readImage("../models/mnist/images/7/00000.png")
	for y := range 84 {
		for x := range 56 {
			large.Set(x, y, seven.At(x/2, y/3))
		}
	}
	for _, options := range [][]classify.Option{nil, {classify.Resize()}} {
		c, err := classify.New(model, options...)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		results, err := c.Images(context.Background(), large)
		if err != nil {
			fmt.Println("the image has another size")
			continue
		}
		fmt.Println("class:", results[0].Name)
	}
	// Output:
	// the image has another size
	// class: 7
}

// The folders of the images are their labels.
func ExampleClassifier_All() {
	model, err := runtime.New(converted("../models/mnist/Weights"), runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	c, err := classify.New(model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	files, err := c.OpenFiles([]string{"../models/mnist/images"}, "")
	if err != nil {
		log.Fatal(err)
	}
	defer files.Close() //nolint:errcheck // the files are only read
	correct := 0
	for r, err := range c.All(context.Background(), files, 0) {
		if err != nil {
			log.Fatal(err)
		}
		if r.Err != nil {
			fmt.Println(r.Err)
			continue
		}
		if r.Class == r.Label {
			correct++
		}
	}
	fmt.Println(correct, "of", files.Len())
	// Output: 30 of 30
}

func ExampleResult_Top() {
	model, err := runtime.New(converted("../models/fashion-mnist/Weights"), runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	c, err := classify.New(model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	results, err := c.Images(context.Background(), readImage("../models/fashion-mnist/images/5/00021.png"))
	if err != nil {
		log.Fatal(err)
	}
	for _, guess := range results[0].Top(2) {
		fmt.Println(guess.Class, guess.Name)
	}
	// Output:
	// 7 Sneaker
	// 5 Sandal
}

// The spikes of a network are random. The mean over several seeds is a more reliable answer
// than a single run with few spikes. All images have the number 0, so only their seeds
// differ.
func ExampleClassifier_Run() {
	model, err := runtime.New(converted("../models/mnist/Weights"), runtime.WithSampler(runtime.LowDiscrepancy))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	c, err := classify.New(model)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	seven := readImage("../models/mnist/images/7/00000.png")
	const runs = 16
	batch := make([]image.Image, runs)
	seeds := make([]uint64, runs)
	for i := range runs {
		batch[i], seeds[i] = seven, uint64(i)
	}
	images, err := c.Tensor(batch...)
	if err != nil {
		log.Fatal(err)
	}
	results, err := c.Run(context.Background(), images,
		runtime.Spikes(60), runtime.Seeds(seeds), runtime.ImageNumbers(make([]uint64, runs)))
	if err != nil {
		log.Fatal(err)
	}
	mean := make([]float32, len(c.Classes()))
	for _, r := range results {
		for class, p := range r.Probabilities {
			mean[class] += p / runs
		}
	}
	fmt.Println(classify.Result{Probabilities: mean}.Top(1)[0].Class)
	// Output: 7
}

// converted returns the ONNX file of a folder of weights.
func converted(weights string) []byte {
	network, _, err := pytorch.Load(pytorch.Options{Weights: weights})
	if err != nil {
		log.Fatal(err)
	}
	data, err := convert.ToONNX(network, convert.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return data
}

func readImage(path string) image.Image {
	f, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // the file is only read
	img, _, err := image.Decode(f)
	if err != nil {
		log.Fatal(err)
	}
	return img
}
