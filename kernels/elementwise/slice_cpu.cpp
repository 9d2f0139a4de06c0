// The CPU side of take_slice and add_slice.
#include "kernels/elementwise/slice.h"

#include <cstring>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

/// Calls work(segment) for each contiguous segment.
template <class Work>
void for_each_segment(const StridedSlice& slice, const Stream& stream, Work work) {
  parallel_ranges(slice.elements(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end;) {
      const SliceSegment segment = segment_at(slice, i, end);
      work(segment);
      i += segment.count;
    }
  });
}

}  // namespace

void take_slice_cpu(ConstTensorView whole, const StridedSlice& slice, TensorView part, const Stream& stream) {
  check_slice(whole, slice, part);
  const float* from = whole.as<float>();
  float* to = part.as<float>();
  for_each_segment(slice, stream, [&](const SliceSegment& segment) {
    std::memcpy(to + segment.in_part, from + segment.in_whole, static_cast<std::size_t>(segment.count) * sizeof(float));
  });
}

void add_slice_cpu(ConstTensorView part, const StridedSlice& slice, TensorView whole, const Stream& stream) {
  check_slice(whole, slice, part);
  const auto* from = part.as<std::int64_t>();
  auto* to = whole.as<std::int64_t>();
  for_each_segment(slice, stream, [&](const SliceSegment& segment) {
    for (std::int64_t i = 0; i < segment.count; ++i) {
      to[segment.in_whole + i] += from[segment.in_part + i];
    }
  });
}

}  // namespace lora_dist
