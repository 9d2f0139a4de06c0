// The CPU side of split_parts and join_parts: copies of whole spans.
#include <cstring>

#include "kernels/common/parallel.h"
#include "kernels/fused_parts/fused_parts.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 32;

/// Calls copy(part; offset in that part; offset in fused; bytes) for every contiguous span.
template <class Copy>
void for_each_span(std::int64_t tokens, std::int64_t groups, const std::array<FusedSpan, kMostFusedParts>& spans,
                   const Stream& stream, Copy copy) {
  std::int64_t group_width = 0;
  for (const FusedSpan& span : spans) {
    group_width += span.width;
  }
  parallel_ranges(tokens, kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t group = begin * groups; group < end * groups; ++group) {
      for (std::size_t part = 0; part < spans.size(); ++part) {
        const FusedSpan& span = spans[part];
        if (span.width > 0) {
          copy(part, group * span.width, group * group_width + span.begin, static_cast<std::size_t>(span.width) * sizeof(float));
        }
      }
    }
  });
}

}  // namespace

void split_parts_cpu(ConstTensorView fused, std::int64_t groups, const FusedParts<TensorView>& parts, const Stream& stream) {
  const auto spans = check_fused_parts(fused, groups, parts);
  const auto* from = fused.as<float>();
  FusedParts<float*> to{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    to[i] = parts[i].data == nullptr ? nullptr : parts[i].as<float>();
  }
  for_each_span(fused.rows(), groups, spans, stream,
                [&](std::size_t part, std::int64_t of_part, std::int64_t of_fused, std::size_t bytes) {
                  std::memcpy(to[part] + of_part, from + of_fused, bytes);
                });
}

void join_parts_cpu(const FusedParts<ConstTensorView>& parts, std::int64_t groups, TensorView fused, const Stream& stream) {
  const auto spans = check_fused_parts(fused, groups, parts);
  FusedParts<const float*> from{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    from[i] = parts[i].data == nullptr ? nullptr : parts[i].as<float>();
  }
  auto* to = fused.as<float>();
  for_each_span(fused.rows(), groups, spans, stream,
                [&](std::size_t part, std::int64_t of_part, std::int64_t of_fused, std::size_t bytes) {
                  std::memcpy(to + of_fused, from[part] + of_part, bytes);
                });
}

}  // namespace lora_dist
