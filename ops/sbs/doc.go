// Package sbs implements the Spike-By-Spike operator, SbS of the ONNX domain
// ai.sbs, version 1: one layer of an SbS network (U. A. Ernst, D. Rotermund
// and K. R. Pawelzik, "Efficient computation based on stochastic spikes",
// Neural Computation 19, 2007; D. Rotermund and K. R. Pawelzik,
// "Back-propagation learning in deep Spike-By-Spike networks", Frontiers in
// Computational Neuroscience 13, 2019).
//
// # What it computes
//
// A layer turns a non-negative input X (B, C, H, W) into h (B, N, OH, OW): at
// each output position a probability vector over N neurons. The input that an
// output position sees is its patch p of K = C*KH*KW entries, indexed
// k = (c*KH + i)*KW + j; padded places are 0. The weights W (K, N) are
// non-negative and every column sums to 1.
//
// At each image and output position, independently of all others:
//
//  1. h[n] = 1/N. Where the patch is all zero it stays so.
//
//  2. S spikes are drawn, independent and identically distributed: spike t is
//     the first k with cumsum(p)[k]/sum(p) >= u[t], with u[t] uniform in [0, 1).
//
//  3. For each spike s in turn, with e = epsilon_0 * epsilon_t[t] *
//     epsilon_xy[position, kernel place of s], q = sum_n h[n]*W[s,n] and the
//     forgetting offset f:
//
//     h[n] <- (h[n] + e*h[n]*W[s,n]/q + e*f/N) / (1 + e*(1+f))
//
//     A spike with q <= 1e-10 changes nothing.
//
//  4. With alpha_iterations = A > 0 the output positions of an image are
//     weighted against each other. With the reconstruction v[k,x,y] =
//     sum_n W[k,n]*h[n,x,y], alpha starts at 1/(OH*OW) and A times
//     a = alpha*v, divided by its sum over the positions (for each k);
//     z = a folded back onto the input grid, times X, summed over the channels;
//     alpha = z unfolded and summed over the kernel places, + 1e-20, divided by
//     its sum over the positions.
//     At the end h is multiplied by alpha.
//
// # Inputs
//
//   - X: float32 (B, C, H, W), finite and not negative.
//   - W: float32 (K, N).
//   - epsilon_xy (optional): float32 (OH, OW) or (OH, OW, KH, KW); absent means 1.
//   - given (optional): what to use in place of random numbers, of shape
//     (B, S, OH, OW): int64 for spikes, rows of W, or float32 for the u of step 2,
//     in [0, 1).
//
// # Attributes
//
//   - kernel_shape (ints, required): KH, KW.
//   - strides, dilations (ints): for height and width, default 1, 1.
//   - pads (ints): top, left, bottom, right; default 0.
//   - number_of_spikes (int, required): S, at least 1.
//   - epsilon_t (floats, required): at least S entries.
//   - epsilon_0 (float): default 1.
//   - forgetting_offset (float): f; not above 0 means no forgetting. Default 0.
//   - alpha_iterations (int): A, default 0.
//   - sampler (string): "iid", the default, or "low_discrepancy": u[t] =
//     frac(u[0] + t/golden ratio) with a random u[0] for each position.
//   - seed (int): tells the layers of a network apart, so that they draw
//     different random numbers. Default 0.
//   - function_seed (float): the seed of the random numbers in the function body
//     that convert gives the operator for other runtimes. This package has a
//     generator of its own and does not look at it.
//
// # Random numbers
//
// Every random number is a function of the run's seed, the node's seed, the
// number of the image, the output position and the number of the spike, and of
// nothing else: see ops.Context, which can also hand in spikes or uniforms and goes
// before the input given.
//
// # Gradients
//
// What goes back is not the derivative of the spikes' loop but a closed form of
// the final h (after alpha), from the paper of 2019. With g the gradient with
// respect to h, p~ = p/P the input distribution, R[k] = sum_n W[k,n]*h[n] and
// G[k] = sum_n W[k,n]*h[n]*g[n], and sums over all images and positions:
//
//	grad_W[k,n] = sum h[n]*p~[k]/(R[k]^2+1e-20) * (R[k]*g[n] - G[k])
//	grad_X      = G[k]/(R[k]+1e-20), added up where patches overlap
//
// Dialect 1 multiplies the latter by a/(1+a), with a = epsilon_xy*epsilon_0, has
//
//	grad_epsilon_xy = sum (G[k]/(R[k]+1e-20)*p~[k] - sum_n h[n]*g[n]) * epsilon_0/(1+a)^2
//
// with a further sum over the channels, and bounds every gradient to +-1e30, NaN
// being 1e30. Dialect 2 has no gradient of epsilon_xy. A layer with local
// learning has in place of grad_W
//
//	-2 * sum (p~[k]-R[k])*h[n]
//
// where a local output layer takes the wanted output for h[n]. See Rule.
package sbs
