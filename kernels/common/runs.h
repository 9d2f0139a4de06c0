// A part of a matrix that a mesh cuts: where its elements lie in the whole.
#pragma once

#include <cstdint>

namespace lora_dist {

/// `count` runs of `length` elements, one every `stride` of the whole, from `start` on. The part holds them end to end.
struct Runs {
  std::int64_t count = 1;
  std::int64_t length = 0;
  std::int64_t start = 0;
  std::int64_t stride = 0;

  std::int64_t elements() const { return count * length; }
  /// Where run `run` begins in the whole.
  constexpr std::int64_t first(std::int64_t run) const { return start + run * stride; }
  /// Past its last element in the whole.
  std::int64_t end() const { return count == 0 ? start : first(count - 1) + length; }

  bool operator==(const Runs&) const = default;
};

}  // namespace lora_dist
