// A frozen base of random weights, generated in the operators' memory, without files or a host copy.
#pragma once

#include "src/base/frozen_base.h"

namespace lora_dist::benchmarks {

/// Undivided, in the memory of `arena`, made for `stream`. Weights are drawn from N(0, 0.02), norms are 1; nf4, fp4: the codes
/// and block scales are those of such weights; not quantized: bf16. Embedding in bf16, head in `compute_dtype`; one table in
/// `compute_dtype` when tied. About four million values are drawn and quantized on the host; every weight repeats them from a
/// different offset. Biases are not made. Throws Error(out_of_memory).
FrozenBase make_random_base(const ModelSpec& spec, const BaseFormat& format, DType compute_dtype, Arena& arena,
                            const Stream& stream);

/// Fills `to` (a float dtype, memory of `stream`) with such weights: products of zeros would be faster than real ones, because a
/// GPU then draws less power. Waits for it.
void fill_with_random_weights(TensorView to, const Stream& stream);

}  // namespace lora_dist::benchmarks
