// The CPU side of take_runs and add_runs.
#include "kernels/runs/runs.h"

#include <cstring>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

/// Calls work(stretch) for stretches that lie together in the part and in the whole.
template <class Work>
void for_each_stretch(const Runs& runs, const Stream& stream, Work work) {
  parallel_ranges(runs.elements(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end;) {
      const RunStretch stretch = stretch_at(runs, i, end);
      work(stretch);
      i += stretch.count;
    }
  });
}

}  // namespace

void take_runs_cpu(ConstTensorView whole, const Runs& runs, TensorView part, const Stream& stream) {
  check_runs(whole, runs, part);
  const float* from = whole.as<float>();
  float* to = part.as<float>();
  for_each_stretch(runs, stream, [&](const RunStretch& stretch) {
    std::memcpy(to + stretch.in_part, from + stretch.in_whole, static_cast<std::size_t>(stretch.count) * sizeof(float));
  });
}

void add_runs_cpu(ConstTensorView part, const Runs& runs, TensorView whole, const Stream& stream) {
  check_runs(whole, runs, part);
  const auto* from = part.as<std::int64_t>();
  auto* to = whole.as<std::int64_t>();
  for_each_stretch(runs, stream, [&](const RunStretch& stretch) {
    for (std::int64_t i = 0; i < stretch.count; ++i) {
      to[stretch.in_whole + i] += from[stretch.in_part + i];
    }
  });
}

}  // namespace lora_dist
