// The CPU side of take_runs and add_runs.
#include "kernels/runs/runs.h"

#include <algorithm>
#include <cstring>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

/// Calls work(first of the part, first of the whole, elements) for stretches that lie together in both.
template <class Work>
void for_each_stretch(const Runs& runs, const Stream& stream, Work work) {
  parallel_ranges(runs.elements(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end;) {
      const std::int64_t run = i / runs.length;
      const std::int64_t at = i % runs.length;
      const std::int64_t n = std::min(runs.length - at, end - i);
      work(i, runs.first(run) + at, n);
      i += n;
    }
  });
}

}  // namespace

void take_runs_cpu(ConstTensorView whole, const Runs& runs, TensorView part, const Stream& stream) {
  check_runs(whole, runs, part);
  const float* from = whole.as<float>();
  float* to = part.as<float>();
  for_each_stretch(runs, stream, [&](std::int64_t in_part, std::int64_t in_whole, std::int64_t n) {
    std::memcpy(to + in_part, from + in_whole, static_cast<std::size_t>(n) * sizeof(float));
  });
}

void add_runs_cpu(ConstTensorView part, const Runs& runs, TensorView whole, const Stream& stream) {
  check_runs(whole, runs, part);
  const auto* from = part.as<std::int64_t>();
  auto* to = whole.as<std::int64_t>();
  for_each_stretch(runs, stream, [&](std::int64_t in_part, std::int64_t in_whole, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      to[in_whole + i] += from[in_part + i];
    }
  });
}

}  // namespace lora_dist
