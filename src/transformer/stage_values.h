// How the small integers of a pass get to where the operators run.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/check.h"
#include "kernels/elementwise/copy.h"

namespace lora_dist {

/// Puts host values where the operators run, at the front of `buffer`, which must be long enough.
inline ConstTensorView stage_values(std::span<const std::int32_t> values, std::span<std::int32_t> buffer, const Stream& stream) {
  require(values.size() <= buffer.size(), "a pass is longer than the workspace was made for");
  const TensorView there = view(buffer.first(values.size()));
  from_host(view(values), there, stream);
  return there;
}

}  // namespace lora_dist
