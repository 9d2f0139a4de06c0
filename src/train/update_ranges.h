// The parts of the flat buffer that are updated with a learning rate of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "src/adapter/adapter_layout.h"

namespace lora_dist {

/// Elements [offset, offset + count) learn with `rate` times the step's learning rate.
struct UpdateRange {
  std::int64_t offset = 0;
  std::int64_t count = 0;
  double rate = 1.0;

  bool operator==(const UpdateRange&) const = default;
};

/// LoRA+ (Hayou et al. 2024, arXiv:2402.12354): B learns faster than A by `loraplus_ratio`, everything else as A does. 0: one
/// range for all. Ranges cover the buffer in order; neighbours differ in rate.
std::vector<UpdateRange> update_ranges(const AdapterLayout& layout, double loraplus_ratio);

}  // namespace lora_dist
