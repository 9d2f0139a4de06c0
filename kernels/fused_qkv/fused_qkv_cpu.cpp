// The CPU side of split_qkv and join_qkv: copies of whole heads.
#include "kernels/fused_qkv/fused_qkv.h"

#include <array>
#include <cstring>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 32;

/// Calls copy(which of q, k, v; offset in that one; offset in fused; bytes) for every contiguous span.
template <class Copy>
void for_each_span(std::int64_t tokens, const QkvShape& shape, const Stream& stream, Copy copy) {
  const std::int64_t spans = shape.layout == FusedQkv::slices ? 1 : shape.heads;  // of each of q, k and v, in a token
  const std::int64_t width = shape.width();
  const std::int64_t count = width / spans;
  parallel_ranges(tokens, kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t span = 0; span < spans; ++span) {
        for (std::int64_t part = 0; part < 3; ++part) {
          copy(static_cast<std::size_t>(part), t * width + span * count, t * 3 * width + (span * 3 + part) * count,
               static_cast<std::size_t>(count) * sizeof(float));
        }
      }
    }
  });
}

}  // namespace

void split_qkv_cpu(ConstTensorView fused, const QkvShape& shape, TensorView q, TensorView k, TensorView v, const Stream& stream) {
  check_fused_qkv(fused, shape, q, k, v);
  const auto* from = fused.as<float>();
  const std::array<float*, 3> to = {q.as<float>(), k.as<float>(), v.as<float>()};
  for_each_span(fused.rows(), shape, stream,
                [&](std::size_t part, std::int64_t of_part, std::int64_t of_fused, std::size_t bytes) {
                  std::memcpy(to[part] + of_part, from + of_fused, bytes);
                });
}

void join_qkv_cpu(ConstTensorView q, ConstTensorView k, ConstTensorView v, const QkvShape& shape, TensorView fused,
                  const Stream& stream) {
  check_fused_qkv(fused, shape, q, k, v);
  const std::array<const float*, 3> from = {q.as<float>(), k.as<float>(), v.as<float>()};
  auto* to = fused.as<float>();
  for_each_span(fused.rows(), shape, stream,
                [&](std::size_t part, std::int64_t of_part, std::int64_t of_fused, std::size_t bytes) {
                  std::memcpy(to + of_fused, from[part] + of_part, bytes);
                });
}

}  // namespace lora_dist
