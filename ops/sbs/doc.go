// Package sbs implements the operators of the ONNX domain ai.sbs, version 1: SbS, the
// Spike-By-Spike layer, and SbSFullLayer, NNMF, ApproxConv, Poisson and SpikeImage, other layers
// of PyTorch-SbS. A node with one of these operators is one layer of a network.
//
// # Spike-By-Spike networks
//
// A Spike-By-Spike (SbS) network is a neural network whose layers exchange spikes. A
// layer sees its input as a probability distribution over K input lines, and describes it
// as a mixture of N distributions, which are the columns of its weight matrix W. Each of
// the N neurons of the layer holds the share h[n] of one column in the mixture; the
// shares are probabilities as well. The layer draws input lines at random from the input
// distribution, one after the other. Each draw is a spike, and after each spike the layer
// updates h.
//
// The model comes from
//
//   - U. A. Ernst, D. Rotermund and K. R. Pawelzik, "Efficient computation based on
//     stochastic spikes", Neural Computation 19, 2007, doi:10.1162/neco.2007.19.5.1313;
//   - D. Rotermund and K. R. Pawelzik, "Back-propagation learning in deep Spike-By-Spike
//     networks", Frontiers in Computational Neuroscience 13, 2019,
//     doi:10.3389/fncom.2019.00055, the source of the gradients.
//
// PyTorch-SbS (https://github.com/davrot/pytorch-sbs) is an implementation in Python and
// C++. This package gives the results of its versions of May 2022, which is called dialect 1,
// and of January and July 2023, dialect 2.
//
// # Computation
//
// The input X has the shape (B, C, H, W): images, channels, height, width. It must not be
// negative. The output h has the shape (B, N, OH, OW). At each output position, h is a
// probability vector over N neurons.
//
// As in a convolution, an output position sees a patch p of X, which a kernel of size
// (KH, KW) selects. The patch has K = C*KH*KW entries; entry k = (c*KH + i)*KW + j comes
// from channel c at the place (i, j) of the kernel. Entries in the padding are 0. The
// weights W have the shape (K, N). They are not negative, and every column sums to 1.
//
// The layer processes each output position of each image independently:
//
//  1. It sets h[n] = 1/N. If the patch is all zero, this is the result.
//
//  2. It draws S spikes, which are independent and identically distributed. Spike t is
//     the first k with cumsum(p)[k]/sum(p) >= u[t], where u[t] is a random number that
//     is uniform in [0, 1). A u[t] below LeastUniform counts as LeastUniform: an entry
//     of 0 is never drawn.
//
//  3. It updates h for each spike s in turn:
//
//     h[n] <- (h[n] + e*h[n]*W[s,n]/q + e*f/N) / (1 + e*(1+f))
//
//     where e = epsilon_0 * epsilon_t[t] * epsilon_xy[position, kernel place of s] is
//     the step size, q = sum_n h[n]*W[s,n], and f is the forgetting offset. A spike
//     with q <= 1e-10 does not change h.
//
// With alpha_iterations = A > 0, the layer then computes a weight alpha for each output
// position of an image and multiplies h by it. The reconstruction is v[k,x,y] = sum_n
// W[k,n]*h[n,x,y]. Alpha starts at 1/(OH*OW). Each of A iterations computes
//
//   - a = alpha*v, divided by its sum over the positions, for each k;
//   - z: a folded back onto the grid of X, multiplied by X, and summed over the channels;
//   - the new alpha: z unfolded and summed over the places of the kernel, plus 1e-20,
//     divided by its sum over the positions.
//
// # Inputs
//
//   - X: float32 (B, C, H, W), finite and at least 0.
//   - W: float32 (K, N), finite and at least 0.
//   - epsilon_xy (optional): float32 (OH, OW) or (OH, OW, KH, KW), each entry from 0 to
//     MaxEpsilon. The default is 1.
//   - given (optional): spikes or uniforms to use instead of random numbers, of shape
//     (B, S, OH, OW). An int64 tensor holds spikes, which are rows of W; where the patch
//     is all zero, -1 is allowed. A float32 tensor holds the u of step 2, in [0, 1).
//
// Values that are constants of the model are checked when the model is loaded, all
// others in every run.
//
// # Attributes
//
//   - kernel_shape (ints, required): KH, KW.
//   - strides, dilations (ints): for height and width; the default is 1, 1.
//   - pads (ints): top, left, bottom, right; the default is 0.
//   - number_of_spikes (int, required): S, from 1 to MaxSpikes.
//   - epsilon_t (floats, required): at least S entries from 0 to MaxEpsilon.
//   - epsilon_0 (float): from 0 to MaxEpsilon; the default is 1.
//   - forgetting_offset (float): f, at most MaxEpsilon. Values of 0, the default, and
//     below mean no forgetting.
//   - alpha_iterations (int): A, from 0 to 1000; the default is 0.
//   - sampler (string): "iid", the default, or "low_discrepancy". With the latter,
//     u[t] = frac(u[0] + t/golden ratio), and only u[0] is random.
//   - seed (int): distinguishes the layers of a network, so that they draw different
//     random numbers; the default is 0.
//   - function_seed (float): the seed of the random numbers in the function body that
//     package convert writes for other runtimes. This package has its own random
//     numbers and ignores the attribute.
//
// # SbSFullLayer
//
// The operator SbSFullLayer is SbS with spikes that are drawn from the whole image, the layer of
// PyTorch-SbS with spike_full_layer_input_distribution. Its inputs and attributes are those of
// SbS, and it differs from SbS in step 2 of the computation:
//
//   - The layer draws S spikes once per image, as SbS does, from the distribution of all C*H*W
//     entries of X. Spike t is an entry, with the index c*H*W + y*W + x. An entry that is 0 is
//     never drawn. An image that is all zero has no spikes.
//   - In their order, it hands the spikes to all output positions that see them: spike t becomes
//     spike k of a position if the entry is entry k of its patch. Places in the padding see no
//     spike.
//
// The spikes of a position are counted from 0: the step size of its first spike has epsilon_t[0],
// whichever spike of the image it is. A position that sees no spike keeps h[n] = 1/N. The input
// given has the shape (B, S, 1, 1): int64 holds the indices of the entries, and -1 is allowed for
// an image that is all zero; float32 holds u. The sums over the image are added in float64.
//
// The number of spikes that a position sees depends on the image. On average over all places of
// the image, S spikes give Updates spikes to all positions together.
//
// # Random numbers
//
// A random number depends on the seed of the run or of the image, the seed of the node,
// the number of the image, the output position and the number of the spike, and on
// nothing else. In particular, it does not depend on the place of an image in the batch. The
// spikes of SbSFullLayer are those of output position 0.
// See ops.Context, which holds the seeds and numbers of a run. Spikes or uniforms in the
// Context take precedence over the input given, and spikes over uniforms.
//
// # Gradients
//
// The gradients of SbS and SbSFullLayer are not the derivative of the loop over the spikes. They follow from the
// final h (after alpha), as derived in the paper of 2019. Let g be the gradient with
// respect to h, p~ = p/sum(p) the input distribution, R[k] = sum_n W[k,n]*h[n] and
// G[k] = sum_n W[k,n]*h[n]*g[n]. With sums over all images and positions,
//
//	grad_W[k,n] = sum h[n]*p~[k]/(R[k]^2+1e-20) * (R[k]*g[n] - G[k])
//	grad_X      = G[k]/(R[k]+1e-20), added where patches overlap
//
// Dialect 2 has no gradient of epsilon_xy. With a = epsilon_xy*epsilon_0, dialect 1
// multiplies grad_X by a/(1+a), and it has
//
//	grad_epsilon_xy = sum (G[k]/(R[k]+1e-20)*p~[k] - sum_n h[n]*g[n]) * epsilon_0/(1+a)^2
//
// where the sum includes the channels. Dialect 1 also limits every gradient to the range
// from -1e30 to 1e30 and replaces NaN by 1e30.
//
// For a layer with local learning, grad_W is
//
//	grad_W[k,n] = -2 * sum (p~[k]-R[k])*h[n]
//
// A local output layer uses the desired output instead of h[n] in this formula, but not
// in R. See Rule and WithRule.
//
// # NNMF
//
// The operator NNMF describes patches as mixtures of the columns of W, as SbS does, but by
// non-negative matrix factorization instead of spikes: the layers NNMF and BP SBS NNMF of
// PyTorch-SbS. It is deterministic. NNMFParams documents its computation, inputs and attributes.
// With the attribute gradient = "loop", the gradients are the derivative of all iterations. With
// "closed_form" they are
//
//	grad_W[k,n] = sum h[n]*q[k]/(R[k]^2+1e-20) * (R[k]*g[n] - G[k]), with q = p~/(sum(p~) + tiny_sum)
//	grad_X      = (grad_p~[k] - sum_j grad_p~[j]*p~[j]) / (P + tiny_sum), with grad_p~ = G/(R+1e-20)
//
// where grad_X is added where patches overlap, and the letters are those of the section Gradients.
// A patch that is all zero has no gradient.
//
// # ApproxConv
//
// The operator ApproxConv is a convolution whose products are those of a multiplier with fewer
// bits, or one that leaves out the lowest columns of its partial products: the layer APPROX CONV2D
// of PyTorch-SbS.
//
//	Y[o] = B[o] + sum_k A(p[k], W[o,k])
//
// for the patch p at each output position, with sums in float32 in ascending order of k = (c*KH +
// i)*KW + j. For two numbers x and w that are not 0, the product A(x, w) follows from the bits of
// the float32 numbers. With F = number_of_frac_bits and T = number_of_trunc_bits,
//
//   - mx and mw are the F leading bits of the significands, which have 24 bits including the
//     leading 1. Further bits are dropped, not rounded; for F > 24, zeros follow.
//   - R = mx*mw. If approximation_enable is 1, E is subtracted from R: the sum of
//     bit_i(mw)*bit_j(mx)*2^(i+j) over all i and j with i+j < T, modulo 2^32.
//   - A has the sign of x*w. Its absolute value is R, rounded to float32, times the power of 2
//     that belongs to the exponents of x and w.
//
// A product with 0 is 0, and so is a product whose R-E is 0. A product of 2^128 or more is
// infinite, and one below 2^-126 is 0. A number x below 2^-126 counts as 2^-127 + x/2 (PyTorch-SbS
// adds the leading 1 to such numbers too). Infinity and NaN are multiplied as usual.
//
// The settings with F >= 24 and either approximation_enable = 0 or T <= 2*(F-24) give the float32
// product: see Approximation.IsExact. The operator then is Conv of the standard operators. If
// approximation_enable or T is 0, it is Conv of the truncated numbers. With F <= 12 it is a Conv
// with more channels, up to F for each, whose products are parts of A; it is several times faster
// than the computation of A from R and E. In these cases the sums have the products or their parts
// without rounding as terms, and numbers and products below 2^-126 are not special.
//
// Inputs:
//
//   - X: float32 (B, C, H, W).
//   - W: float32 (O, C, KH, KW).
//   - B (optional): float32 (O); the default is 0.
//
// The output Y is float32 (B, O, OH, OW). Attributes:
//
//   - kernel_shape (ints, required), strides, dilations, pads: as for SbS.
//   - number_of_frac_bits (int, required): F, from 1 to 32.
//   - number_of_trunc_bits (int, required): T, from 0 to 32.
//   - approximation_enable (int): 0, the default, or 1.
//
// The gradients are those of the convolution with exact products of X and W.
//
// # Poisson
//
// The operator Poisson replaces the values of an image by random counts: POISSON of PyTorch-SbS
// since March 2023. With S spikes and the largest value m of an image over all channels and
// positions, a value x has the rate S*x/(m + 1e-20). Its count has the Poisson distribution of
// this rate and is independent of the other counts. The output is the count divided by the sum
// of the counts of the image + 1e-20; without any count, it is 0 everywhere.
//
//   - X: float32 (B, C, H, W), finite and at least 0. The output has the same type.
//   - given (optional): numbers of the shape of X to use instead of random ones. An int64 tensor
//     holds the counts, from 0 to 2^31-1. A float32 tensor holds a u in [0, 1) for each value: its
//     count is the smallest k whose cumulative probability is above u.
//   - number_of_spikes (int, required): S, from 1 to MaxSpikes.
//   - seed (int), function_seed (float): as for SbS.
//
// The counts are exact at all rates: below 10 by inversion, above by transformed rejection. A
// random number depends on what that of an SbS layer depends on, with the place of the value in
// the image as the output position. Counts or uniforms in the Context take precedence, as for SbS.
// The gradient of X is the gradient of the output.
//
// # SpikeImage
//
// The operator SpikeImage draws spikes from a whole image: INPUT SPIKE IMAGE of PyTorch-SbS since
// February 2023. The values of an image, in the order of their indices c*H*W + y*W + x, form one
// distribution. The operator draws S spikes from it by step 2 of SbS, with the random numbers of
// output position 0. The output is the number of spikes of each value, multiplied by C*H*W/S, so
// that its mean is 1. A black image has no spikes, and the output is 0.
//
//   - X: float32 (B, C, H, W), finite and at least 0. The output has the same type.
//   - given (optional): spikes or uniforms to use instead of random numbers, of shape (B, S, 1, 1).
//     An int64 tensor holds spikes, which are indices of values; for a black image, -1 is
//     allowed. A float32 tensor holds the u of the spikes, in [0, 1).
//   - number_of_spikes (int, required): S, from 1 to MaxSpikes.
//   - seed (int), function_seed (float): as for SbS.
//
// No gradient passes through this operator: X gets none.
package sbs
