package pytorch

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
)

// noOrder selects the arrays without an order.
const noOrder = "none"

// order returns the order of the arrays to read as their names have it, "" for none.
func (opt Options) order(c *config) (string, error) {
	none := opt.Order == "" || opt.Order == noOrder
	var wanted float64
	if !none {
		var err error
		if wanted, err = parseOrder(opt.Order); err != nil {
			return "", fmt.Errorf("%w, or %s", err, noOrder)
		}
	}
	if g, _ := c.generation(""); g == may2022 {
		if !none {
			return "", fmt.Errorf("the order %s was requested, but the arrays of dialect 1 have no order", opt.Order)
		}
		return "", nil
	}
	found, err := ordersIn(opt.Weights)
	switch {
	case err != nil:
		return "", err
	case opt.Order == noOrder:
		return "", nil
	case !none:
		for _, order := range found {
			if v, err := strconv.ParseFloat(order, 64); err == nil && v == wanted {
				return order, nil
			}
		}
		return pythonFloat(wanted), nil
	case len(found) == 0:
		return "", nil
	case len(found) == 1:
		return found[0], nil
	}
	return "", fmt.Errorf("the arrays in %s have several orders: %s; choose one with --order", opt.Weights, strings.Join(named(found), ", "))
}

// named replaces "" by noOrder.
func named(orders []string) []string {
	orders = slices.Clone(orders)
	for i, order := range orders {
		orders[i] = cmp.Or(order, noOrder)
	}
	return orders
}

func parseOrder(order string) (float64, error) {
	v, err := strconv.ParseFloat(order, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 1) {
		return 0, fmt.Errorf("the order is %q, want a number greater than 0", order)
	}
	return v, nil
}

// ordersIn returns the orders of the arrays in a folder, sorted. "" stands for arrays without an
// order, and as the folder for no folder.
func ordersIn(folder string) ([]string, error) {
	if folder == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, e := range entries {
		if id, ok := parseName(e.Name()); ok && id.quantity != epsilonFile {
			found[id.order] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// pythonFloat writes a number as Python does.
func pythonFloat(v float64) string {
	if v < 1e-4 || v >= 1e16 {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// spikesOfOrder returns the number of spikes that an order gives to layer 0, which is the order
// times the number of values of the input, rounded up.
func spikesOfOrder(order string, in convert.Size) (int, error) {
	spikes, err := strconv.ParseFloat(order, 64)
	for _, n := range [3]int{in.Channels, in.Height, in.Width} {
		spikes *= float64(n)
	}
	spikes = math.Ceil(spikes)
	if err != nil || !(spikes >= 1 && spikes <= maxSpikes) {
		return 0, fmt.Errorf("the order %s of the arrays times the %v values of the input is not 1 to %d spikes; choose other arrays with --order", order, in, maxSpikes)
	}
	return int(spikes), nil
}

// order returns the order in the names of a network's arrays.
func (opt SaveOptions) order(n *convert.Network) (string, error) {
	if opt.Order == "" {
		return orderOf(n), nil
	}
	v, err := parseOrder(opt.Order)
	if err != nil {
		return "", err
	}
	order := pythonFloat(v)
	if n != nil && n.Dialect == 1 {
		return "", fmt.Errorf("the order %s was requested, but the arrays of dialect 1 have no order", order)
	}
	return order, fitsOrder(n, order)
}

// orderOf returns the order of the files that a network was read from, "" if there is none or
// if the number of spikes of layer 0 contradicts it.
func orderOf(n *convert.Network) string {
	if n == nil || n.Dialect == 1 {
		return ""
	}
	order := originOf(n.Sources).order
	if order == "" || fitsOrder(n, order) != nil {
		return ""
	}
	return order
}

// fitsOrder returns an error if layer 0 does not have the number of spikes that belongs to an
// order.
func fitsOrder(n *convert.Network, order string) error {
	if n == nil || len(n.Layers) == 0 {
		return nil // an error elsewhere
	}
	var spikes int
	switch l := n.Layers[0].(type) {
	case *convert.SbS:
		spikes = l.Spikes
	case *convert.SpikeImage:
		spikes = l.Spikes
	default:
		return nil
	}
	sizes, err := n.Sizes()
	if err != nil {
		return err
	}
	want, err := spikesOfOrder(order, sizes[0])
	if err == nil && spikes != want {
		err = fmt.Errorf("the order %s means %d spikes of layer 0, which has %d: choose one of them", order, want, spikes)
	}
	return err
}
