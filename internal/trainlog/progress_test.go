package trainlog

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shown returns the lines that a terminal shows after s was written to it.
func shown(s string) []string {
	var screen []string
	for _, line := range strings.Split(s, "\n") {
		var cells []rune
		for _, part := range strings.Split(line, "\r") {
			r := []rune(part)
			if len(r) > len(cells) {
				cells = append(cells, r[len(cells):]...)
			}
			copy(cells, r)
		}
		screen = append(screen, strings.TrimRight(string(cells), " "))
	}
	return screen
}

// progress returns a Progress and a function that advances its clock.
func progress(w *bytes.Buffer, total int64, terminal bool, width int) (*Progress, func(seconds float64)) {
	p := NewProgress(w, total, Record{})
	now := time.Unix(1000, 0)
	p.now = func() time.Time { return now }
	p.terminal, p.width = terminal, func() int { return width }
	p.start()
	return p, func(s float64) { now = now.Add(time.Duration(s * float64(time.Second))) }
}

func update(n int64) Record {
	return Record{Update: n, Epoch: n / 4, Images: 100 * n, Loss: 0.123456, TrainError: pointer(12.5)}
}

func TestProgress_UpdatesOneLineOnATerminal(t *testing.T) {
	var b bytes.Buffer
	p, wait := progress(&b, 100, true, 120)
	wait(1)
	p.Phase("training", 50, 100)
	require.Equal(t, []string{"update 0/100  [training 50/100]"}, shown(b.String()))
	wait(1)
	p.Update(update(1))
	require.Equal(t, []string{"update 1/100  epoch 0  loss 0.1235  accuracy 87.50%  50 images/s  3m18s left"}, shown(b.String()))
	before := b.Len()
	wait(0.05)
	p.Phase("testing", 1, 1000)
	require.Equal(t, before, b.Len(), "drawn too often")
	wait(0.1)
	p.Phase("testing", 2, 1000)
	require.Equal(t, []string{"update 1/100  epoch 0  loss 0.1235  accuracy 87.50%  50 images/s  3m18s left  [testing 2/1000]"}, shown(b.String()))
	p.Printf("saved %d\n", 1)
	require.Equal(t, []string{"saved 1", "update 1/100  epoch 0  loss 0.1235  accuracy 87.50%  50 images/s  3m18s left  [testing 2/1000]"}, shown(b.String()))
	r := update(2)
	r.TestError = pointer(1.25)
	p.Update(r) // too soon to be shown
	p.Done()
	s := shown(b.String())
	require.Len(t, s, 3)
	require.Contains(t, s[1], "update 2/100  epoch 0  loss 0.1235  accuracy 87.50%  test 98.75%")
	require.Empty(t, s[2])
}

func TestProgress_ShortensTheLineToTheTerminal(t *testing.T) {
	var b bytes.Buffer
	p, wait := progress(&b, 100, true, 20)
	wait(1)
	p.Update(update(1))
	require.Equal(t, "\rupdate 1/100  epoch", b.String())
	p.width = func() int { return 0 }
	wait(1)
	p.Update(update(2))
}

func TestProgress_WritesLinesToAFile(t *testing.T) {
	var b bytes.Buffer
	p, wait := progress(&b, 10, false, 0)
	for n := int64(1); n <= 10; n++ {
		wait(10)
		p.Phase("testing", 1, 2)
		r := update(n)
		if n == 4 {
			r.TestError = pointer(2)
		}
		p.Update(r)
	}
	p.Done()
	require.NotContains(t, b.String(), "\r")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	require.Len(t, lines, 5)
	for i, want := range []string{
		"update 2/10  epoch 0", "update 4/10  epoch 1", "update 6/10  epoch 1", "update 9/10  epoch 2",
		"update 10/10  epoch 2  loss 0.1235  accuracy 87.50%  test 98.00%  10 images/s",
	} {
		require.True(t, strings.HasPrefix(lines[i], want), "%q", lines[i])
	}
	require.True(t, strings.HasSuffix(lines[1], "  10 images/s  1m00s left"), lines[1])
}

func TestProgress_ShowsAResumedTraining(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, 20, update(10))
	now := time.Unix(1, 0)
	p.now = func() time.Time { return now }
	p.start()
	now = now.Add(40 * time.Second)
	p.Update(update(11))
	require.Equal(t, "update 11/20  epoch 2  loss 0.1235  accuracy 87.50%  2.5 images/s  6m00s left\n", b.String())
	p.Done()
	require.Equal(t, 1, strings.Count(b.String(), "\n"))

	// Done shows the last update of an interrupted training.
	p.Update(update(12))
	p.Done()
	require.Contains(t, b.String(), "\nupdate 12/20")
}

func TestRate_ApproachesTheLatestRate(t *testing.T) {
	var r rate
	_, ok := r.value()
	require.False(t, ok)
	for range 100 {
		r.add(10, 1)
	}
	v, _ := r.value()
	require.InDelta(t, 10, v, 1e-9)
	for range 100 {
		r.add(20, 1)
	}
	v, _ = r.value()
	require.InDelta(t, 20-10*math.Exp(-100./30), v, 0.1)
}

func TestDuration_HasTwoUnits(t *testing.T) {
	for seconds, want := range map[float64]string{
		0.4: "0s", 59.4: "59s", 59.6: "1m00s", 185: "3m05s", 3600: "1h00m", 7620: "2h07m", 273600: "3d04h", math.Inf(1): "11574d01h",
	} {
		require.Equal(t, want, Duration(seconds))
	}
}
