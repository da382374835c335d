package ml

import "github.com/spike-by-spike/sbs/ops"

// Operators returns the operators of this package.
func Operators() []ops.Operator {
	return []ops.Operator{
		operator("ArrayFeatureExtractor", 1, 2, 2, 1, newArrayFeatureExtractor),
		operator("Binarizer", 1, 1, 1, 1, newBinarizer),
		operator("CastMap", 1, 1, 1, 1, newCastMap),
		operator("CategoryMapper", 1, 1, 1, 1, newCategoryMapper),
		operator("DictVectorizer", 1, 1, 1, 1, newDictVectorizer),
		operator("FeatureVectorizer", 1, 1, ops.Variadic, 1, newFeatureVectorizer),
		operator("Imputer", 1, 1, 1, 1, newImputer),
		operator("LabelEncoder", 1, 1, 1, 1, newLabelEncoder),
		operator("LinearClassifier", 1, 1, 1, 2, newLinearClassifier),
		operator("LinearRegressor", 1, 1, 1, 1, newLinearRegressor),
		operator("Normalizer", 1, 1, 1, 1, newNormalizer),
		operator("OneHotEncoder", 1, 1, 1, 1, newOneHotEncoder),
		operator("SVMClassifier", 1, 1, 1, 2, newSVMClassifier),
		operator("SVMRegressor", 1, 1, 1, 1, newSVMRegressor),
		operator("Scaler", 1, 1, 1, 1, newScaler),
		operator("TreeEnsemble", 5, 1, 1, 1, newTreeEnsemble),
		operator("TreeEnsembleClassifier", 1, 1, 1, 2, newTreeEnsembleClassifier),
		operator("TreeEnsembleRegressor", 1, 1, 1, 1, newTreeEnsembleRegressor),
		operator("ZipMap", 1, 1, 1, 1, newZipMap),
	}
}
