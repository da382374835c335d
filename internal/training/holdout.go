package training

import (
	"encoding/hex"
	"fmt"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
)

// holdBack removes the images that no weight may see from the training images, and returns
// what the model has to record about them. record is what the weights at the start of the
// training record; trained reports whether they were trained before.
func (j *job) holdBack(want cli.OptionalInt, record *convert.Holdout, trained bool) (*convert.Holdout, error) {
	sum := j.images.Sum()
	now := convert.Holdout{Images: want.Value, Of: j.images.Len(), Data: hex.EncodeToString(sum[:])}
	switch {
	case !want.Set && record == nil:
		return nil, nil
	case !want.Set && (record.Data != now.Data || record.Of != now.Of):
		j.note("the model was trained with %d images held back from another training set; from the images of this training none are held back", record.Images)
		return nil, nil
	case !want.Set:
		now.Images = record.Images
	case want.Value == 0:
		return nil, nil
	case !trained:
	case record == nil:
		return nil, fmt.Errorf("--holdout %d: the weights at the start of the training may have seen all images: train from a configuration without weights, or keep other images for sbs-optimize --validation", want.Value)
	case record.Data != now.Data || record.Of != now.Of:
		return nil, fmt.Errorf("--holdout %d: the model was trained with images held back from another training set, and its weights may have seen all images of this one", want.Value)
	case want.Value > record.Images:
		return nil, fmt.Errorf("--holdout %d: the training of the model held back %d images, and its weights may have seen the others", want.Value, record.Images)
	}
	if now.Images >= now.Of {
		return nil, fmt.Errorf("--holdout %d leaves nothing to train with: there are %d training images", now.Images, now.Of)
	}
	kept, held := dataset.Holdout(now.Of, now.Images)
	j.heldBack, j.images = j.images.Subset(held), j.images.Subset(kept)
	return &now, nil
}
