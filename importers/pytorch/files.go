package pytorch

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Quantities of a layer, as file names begin with them.
const (
	weightFile  = "Weight"
	biasFile    = "Bias"
	meanFile    = "Mean"
	epsilonFile = "EpsXY"
)

// fileID is the information in the name of an array file.
type fileID struct {
	quantity    string
	layer, step int
	order       string // "" if there is none
}

// compare orders files by layer, quantity and step.
func (id fileID) compare(other fileID) int {
	return cmp.Or(cmp.Compare(id.layer, other.layer), cmp.Compare(id.quantity, other.quantity), cmp.Compare(id.step, other.step), cmp.Compare(id.order, other.order))
}

func (id fileID) String() string {
	step, order := strconv.Itoa(id.step), ""
	if id.step < 0 {
		step = "*"
	}
	if id.order != "" {
		order = "_" + id.order
	}
	return fmt.Sprintf("%s_L%d_S%s%s.npy", id.quantity, id.layer, step, order)
}

// maxStep is the largest step that fileName accepts.
const maxStep = 999_999_999

var fileName = regexp.MustCompile(`^(Weight|Bias|Mean|EpsXY)_L([0-9]{1,9})_S([0-9]{1,9})(?:_([0-9]{1,17}(?:\.[0-9]{1,20})?(?:e[-+]?[0-9]{1,3})?))?\.npy(\.gz)?$`)

// ParseName returns the training step and the order in the name of an array file, such as 5 and
// "0.5" for Weight_L0_S5_0.5.npy. The order is "" if the name has none. ParseName returns false for
// other names.
func ParseName(name string) (step int, order string, ok bool) {
	id, ok := parseName(name)
	return id.step, id.order, ok
}

// parseName parses the name of an array file.
func parseName(name string) (fileID, bool) {
	m := fileName.FindStringSubmatch(name)
	if m == nil {
		return fileID{}, false
	}
	// At most nine digits each.
	layer, _ := strconv.Atoi(m[2])
	step, _ := strconv.Atoi(m[3])
	id := fileID{m[1], layer, step, m[4]}
	// Python writes a float with a point or an exponent.
	return id, id.order == "" || strings.ContainsAny(id.order, ".e")
}

// index lists the array files of a network.
type index struct {
	weights   string
	order     string              // of the arrays
	found     []string            // the orders in the weights folder
	orders    bool                // the names of arrays can have one
	anyOrder  bool                // arrays of all orders are listed
	epsilonXY string              // the folder of the EpsXY files, "" if none was found
	looked    []string            // the folders that were searched for EpsXY files
	files     map[fileID][]string // paths
	odd       []string            // warnings about files with similar names that are ignored
}

// newIndex lists the files of the weights folder and, for dialect 1, of the
// EpsXY folder.
func newIndex(opt Options, p *plan, c *config, configuration []string, start *Start) (*index, error) {
	x := &index{weights: opt.Weights, order: opt.Order, orders: generations.typed[p.generation], files: map[fileID][]string{}}
	if opt.Weights == "" { // nothing is read, but paths are relative to this folder
		x.weights = filepath.Join(filepath.Dir(configuration[0]), "Weights")
		return x, nil
	}
	if _, err := x.scan(opt.Weights, weightFile, biasFile, meanFile); err != nil {
		return nil, err
	}
	var err error
	if x.found, err = ordersIn(opt.Weights); err != nil {
		return nil, err
	}
	if start == nil || !start.Overload {
		p.warnOverload(c)
	}
	if !generations.epsilonFiles[p.generation] {
		if opt.EpsilonXY != "" {
			p.warn("the given folder of EpsXY files is not used: dialect 2 has no such files")
		}
		return x, nil
	}
	if opt.EpsilonXY != "" {
		x.looked = []string{opt.EpsilonXY}
		n, err := x.scan(opt.EpsilonXY, epsilonFile)
		if n > 0 {
			x.epsilonXY = opt.EpsilonXY
		}
		return x, err
	}
	x.looked = []string{opt.Weights, filepath.Join(opt.Weights, "..", "EpsXY")}
	if filepath.IsLocal(c.epsilonPath) {
		at := configuration[0]
		if f, ok := c.given["eps_xy_path"]; ok {
			at = f
		}
		if named := filepath.Join(filepath.Dir(at), c.epsilonPath); !slices.Contains(x.looked, named) {
			x.looked = append(x.looked, named)
		}
	} else {
		// A configuration may come from anywhere and must not select other folders of
		// this computer.
		p.warn("%s %q is not below the folder of the configuration and is ignored; use --eps-xy DIR", c.where("eps_xy_path"), c.epsilonPath)
	}
	for _, folder := range x.looked {
		n, err := x.scan(folder, epsilonFile)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		if n > 0 {
			x.epsilonXY = folder
			break
		}
	}
	return x, nil
}

// warnOverload warns of a folder whose files PyTorch-SbS would read instead of those in
// the weights folder.
func (p *plan) warnOverload(c *config) {
	name, folder := c.overloadFolder()
	if name == "" {
		return
	}
	// A configuration may come from anywhere and must not make Load read other folders of
	// this computer.
	if folder != "" {
		there := &index{orders: true, anyOrder: true, files: map[fileID][]string{}}
		if n, err := there.scan(folder, weightFile); err != nil || n == 0 {
			return
		}
	}
	p.warn("%s %q is ignored, although PyTorch-SbS would prefer the Weight files in that folder; "+
		"copy them to the weights folder if they belong to the network", c.where(keyOverload), name)
}

const keyOverload = "learning_parameters.overload_path"

// overloadFolder returns the value of overload_path, or its default, and the folder that
// it names, "" if that is not below the folder of the configuration.
func (c *config) overloadFolder() (name, folder string) {
	name = newTraining().OverloadPath
	if _, ok := c.given[keyOverload]; ok {
		name = c.overload
	}
	return name, c.below(keyOverload, name)
}

// below returns the folder that a key names relative to the folder of the configuration, "" if it
// is not below that folder.
func (c *config) below(key, name string) string {
	at := c.files[0]
	if file, ok := c.given[key]; ok {
		at = file
	}
	if name == "" || !filepath.IsLocal(name) {
		return ""
	}
	return filepath.Join(filepath.Dir(at), name)
}

// scan adds a folder's files of the given quantities and returns their number.
func (x *index) scan(folder string, quantities ...string) (int, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		quantity, _, ok := strings.Cut(e.Name(), "_L")
		if !ok || !slices.Contains(quantities, quantity) {
			continue
		}
		path := filepath.Join(folder, e.Name())
		id, ok := parseName(e.Name())
		if !ok || id.order != "" && !x.orders {
			likeOrder := ""
			if x.orders {
				likeOrder = ", or " + quantity + "_L0_S0_5.0.npy with an order, which has a point or an exponent"
			}
			x.odd = append(x.odd, path+" is ignored: want a name like "+quantity+"_L0_S0.npy or "+quantity+"_L0_S0.npy.gz"+likeOrder)
			continue
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			x.odd = append(x.odd, path+" is ignored: not a regular file, or a link to none")
			continue
		}
		if id.order != x.order && !x.anyOrder {
			continue
		}
		x.files[id] = append(x.files[id], path)
		n++
	}
	return n, nil
}

// want is a quantity of a layer that can have a file. A layer without a required file is
// untrained.
type want struct {
	quantity string
	required bool
}

func (p *plan) wants(l layer) []want {
	switch {
	case l.kind.sbs():
		w := []want{{weightFile, l.kind == kindSbS}}
		if generations.epsilonFiles[p.generation] {
			w = append(w, want{epsilonFile, l.epsilonXY})
		}
		return w
	case l.kind.nnmf():
		return []want{{weightFile, true}}
	case l.kind.conv():
		return []want{{weightFile, true}, {biasFile, true}}
	case l.kind == kindOnOff && generations.onOffMean[p.generation]:
		return []want{{meanFile, true}}
	}
	return nil
}

// uses reports whether a file can belong to a layer of the network.
func (p *plan) uses(id fileID) bool {
	return id.layer < len(p.layers) && slices.ContainsFunc(p.wants(p.layers[id.layer]),
		func(w want) bool { return w.quantity == id.quantity })
}

// missing describes the required files that are missing at a step, and reports whether
// an EpsXY file is one of them.
func (x *index) missing(p *plan, step int) (list []string, epsilon bool) {
	for _, l := range p.layers {
		for _, w := range p.wants(l) {
			id := fileID{w.quantity, l.index, step, x.order}
			if w.required && len(x.files[id]) == 0 {
				list = append(list, fmt.Sprintf("%v lacks %v", l, id))
				epsilon = epsilon || w.quantity == epsilonFile
			}
		}
	}
	return list, epsilon
}

// choose returns the step to read and why, or an error that wraps ErrMissing.
func (x *index) choose(p *plan, opt Options, learningStep int) (int, StepChoice, error) {
	steps := x.steps(p)
	step, choice := -1, StepComplete
	switch {
	case opt.Step != nil:
		step, choice = *opt.Step, StepGiven
	case learningStep > 0:
		step, choice = learningStep, StepConfiguration
	default:
		complete := func(s int) bool { list, _ := x.missing(p, s); return len(list) == 0 }
		if i := slices.IndexFunc(steps, complete); i >= 0 {
			return steps[i], choice, nil
		}
		if len(steps) > 0 {
			step = steps[0]
		}
	}
	list, epsilon := x.missing(p, step)
	if len(list) == 0 {
		return step, choice, nil
	}
	if opt.AllowUntrained {
		if choice == StepComplete {
			choice = StepHighest
		}
		return step, choice, nil
	}
	if len(list) > 10 {
		list = append(list[:10], fmt.Sprintf("and %d more", len(list)-10))
	}
	at := fmt.Sprintf("at step %d", step)
	if step < 0 {
		at = "at any step"
	}
	advice := "supply the files, choose another step with --step" + others(steps, step) +
		", or use initial values with --allow-untrained"
	if len(steps) == 0 && x.orders && len(x.found) > 0 && !slices.Contains(x.found, x.order) {
		advice = "the orders of the arrays are " + strings.Join(named(x.found), ", ") + ": choose one of them with --order"
	}
	if epsilon {
		advice += fmt.Sprintf("; --eps-xy DIR names the folder of the EpsXY files (looked for in %s)", strings.Join(x.looked, ", "))
	}
	for _, why := range x.odd[:min(len(x.odd), 10)] {
		advice += "; " + why
	}
	return 0, "", fmt.Errorf("%w in %s: %s, %s; %s", ErrMissing, x.weights, at, strings.Join(list, ", "), advice)
}

// steps returns the steps at which the network's layers have files, highest first.
func (x *index) steps(p *plan) []int {
	set := map[int]bool{}
	for id := range x.files {
		if p.uses(id) {
			set[id.step] = true
		}
	}
	steps := slices.Sorted(maps.Keys(set))
	slices.Reverse(steps)
	return steps
}

// others lists the steps other than step, for an error.
func others(steps []int, step int) string {
	var s []string
	for _, n := range steps {
		if n != step && len(s) < 10 {
			s = append(s, strconv.Itoa(n))
		}
	}
	if len(s) == 0 {
		return " (no other step has files)"
	}
	return fmt.Sprintf(" (steps with files: %s)", strings.Join(s, ", "))
}

// means reports whether a layer ONOFF has a Mean file, at any step. For a training, a file counts
// that an earlier training of the network has left in its folders.
func (x *index) means(p *plan, c *config, start *Start) (bool, error) {
	is := func(id fileID) bool {
		return id.quantity == meanFile && id.layer < len(p.layers) && p.layers[id.layer].kind == kindOnOff
	}
	for id := range x.files {
		if is(id) {
			return true, nil
		}
	}
	if start == nil || !start.Overload {
		return false, nil
	}
	_, overload := c.overloadFolder()
	for _, folder := range []string{overload, c.below("weight_path", c.weightPath(p.generation))} {
		if info, err := os.Stat(folder); folder == "" || err != nil || !info.IsDir() {
			continue
		}
		previous, err := x.previous(folder)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(previous.files)), is) {
			return true, nil
		}
	}
	return false, nil
}

// find returns the path of a file, "" if it does not exist.
func (x *index) find(l layer, id fileID) (string, error) {
	switch paths := x.files[id]; len(paths) {
	case 0:
		return "", nil
	case 1:
		return paths[0], nil
	default:
		return "", fmt.Errorf("%v: two files for one layer and step, %s; remove the one that is out of date",
			l, strings.Join(paths, " and "))
	}
}

// unused returns warnings about files of the step that do not belong to a layer.
func (x *index) unused(p *plan, step int) []string {
	var w []string
	for id, paths := range x.files {
		switch {
		case id.step != step || p.uses(id):
		case id.quantity == meanFile && id.layer < len(p.layers) && p.layers[id.layer].kind == kindOnOff: // see plan.settle
		case id.layer >= len(p.layers):
			w = append(w, fmt.Sprintf("%s is ignored: the network has only layers 0 to %d", paths[0], len(p.layers)-1))
		default:
			w = append(w, fmt.Sprintf("%s is ignored: %v has no such values", paths[0], p.layers[id.layer]))
		}
	}
	w = append(w, x.odd...)
	slices.Sort(w)
	return w
}

// weightsFolder returns the folder itself, or the folder in it that contains the Weight
// files: Weights (dialect 1), Parameters (dialect 2) or the only such folder.
func weightsFolder(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(entries, isWeight) {
		return folder, nil
	}
	// Files with malformed names are better than none: an error will say what is wrong with them.
	var found []string
	for _, is := range []func(os.DirEntry) bool{isWeight, isLikeWeight} {
		for _, e := range entries {
			sub := filepath.Join(folder, e.Name())
			in, err := os.ReadDir(sub)
			if err == nil && slices.ContainsFunc(in, is) { // otherwise no folder, or one that does not matter
				found = append(found, sub)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	for _, sub := range found {
		if base := filepath.Base(sub); len(found) == 1 || base == "Weights" || base == "Parameters" {
			return sub, nil
		}
	}
	if len(found) > 1 {
		return "", fmt.Errorf("%s has no Weight files, but several of its folders have: name one of %s", folder, strings.Join(found, ", "))
	}
	return folder, nil
}

func isWeight(e os.DirEntry) bool {
	id, ok := parseName(e.Name())
	return ok && id.quantity == weightFile
}

// isLikeWeight reports whether index.scan reports or reads the file.
func isLikeWeight(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), weightFile+"_L") }
