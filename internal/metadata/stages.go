package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Stages is the key of the early stages of a model: a StageList as JSON. A model without
// the key has no stages.
const Stages = "ai.sbs.stages"

// Functions that hold early stages belong to this domain, in this version.
const (
	StageDomain  = "ai.sbs.stages"
	StageVersion = 1
)

// Limits of a StageList.
const (
	MaxEarlyStages = 15
	MaxThreshold   = 2 // a margin is at most 1, so that no image reaches a threshold above 1
)

// StageList describes the stages of a model before its last one, which is the graph of
// the model.
type StageList struct {
	Stages      []Stage      `json:"stages"`
	Calibration *Calibration `json:"calibration,omitempty"`
}

// Stage is an early stage.
type Stage struct {
	Function  string            `json:"function"`           // name of its function in StageDomain
	Threshold float64           `json:"threshold"`          // an image leaves if its margin is at least this, 0 to MaxThreshold
	Metadata  map[string]string `json:"metadata,omitempty"` // the other properties ai.sbs.* of the stage
}

// Calibration records on which images the thresholds were chosen. The fields are those
// of convert.Calibration.
type Calibration struct {
	Images          int       `json:"images"`
	Data            string    `json:"data,omitempty"`
	Source          string    `json:"source,omitempty"`
	MaxAccuracyLoss float64   `json:"max_accuracy_loss"`
	Confidence      float64   `json:"confidence"`
	Seed            uint64    `json:"seed"`
	Losses          []float64 `json:"losses,omitempty"`
	Left            []int     `json:"left,omitempty"`
}

// ParseStages decodes and checks the value of the key Stages.
func ParseStages(text string) (*StageList, error) {
	l := new(StageList)
	var raw struct {
		Stages []struct {
			Stage
			Threshold *float64 `json:"threshold"` // to tell a missing threshold from 0
		} `json:"stages"`
		Calibration *Calibration `json:"calibration"`
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("metadata %s is not a list of stages in JSON: %w", Stages, err)
	}
	l.Calibration = raw.Calibration
	for i, s := range raw.Stages {
		if s.Threshold == nil {
			return nil, fmt.Errorf("metadata %s: stage %d has no threshold", Stages, i+1)
		}
		s.Stage.Threshold = *s.Threshold
		l.Stages = append(l.Stages, s.Stage)
	}
	if err := l.Check(); err != nil {
		return nil, fmt.Errorf("metadata %s: %w", Stages, err)
	}
	return l, nil
}

// Check returns an error if a number or name of the list is out of range.
func (l *StageList) Check() error {
	if n := len(l.Stages); n < 1 || n > MaxEarlyStages {
		return fmt.Errorf("there are %d stages before the last one, want 1 to %d", n, MaxEarlyStages)
	}
	functions := map[string]int{}
	for i, s := range l.Stages {
		if err := s.check(); err != nil {
			return fmt.Errorf("stage %d: %w", i+1, err)
		}
		if first := functions[s.Function]; first > 0 {
			return fmt.Errorf("stages %d and %d have the same function %q", first, i+1, s.Function)
		}
		functions[s.Function] = i + 1
	}
	if l.Calibration == nil {
		return nil
	}
	if err := l.Calibration.Check(len(l.Stages)); err != nil {
		return fmt.Errorf("calibration: %w", err)
	}
	return nil
}

func (s *Stage) check() error {
	if s.Function == "" {
		return errors.New("the name of its function is missing")
	}
	if err := CheckThreshold(s.Threshold); err != nil {
		return err
	}
	for key := range s.Metadata {
		if !strings.HasPrefix(key, Prefix) || key == Stages {
			return fmt.Errorf("a stage cannot have the metadata %q", key)
		}
	}
	return nil
}

// CheckThreshold returns an error if t cannot be the threshold of an early stage.
func CheckThreshold(t float64) error {
	if !(t >= 0 && t <= MaxThreshold) { // true for NaN
		return fmt.Errorf("the threshold is %v, want 0 to 1 (or up to %d, if no image is to leave)", t, MaxThreshold)
	}
	return nil
}

// Check returns an error if a value of the calibration of a number of early stages is out
// of range.
func (c *Calibration) Check(early int) error {
	switch {
	case c.Images < 1:
		return fmt.Errorf("the number of images is %d, want at least 1", c.Images)
	case !utf8.ValidString(c.Data) || !utf8.ValidString(c.Source):
		return errors.New("the description of the images is not valid UTF-8")
	case !(c.MaxAccuracyLoss >= 0 && c.MaxAccuracyLoss <= 100):
		return fmt.Errorf("the largest loss is %v%% of the images, want 0 to 100", c.MaxAccuracyLoss)
	case !(c.Confidence >= 0 && c.Confidence < 1):
		return fmt.Errorf("the confidence is %v, want at least 0 and less than 1", c.Confidence)
	case len(c.Losses) != 0 && len(c.Losses) != early:
		return fmt.Errorf("there are %d losses for %d stages before the last one, want one per stage or none", len(c.Losses), early)
	case len(c.Left) != 0 && len(c.Left) != early:
		return fmt.Errorf("there are %d numbers of images that left for %d stages before the last one, want one per stage or none", len(c.Left), early)
	}
	for i, v := range c.Losses {
		if !(v >= 0 && v <= 100) {
			return fmt.Errorf("the loss of stage %d is %v%% of the images, want 0 to 100", i+1, v)
		}
	}
	rest := c.Images
	for i, n := range c.Left {
		if n < 0 || n > rest {
			return fmt.Errorf("%d images left at stage %d, but only %d of %d were still there", n, i+1, rest, c.Images)
		}
		rest -= n
	}
	return nil
}
