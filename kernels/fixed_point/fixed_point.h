// Gradients as 64-bit fixed point. Integer addition is associative, so neither the order of accumulation nor the number of
// ranks in a reduction can change a bit of the sum.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// One unit is 2^-44 (5.7e-14): 2e5 times finer than AdamW's default eps of 1e-8, below which a gradient does not matter.
/// The sum of all micro-batches must stay below 2^18 (262,144) in magnitude; a single value at or beyond that is reported, not
/// wrapped.
inline constexpr int kFixedPointBits = 44;
inline constexpr float kFixedPointLimit = 262144.0F;

/// sums[i] += round(values[i] * factor * 2^44). values: f32 [n]; sums: i64 [n]; factor: a power of two, which undoes the loss
/// scale of fp16 without rounding (1 elsewhere); limit: at most kFixedPointLimit; a caller that adds p times passes
/// kFixedPointLimit / p, so that the sum cannot wrap. Returns the number of values * factor that are NaN, infinite or at least
/// `limit` in magnitude (they are not added).
std::int64_t fixed_point_add_cpu(ConstTensorView values, float factor, TensorView sums, float limit, const Stream& stream);
std::int64_t fixed_point_add_cuda(ConstTensorView values, float factor, TensorView sums, float limit, const Stream& stream);

/// values[i] = sums[i] * 2^-44, rounded once. Returns sum of values[i]^2 in double, added in a fixed order (pieces of 4096, then
/// the pieces in turn), for the global norm. On CUDA a piece is added as a fixed tree: the same bits in every run, though the
/// last ones may not be the CPU's.
double fixed_point_read_cpu(ConstTensorView sums, TensorView values, const Stream& stream);
double fixed_point_read_cuda(ConstTensorView sums, TensorView values, const Stream& stream);

inline std::int64_t fixed_point_add(ConstTensorView values, float factor, TensorView sums, float limit, const Stream& stream) {
  return LORA_DIST_DISPATCH(fixed_point_add, stream, values, factor, sums, limit);
}
inline double fixed_point_read(ConstTensorView sums, TensorView values, const Stream& stream) {
  return LORA_DIST_DISPATCH(fixed_point_read, stream, sums, values);
}

}  // namespace lora_dist
