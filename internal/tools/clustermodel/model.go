package main

import "math"

// network is a network whose training is measured, and what one machine takes for it.
type network struct {
	name, title string
	length      float64 // bytes of the gradients of a sub-batch, and of the weights
	update      float64 // seconds that the command takes between the rounds of two updates
}

// networks are the networks of cluster/reduce's BenchmarkNetwork. update follows from the times of updates with one and with
// several sub-batches: see docs/clusters.md.
var networks = []network{
	{"mnist", "models/mnist", 4 * 108_256, 1.4e-3},
	{"cifar10", "models/cifar10-fast", 4 * 152_864, 3.2e-3},
}

// cluster is a number of machines with equal links to one switch. The server and the command share one more machine.
type cluster struct {
	machines int
	gbit     float64 // per second, of every link in each direction
	delay    float64 // seconds from a machine to the server
	slowed   float64 // how many times as long everything takes, apart from what processors do with messages; else 1
}

const (
	// payload is the share of the bytes of a TCP segment in an Ethernet frame of 1514 bytes.
	payload = 1448.0 / 1514

	// pieceSize is the largest number of bytes of the weights in one message.
	pieceSize = 1 << 18

	// Messages that wait for each other in a round: the weights, the result of a sub-batch, its announcement, the request for a
	// piece and its answer through the server, and a sum. A machine alone needs no pieces of others.
	delays, delaysAlone = 8, 4
)

// round returns the seconds of a round of sub-batches: from the weights to the sum of the gradients. compute are the
// seconds of the gradient of a sub-batch on one machine. messages are the seconds per byte that processors take for
// weights and gradients one after the other, on the way from the command to a machine and back.
func (c cluster) round(length, compute, messages float64, subBatches int) float64 {
	w := float64(c.machines)
	wire := func(bytes float64) float64 { return bytes / (c.gbit * 1e9 / 8 * payload) } // through the link of the server

	// Every machine gets the weights, one message after the other. The first machines begin to compute while the others get the last message.
	last := math.Mod(length, pieceSize)
	weights := wire(w * length)
	first := max(compute-wire((w-1)*last), 0)

	// All gradients cross the link of the server, apart from the pieces that stay on their machines, while the next ones
	// are computed.
	waves := (subBatches + c.machines - 1) / c.machines
	exchange := func(n int) float64 { return wire(float64(n) * length * (1 - 1/w)) } // of n gradients
	rest := subBatches - (waves-1)*c.machines
	total := weights + first + float64(waves-1)*max(compute, exchange(c.machines)) + exchange(rest) + wire(length)

	n := delays
	if c.machines == 1 {
		n = delaysAlone
	}
	return total + float64(n)*c.delay + messages*length/c.slowed
}

// efficiency returns the speed of a training on machines, divided by that of sbs-train on one of them and by their
// number.
func (c cluster) efficiency(n network, compute, messages float64, subBatches int) float64 {
	alone := float64(subBatches)*compute + n.update
	return alone / float64(c.machines) / (c.round(n.length, compute, messages, subBatches) + n.update)
}
