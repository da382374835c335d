// Package runtime runs neural networks that are stored as ONNX models: Spike-By-Spike
// networks, which sbs-convert writes, and networks of standard ONNX operators. It is
// written in Go without cgo.
//
//	model, err := runtime.Open("model.onnx")
//	...
//	defer model.Close()
//	image, err := runtime.NewTensor([]int{1, 1, 28, 28}, pixels) // batch, channels, height, width
//	...
//	out, err := model.Run(ctx, map[string]*runtime.Tensor{"image": image})
//	...
//	fmt.Println(out["probabilities"].Float32s())
//
// To classify images, use package classify: it decodes and scales images, runs a model
// and names the classes. Package train trains models.
//
// # Models
//
// An ONNX model is a graph. Its nodes are operations such as Conv or Add, and its values
// are tensors. [Model.Run] takes the tensors that are inputs of the graph and returns the
// outputs, both by name; [Model.Inputs] and [Model.Outputs] list the names, element types
// and shapes. A dimension without a fixed size, such as the batch, takes its size from the
// inputs of each run.
//
// The built-in operators are the standard operators of opsets 1 to 27, those of ai.onnx.ml,
// which exporters write for the models of scikit-learn, and the operators of Spike-By-Spike
// networks, such as SbS of the domain ai.sbs. [WithOperators] adds others. The model itself can define more
// operators, as ONNX functions.
//
// [Check] lists everything in a file that keeps it from being loaded.
//
// A model that sbs-convert or sbs-train wrote has a checksum. [Open], [OpenFS] and [New] refuse
// one that does not match it, with an error that wraps [ErrChecksum]: see [IgnoreChecksum].
// [LoadContext] ends loading early.
//
// # Sequences, optional values and maps
//
// An input or output may be a sequence, an optional value or a map instead of a tensor: its
// Type says so. ops.NewSequence, ops.NewOptional and ops.NewMap make such a value, and its
// method Items and the function ops.MapOf return what it holds. The classifiers of
// scikit-learn return a sequence of maps, one per row, from the classes to their
// probabilities:
//
//	for _, row := range out["output_probability"].Items() {
//		classes, probabilities := ops.MapOf(row)
//		fmt.Println(classes.Int64s(), probabilities.Float32s())
//	}
//
// # Spike-By-Spike layers
//
// A Spike-By-Spike layer is stochastic. At each position of its output, it draws a given
// number of spikes. A spike is one of the inputs of this position, chosen at random with a
// probability proportional to its value. After each spike, the layer updates h, the
// activities of its neurons at this position. These activities are not negative and sum to
// 1. The weight of an update is epsilon_0·epsilon_t: epsilon_0 is one number per layer,
// and epsilon_t usually decreases from spike to spike. More spikes take more time and make
// the result more accurate. Package ops/sbs has the formulas and the papers.
//
// [Model.SbSLayers] lists the nodes of these layers. sbs-convert names them after the
// index of the layer in the network: node "L0/SbS" computes layer "L0". [Layer] and
// [Watcher] accept both names.
//
// # Stages
//
// A model may have stages, from few spikes to many. An image leaves at the first [Stage] whose
// two most probable classes are far enough apart. [Model.Run] returns the output of this stage,
// and [ReportEffort] tells which one it was. [Model.Stages] lists the stages. The thresholds
// apply to the stages as they are in the file: options that change or observe a
// Spike-By-Spike layer need [OnlyStage], which loads one stage as a model without stages.
//
// # Options
//
// An [Option] sets how a model is loaded, and a [RunOption] sets how one run computes. The
// options for Spike-By-Spike layers are both: [Spikes], [WithSampler], [Epsilon0],
// [EpsilonSchedule] and [AllLayers] change all layers, and [Layer] changes one.
//
//	model, err := runtime.Open("model.onnx", runtime.Workers(2))
//	...
//	out, err := model.Run(ctx, inputs, runtime.Spikes(100), runtime.Layer("L0", runtime.Dynamics{Spikes: 25}))
//
// Options of a run take precedence over options of the model, and a later option over an
// earlier one of the same kind. The zero value of a number, of a list or of a [Sampler]
// means the default; a zero [Schedule], however, is the constant schedule. An invalid value,
// or an option that the model does not support, is an error that wraps [ErrOption].
//
// # Reproducible results
//
// The random numbers of a node depend on the seed and the number of each image, and on nothing else: see
// [Seed] and [FirstImage]. A run with the same model, inputs, options, seeds and numbers therefore gives
// the same outputs, bit for bit. The number of workers, the processor, and the division of the images into
// batches do not matter. Some standard operators are an exception: see package ops/std.
//
// # Ownership
//
// A Model never changes. Run does not modify its inputs, and the caller must not modify
// them until Run returns. The outputs belong to the caller: they share memory neither with
// the model, nor with the inputs, nor with each other.
//
// # Concurrency
//
// A Model is safe for concurrent use. A run computes in the goroutine that calls Run and in
// up to Workers-1 goroutines of the model. These start when a run first needs them, and
// concurrent runs share them. [Model.Close] ends them.
//
// # Memory
//
// A Model keeps its weights as they are stored in the file. For Spike-By-Spike layers, it
// keeps a second copy in the form that the computation needs. It also keeps the buffers of
// its last runs, one set per concurrent run, until the garbage collector frees them. If runs
// change the spikes or other properties of Spike-By-Spike layers, the model keeps copies of
// the weights for up to 64 combinations of layer and properties. A Model does not keep the
// bytes of its file. [MemoryLimit] bounds the values of one run.
//
// # Speed
//
// [Profile] reports how long every node takes, and the memory that it needs. sbs-run --profile
// prints this for a model and its inputs.
//
// # Errors
//
// Errors name the file, the node or the option. They wrap the variables of this package, such
// as [ErrInput], where these apply. An error at a node also wraps a [NodeError].
package runtime
