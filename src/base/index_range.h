// A half-open range of indices.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lora_dist {

/// [begin, end) of heads, features, ids, elements, bytes or quantization blocks.
struct IndexRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end > begin ? end - begin : 0; }
};

/// The intersection; size 0 if empty.
constexpr IndexRange overlap(IndexRange a, IndexRange b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

}  // namespace lora_dist
