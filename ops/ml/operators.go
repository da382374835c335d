package ml

import "github.com/spike-by-spike/sbs/ops"

// Operators returns the operators of this package.
func Operators() []ops.Operator {
	return []ops.Operator{
		operator("ArrayFeatureExtractor", []int{1}, 2, 2, 1, newArrayFeatureExtractor),
		operator("Binarizer", []int{1}, 1, 1, 1, newBinarizer),
		operator("CastMap", []int{1}, 1, 1, 1, newCastMap),
		operator("CategoryMapper", []int{1}, 1, 1, 1, newCategoryMapper),
		operator("DictVectorizer", []int{1}, 1, 1, 1, newDictVectorizer),
		operator("FeatureVectorizer", []int{1}, 1, ops.Variadic, 1, newFeatureVectorizer),
		operator("Imputer", []int{1}, 1, 1, 1, newImputer),
		operator("LabelEncoder", []int{1, 2, 4}, 1, 1, 1, newLabelEncoder),
		operator("LinearClassifier", []int{1}, 1, 1, 2, newLinearClassifier),
		operator("LinearRegressor", []int{1}, 1, 1, 1, newLinearRegressor),
		operator("Normalizer", []int{1}, 1, 1, 1, newNormalizer),
		operator("OneHotEncoder", []int{1}, 1, 1, 1, newOneHotEncoder),
		operator("SVMClassifier", []int{1}, 1, 1, 2, newSVMClassifier),
		operator("SVMRegressor", []int{1}, 1, 1, 1, newSVMRegressor),
		operator("Scaler", []int{1}, 1, 1, 1, newScaler),
		operator("TreeEnsemble", []int{5}, 1, 1, 1, newTreeEnsemble),
		operator("TreeEnsembleClassifier", []int{1, 3, 5}, 1, 1, 2, newTreeEnsembleClassifier),
		operator("TreeEnsembleRegressor", []int{1, 3, 5}, 1, 1, 1, newTreeEnsembleRegressor),
		operator("ZipMap", []int{1}, 1, 1, 1, newZipMap),
	}
}
