// Copies every buffer of a base into another arena.
#include "src/model/place_base.h"

#include <algorithm>
#include <vector>

#include "kernels/cast/cast.h"
#include "kernels/copy/copy.h"

namespace lora_dist {

namespace {

std::span<float> place_vector(std::span<float> host, const std::string& name, Arena& arena, const Stream& stream) {
  const std::span<float> there = arena.take<float>(MemoryKind::embedding_and_head, name, static_cast<std::int64_t>(host.size()));
  from_host(view(std::span<const float>(host)), view(there), stream);
  return there;
}

/// A table in `dtype`; rounding is done on the host, piece by piece.
ConstTensorView place_table(ConstTensorView host, DType dtype, const std::string& name, Arena& arena, const Stream& stream) {
  const auto element = static_cast<std::int64_t>(size_of(dtype));
  const std::span<std::byte> bytes = arena.take<std::byte>(MemoryKind::embedding_and_head, name, host.count() * element);
  const TensorView there{bytes.data(), dtype, host.shape};
  if (host.dtype == dtype) {
    from_host(host, there, stream);
    return there;
  }
  constexpr std::int64_t kPiece = std::int64_t{1} << 21;  // elements
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(kPiece, host.count()) * element));
  const auto* source = static_cast<const std::byte*>(host.data);
  Stream on_host;
  on_host.threads = stream.threads;
  for (std::int64_t at = 0; at < host.count(); at += kPiece) {
    const std::int64_t count = std::min(kPiece, host.count() - at);
    const ConstTensorView from{source + static_cast<std::size_t>(at) * size_of(host.dtype), host.dtype, {count}};
    const TensorView narrow{piece.data(), dtype, {count}};
    cast_cpu(from, narrow, on_host);
    from_host(narrow, {bytes.data() + at * element, dtype, {count}}, stream);
  }
  return there;
}

}  // namespace

FrozenBase place_base(const FrozenBase& host, DType compute_dtype, Arena& arena, const Stream& stream) {
  FrozenBase base = host;
  for (std::size_t layer = 0; layer < base.parts.size(); ++layer) {
    std::span<std::byte>& part = base.parts[layer];
    const std::span<std::byte> there =
        arena.take<std::byte>(MemoryKind::base_shard, "block " + std::to_string(layer), static_cast<std::int64_t>(part.size()));
    from_host(view(reinterpret_cast<const std::uint8_t*>(part.data()), {static_cast<std::int64_t>(part.size())}),
              view(reinterpret_cast<std::uint8_t*>(there.data()), {static_cast<std::int64_t>(there.size())}), stream);
    part = there;
    BlockRest& rest = base.rest[layer];
    rest.input_norm = place_vector(rest.input_norm, "input norm", arena, stream);
    rest.post_attention_norm = place_vector(rest.post_attention_norm, "post-attention norm", arena, stream);
    for (std::span<float>& bias : rest.bias) {
      bias = bias.empty() ? bias : place_vector(bias, "bias", arena, stream);
    }
  }
  base.final_norm = place_vector(base.final_norm, "final norm", arena, stream);
  base.head = place_table(host.head, compute_dtype, "head", arena, stream);
  base.embedding =
      host.spec.tied_head ? base.head : place_table(host.embedding, host.embedding.dtype, "embedding", arena, stream);
  return base;
}

}  // namespace lora_dist
