// Package models embeds the test pictures that lie beside the networks in this folder, for
// programs that show them. The files LICENSE-DATA name their sources and licenses.
package models

import "embed"

// Pictures has the PNG files DATASET/images/CLASS/NAME.png of the data sets mnist and
// fashion-mnist, 28x28 pixels each, three per class. CLASS is the number of the class.
//
//go:embed mnist/images mnist/LICENSE-DATA fashion-mnist/images fashion-mnist/LICENSE-DATA
var Pictures embed.FS
