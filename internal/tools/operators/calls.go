package main

import "github.com/spike-by-spike/sbs/ops"

// call is a way to call an operator. [input] describes its inputs.
type call struct {
	inputs     []string
	attributes ops.Attributes
	version    int // of the operator set, 0 for the newest
}

type (
	attrs = ops.Attributes
	in    = []string
)

// controls are the types of the first inputs of operators that cannot run alone: operators with
// subgraphs, and Gradient, which is a part of a graph.
var controls = map[string]string{
	"FlexAttention": "*float*", "Gradient": "float32", "If": "bool", "Loop": "int64", "Scan": "all", "SequenceMap": "sequence",
}

// callsOf are the calls of operators that need attributes, or whose inputs differ in type or
// shape.
var callsOf = map[string][]call{
	"AffineGrid":  {{inputs: in{"T 1,2,3", "int64 4 = 1,1,2,2"}}},
	"Attention":   {{inputs: in{"T 1,1,2,4", "T 1,1,3,4", "T 1,1,3,4"}}},
	"AveragePool": {{inputs: in{"T 1,1,4,4"}, attributes: attrs{"kernel_shape": []int64{2, 2}}}},
	"BitCast": {
		{inputs: in{"T 2"}, attributes: attrs{"to": int64(ops.Int8)}}, {inputs: in{"T 2"}, attributes: attrs{"to": int64(ops.Int16)}},
		{inputs: in{"T 2"}, attributes: attrs{"to": int64(ops.Int32)}}, {inputs: in{"T 2"}, attributes: attrs{"to": int64(ops.Int64)}},
		{inputs: in{"T 2"}, attributes: attrs{"to": int64(ops.Int4)}}, {inputs: in{"T 2"}, attributes: attrs{"to": int64(ops.Int2)}},
	},
	"BatchNormalization":  {{inputs: in{"T 1,2,3", "T 2", "T 2", "T 2", "T 2"}}},
	"BitShift":            {{inputs: in{"T 2", "T 2"}, attributes: attrs{"direction": "LEFT"}}},
	"BlackmanWindow":      scalar,
	"Cast":                {{inputs: in{"T 2"}, attributes: attrs{"to": int64(ops.Float32)}}},
	"CastLike":            {{inputs: in{"T 2", "float32 2"}}},
	"CausalConvWithState": {{inputs: in{"T 1,2,3", "T 2,1,2"}}},
	"CenterCropPad":       {{inputs: in{"T 2,3", "int64 2 = 3,2"}}},
	"Col2Im":              {{inputs: in{"T 1,4,4", "int64 2 = 3,3", "int64 2 = 2,2"}}},
	"Compress":            {{inputs: in{"T 2,3", "bool 2"}}},
	"Concat":              {{inputs: in{"T 2", "T 2"}, attributes: attrs{"axis": int64(0)}}},
	"ConcatFromSequence":  {{inputs: in{"T 2"}, attributes: attrs{"axis": int64(0)}}},
	"ConstantFill":        {{inputs: in{"T 2"}}},
	"ConstantOfShape":     {{inputs: in{"T 2"}}},
	"ConvInteger":         {{inputs: in{"T 1,1,4,4", "T 1,1,2,2"}}},
	"Crop":                {{inputs: in{"T 1,1,4,4"}, attributes: attrs{"border": []int64{1, 1, 1, 1}}}},
	"ConvTranspose":       {{inputs: in{"T 1,1,4,4", "T 1,1,2,2"}}},
	"CumProd":             {{inputs: in{"T 2,3", "int64 "}}},
	"CumSum":              {{inputs: in{"T 2,3", "int64 "}}},
	"DFT":                 {{inputs: in{"T 1,4,1"}}},
	"DeformConv":          {{inputs: in{"T 1,1,3,3", "T 1,1,2,2", "T 1,8,2,2"}}},
	"DepthToSpace":        {{inputs: in{"T 1,4,2,2"}, attributes: attrs{"blocksize": int64(2)}}},
	"DequantizeLinear":    {{inputs: in{"T 2", "float32 "}}},
	"DynamicSlice":        {{inputs: in{"T 2,3", "int64 1 = 0", "int64 1 = 1"}}},
	"Einsum":              {{inputs: in{"T 2"}, attributes: attrs{"equation": "i->i"}}},
	"EyeLike":             {{inputs: in{"T 2,3"}, attributes: attrs{"dtype": int64(ops.Float32)}}},
	"Expand":              {{inputs: in{"T 2", "int64 2 = 3,2"}}},
	"GRU":                 {{inputs: in{"T 3,1,2", "T 1,6,2", "T 1,6,2"}, attributes: attrs{"hidden_size": int64(2)}}},
	"Gather":              {{inputs: in{"T 2,3", "int64 2"}}},
	"GatherElements":      {{inputs: in{"T 2,3", "int64 2,3"}}},
	"GatherND":            {{inputs: in{"T 2,3", "int64 1,2"}}},
	"GivenTensorFill":     {{inputs: in{"T 2"}, attributes: attrs{"values": []float32{1, 2}}}},
	"GridSample": {
		{inputs: in{"T 1,1,3,3", "float32 1,2,2,2"}}, {inputs: in{"T 1,1,3,3", "float32 1,2,2,2"}, attributes: attrs{"mode": "nearest"}},
	},
	"GroupNormalization":    {{inputs: in{"T 1,4,3", "T 4", "T 4"}, attributes: attrs{"num_groups": int64(2)}}},
	"HammingWindow":         scalar,
	"HannWindow":            scalar,
	"ImageDecoder":          {{inputs: in{"T 43 = 71,73,70,56,57,97,1,0,1,0,128,0,0,0,0,0,255,255,255,44,0,0,0,0,1,0,1,0,0,2,2,68,1,0,59,0,0,0,0,0,0,0,0"}}}, // GIF
	"InstanceNormalization": {{inputs: in{"T 1,2,3", "T 2", "T 2"}}},
	"LRN":                   {{inputs: in{"T 1,4,4,4"}, attributes: attrs{"size": int64(3)}}},
	"LSTM":                  {{inputs: in{"T 3,1,2", "T 1,8,2", "T 1,8,2"}, attributes: attrs{"hidden_size": int64(2)}}},
	"LinearAttention": {
		{inputs: in{"T 1,2,4", "T 1,2,4", "T 1,2,4"}, attributes: attrs{"q_num_heads": int64(2), "kv_num_heads": int64(2), "update_rule": "linear"}},
	},
	"LpPool":                    {{inputs: in{"T 1,1,4,4"}, attributes: attrs{"kernel_shape": []int64{2, 2}}}},
	"MaxPool":                   {{inputs: in{"T 1,1,4,4"}, attributes: attrs{"kernel_shape": []int64{2, 2}}}},
	"MaxRoiPool":                {{inputs: in{"T 1,1,4,4", "T 1,5 = 0,0,0,2,2"}, attributes: attrs{"pooled_shape": []int64{2, 2}}}},
	"MaxUnpool":                 {{inputs: in{"T 1,1,2,2", "int64 1,1,2,2 = 0,1,2,3"}, attributes: attrs{"kernel_shape": []int64{2, 2}}}},
	"MelWeightMatrix":           {{inputs: in{"T  = 4", "T  = 8", "T  = 1000", "float32  = 1", "float32  = 400"}}},
	"Mod":                       {{inputs: in{"T 2", "T 2"}}, {inputs: in{"T 2", "T 2"}, attributes: attrs{"fmod": int64(1)}}},
	"NegativeLogLikelihoodLoss": {{inputs: in{"T 2,3", "int64 2"}}},
	"NonMaxSuppression":         {{inputs: in{"T 1,3,4", "T 1,2,3"}}},
	"OneHot":                    {{inputs: in{"T 2", "int64  = 3", "float32 2"}}},
	"Pad":                       {{inputs: in{"T 2", "int64 2"}}},
	"QLinearConv":               {{inputs: in{"T 1,1,4,4", "float32 ", "T ", "T 1,1,2,2", "float32 ", "T ", "float32 ", "T "}}},
	"QLinearMatMul":             {{inputs: in{"T 2,2", "float32 ", "T ", "T 2,2", "float32 ", "T ", "float32 ", "T "}}},
	"QuantizeLinear":            {{inputs: in{"T 2", "T "}}, {inputs: in{"T 2", "float32 "}}},
	"RMSNormalization":          {{inputs: in{"T 2,3", "T 3"}}},
	"RNN":                       {{inputs: in{"T 3,1,2", "T 1,2,2", "T 1,2,2"}, attributes: attrs{"hidden_size": int64(2)}}},
	"RandomNormalLike":          {{inputs: in{"T 2"}, attributes: attrs{"dtype": int64(ops.Float32)}}},
	"RandomUniformLike":         {{inputs: in{"T 2"}, attributes: attrs{"dtype": int64(ops.Float32)}}},
	"Range":                     {{inputs: in{"T  = 0", "T  = 3", "T  = 1"}}},
	"RegexFullMatch":            {{inputs: in{"T 2"}, attributes: attrs{"pattern": "1"}}},
	"Reshape":                   {{inputs: in{"T 2,3", "int64 2 = 3,2"}}},
	"Resize":                    {{inputs: in{"T 1,1,4,4", "float32 0", "float32 4 = 1,1,2,2"}}},
	"ReverseSequence":           {{inputs: in{"T 2,3", "int64 3"}}},
	"RoiAlign":                  {{inputs: in{"T 1,1,4,4", "T 1,4 = 0,0,2,2", "int64 1 = 0"}}},
	"RotaryEmbedding":           {{inputs: in{"T 1,2,3,4", "T 1,3,2", "T 1,3,2"}}},
	"STFT":                      {{inputs: in{"T 1,8,1", "int64  = 2", "T 4"}}},
	"Scatter":                   {{inputs: in{"T 2,3", "int64 1,2", "T 1,2"}}},
	"ScatterElements":           {{inputs: in{"T 2,3", "int64 1,2", "T 1,2"}}},
	"ScatterND":                 {{inputs: in{"T 2,3", "int64 1,2", "T 1"}}},
	"SequenceAt":                {{inputs: in{"T 2", "int64 "}}},
	"SequenceInsert":            {{inputs: in{"T 2", "float32 2"}}},
	"Slice":                     {{inputs: in{"T 2,3", "int64 1", "int64 1"}}},
	"SoftmaxCrossEntropyLoss":   {{inputs: in{"T 2,3", "int64 2"}}},
	"SpaceToDepth":              {{inputs: in{"T 1,1,4,4"}, attributes: attrs{"blocksize": int64(2)}}},
	"Split":                     {{inputs: in{"T 2"}, attributes: attrs{"num_outputs": int64(1)}}},
	"StringNormalizer":          {{inputs: in{"T 2"}}},
	"StringSplit":               {{inputs: in{"T 2"}}},
	"TensorScatter":             {{inputs: in{"T 1,4,2", "T 1,2,2"}}},
	"TfIdfVectorizer": {
		{inputs: in{"T 3"}, attributes: attrs{
			"mode": "TF", "min_gram_length": int64(1), "max_gram_length": int64(1), "max_skip_count": int64(0),
			"ngram_counts": []int64{0}, "ngram_indexes": []int64{0}, "pool_int64s": []int64{1},
		}},
		{inputs: in{"T 3"}, attributes: attrs{
			"mode": "TF", "min_gram_length": int64(1), "max_gram_length": int64(1), "max_skip_count": int64(0),
			"ngram_counts": []int64{0}, "ngram_indexes": []int64{0}, "pool_strings": []string{"1"},
		}},
	},
	"Tile":      {{inputs: in{"T 2", "int64 1 = 2"}}},
	"TopK":      {{inputs: in{"T 3", "int64 1 = 2"}}},
	"Unsqueeze": {{inputs: in{"T 2", "int64 1 = 0"}}},
	"Upsample":  {{inputs: in{"T 1,1,2,2", "float32 4 = 1,1,2,2"}, version: 9}},
	"Where":     {{inputs: in{"T 2", "float32 2", "float32 2"}}},

	"ArrayFeatureExtractor": {{inputs: in{"T 2,3", "int64 2"}}},
	"CastMap":               {{inputs: in{"T 3 = 0,1,2"}}},
	"CategoryMapper":        {{inputs: in{"T 2"}, attributes: attrs{"cats_int64s": []int64{1}, "cats_strings": []string{"1"}}}},
	"DictVectorizer":        {{inputs: in{"T 3 = 0,1,2"}, attributes: attrs{"int64_vocabulary": []int64{0, 1, 2}}}},
	"Imputer": {
		{inputs: in{"T 2,3"}, attributes: attrs{"imputed_value_floats": []float32{1}}}, {inputs: in{"T 2,3"}, attributes: attrs{"imputed_value_int64s": []int64{1}}},
	},
	"LabelEncoder": {
		{inputs: in{"T 2"}, attributes: attrs{"keys_tensor": vector[float64](1), "values_tensor": vector[float32](1)}},
		{inputs: in{"T 2"}, attributes: attrs{"keys_tensor": vector[int16](1), "values_tensor": vector[float32](1)}},
		{inputs: in{"T 2"}, attributes: attrs{"keys_tensor": vector[int32](1), "values_tensor": vector[float32](1)}},
		{inputs: in{"T 2"}, attributes: attrs{"keys_int64s": []int64{1}, "values_floats": []float32{1}}},
		{inputs: in{"T 2"}, attributes: attrs{"keys_floats": []float32{1}, "values_floats": []float32{1}}},
		{inputs: in{"T 2"}, attributes: attrs{"keys_strings": []string{"1"}, "values_floats": []float32{1}}},
	},
	"LinearClassifier": {
		{inputs: in{"T 2,3"}, attributes: attrs{"coefficients": []float32{1, 2, 3, 4, 5, 6}, "intercepts": []float32{0, 0}, "classlabels_ints": []int64{0, 1}}},
	},
	"LinearRegressor": {{inputs: in{"T 2,3"}, attributes: attrs{"coefficients": []float32{1, 2, 3}}}},
	"OneHotEncoder": {
		{inputs: in{"T 2"}, attributes: attrs{"cats_int64s": []int64{1, 2}}}, {inputs: in{"T 2"}, attributes: attrs{"cats_strings": []string{"1"}}},
	},
	"SVMClassifier": {{inputs: in{"T 2,3"}, attributes: attrs{
		"classlabels_ints": []int64{0, 1}, "coefficients": []float32{1, -1}, "rho": []float32{0}, "support_vectors": []float32{1, 2, 3, 4, 5, 6}, "vectors_per_class": []int64{1, 1},
	}}},
	"SVMRegressor": {{inputs: in{"T 2,3"}, attributes: attrs{"coefficients": []float32{1}, "rho": []float32{0}, "support_vectors": []float32{1, 2, 3}, "n_supports": int64(1)}}},
	"TreeEnsemble": {{inputs: in{"T 2,3"}, attributes: attrs{
		"nodes_falseleafs": []int64{1}, "nodes_falsenodeids": []int64{0}, "nodes_trueleafs": []int64{1}, "nodes_truenodeids": []int64{1},
		"nodes_featureids": []int64{0}, "nodes_modes": vector[uint8](0), "nodes_splits": vector[float32](1),
		"leaf_targetids": []int64{0, 0}, "leaf_weights": vector[float32](1, 2), "tree_roots": []int64{0},
	}}},
	"TreeEnsembleClassifier": {{version: 3, inputs: in{"T 2,3"}, attributes: attrs{
		"class_ids": []int64{0}, "class_nodeids": []int64{0}, "class_treeids": []int64{0}, "class_weights": []float32{1}, "classlabels_int64s": []int64{0, 1},
		"nodes_falsenodeids": []int64{0}, "nodes_featureids": []int64{0}, "nodes_modes": []string{"LEAF"}, "nodes_nodeids": []int64{0}, "nodes_treeids": []int64{0},
		"nodes_truenodeids": []int64{0}, "nodes_values": []float32{0},
	}}},
	"TreeEnsembleRegressor": {{version: 3, inputs: in{"T 2,3"}, attributes: attrs{
		"target_ids": []int64{0}, "target_nodeids": []int64{0}, "target_treeids": []int64{0}, "target_weights": []float32{1}, "n_targets": int64(1),
		"nodes_falsenodeids": []int64{0}, "nodes_featureids": []int64{0}, "nodes_modes": []string{"LEAF"}, "nodes_nodeids": []int64{0}, "nodes_treeids": []int64{0},
		"nodes_truenodeids": []int64{0}, "nodes_values": []float32{0},
	}}},
	"ZipMap": {{inputs: in{"T 2,3"}, attributes: attrs{"classlabels_int64s": []int64{0, 1, 2}}}},

	"Adagrad":  {{inputs: in{"T ", "int64 ", "float32 2", "float32 2", "float32 2"}}},
	"Adam":     {{inputs: in{"T ", "int64 ", "float32 2", "float32 2", "float32 2", "float32 2"}}},
	"Momentum": {{inputs: in{"T ", "int64 ", "float32 2", "float32 2", "float32 2"}, attributes: attrs{"alpha": float32(0.5), "beta": float32(0.5), "mode": "standard", "norm_coefficient": float32(0)}}},
}

var scalar = []call{{inputs: in{"T  = 4"}}}

// vector returns a tensor as the value of an attribute.
func vector[E ops.Element](elements ...E) *ops.Tensor {
	x, err := ops.NewTensor([]int{len(elements)}, elements)
	if err != nil {
		panic(err) // the shape fits
	}
	return x
}
