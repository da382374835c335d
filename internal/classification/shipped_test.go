package classification

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
)

// The files of the networks in models/ must have the checksums in their README.md, and
// the networks must classify the images beside them.
func TestShippedNetworks_HaveTheDocumentedFilesAndAccuracy(t *testing.T) {
	for name, accuracy := range map[string]string{
		"mnist":         "accuracy 100.00% (30 of 30)",
		"fashion-mnist": "accuracy 93.33% (28 of 30)",
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join("../../models", name)
			card, err := os.ReadFile(filepath.Join(folder, "README.md"))
			require.NoError(t, err)
			files, err := filepath.Glob(filepath.Join(folder, "Weights/*"))
			require.NoError(t, err)
			require.Len(t, files, 4)
			for _, path := range files {
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Contains(t, string(card), fmt.Sprintf("| Weights/%s | %x |\n", filepath.Base(path), sha256.Sum256(data)))
			}

			n, report, err := pytorch.Load(pytorch.Options{Weights: filepath.Join(folder, "Weights")})
			require.NoError(t, err)
			require.Empty(t, report.Warnings)
			out, _, err := command(t, save(t, n, convert.Options{}), filepath.Join(folder, "images"), "--sampler", "low-discrepancy", "--quiet")
			require.NoError(t, err)
			require.Contains(t, out, accuracy)
		})
	}
}

func TestShippedModels_HaveTheDocumentedChecksumAndAccuracy(t *testing.T) {
	const clothes = "../../models/fashion-mnist/images"
	for folder, c := range map[string]struct {
		images string
		want   []string
	}{
		"mnist-fast":   {digits, []string{"1      29 (96.7%)   100.00% (29 of 29)  2770\n", "accuracy 100.00% (30 of 30)"}},
		"mnist-nnmf":   {digits, []string{"accuracy 100.00% (30 of 30)"}},
		"fashion-fast": {clothes, []string{"1      24 (80.0%)   95.83% (23 of 24)  9256\n", "accuracy 96.67% (29 of 30)"}},
		// There are no images of CIFAR-10 in the repository. A picture of another kind is scaled.
		"cifar10-fast": {filepath.Join(clothes, "9"), []string{"3 images in "}},
	} {
		t.Run(folder, func(t *testing.T) {
			card, err := os.ReadFile(filepath.Join("../../models", folder, "README.md"))
			require.NoError(t, err)
			path := filepath.Join("../../models", folder, "model.onnx")
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Contains(t, string(card), fmt.Sprintf("| model.onnx | %x |\n", sha256.Sum256(data)))
			out, _, err := command(t, path, c.images, "--quiet", "--resize")
			require.NoError(t, err)
			for _, want := range c.want {
				require.Contains(t, out, want)
			}
		})
	}
}
