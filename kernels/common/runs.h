// A part of a matrix that a mesh cuts: where its elements lie in the whole.
#pragma once

#include <algorithm>
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

/// Elements that lie together in the part and in the whole.
struct RunStretch {
  std::int64_t run = 0;  // that they belong to
  std::int64_t in_part = 0;
  std::int64_t in_whole = 0;
  std::int64_t count = 0;
};

/// The elements from `begin` of the part on, as far as their run goes, at most up to `end` of the part.
constexpr RunStretch stretch_at(const Runs& runs, std::int64_t begin, std::int64_t end) {
  const std::int64_t run = begin / runs.length;
  const std::int64_t in_run = begin % runs.length;
  return {run, begin, runs.first(run) + in_run, std::min(runs.length - in_run, end - begin)};
}

}  // namespace lora_dist
