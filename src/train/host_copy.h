// A copy of operators' memory that the host can read.
#pragma once

#include <span>
#include <vector>

#include "kernels/elementwise/copy.h"

namespace lora_dist {

inline std::vector<float> host_copy(std::span<const float> values, const Stream& stream) {
  std::vector<float> copy(values.size());
  to_host(view(values), view(std::span(copy)), stream);
  return copy;
}

}  // namespace lora_dist
