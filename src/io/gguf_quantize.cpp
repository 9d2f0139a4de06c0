// A function for each type: the values of one block to its bytes. All in fp32, and every sum in the order of the reference, since
// another order gives other bytes.
#include "src/io/gguf_quantize.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <ranges>

#include "kernels/common/check.h"
#include "kernels/common/parallel.h"
#include "src/io/gguf_block.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kPiece = 1 << 16;  // values that a thread encodes at a time

/// Cut to an integer. Scales that are subnormal have no inverse: what becomes infinite or no number is 0, as on x86 in the
/// reference.
int truncated(float value) { return std::isfinite(value) ? static_cast<int>(value) : 0; }

void q8_0(const float* x, std::byte* out) {
  float largest = 0.0F;
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    largest = std::max(largest, std::abs(x[i]));
  }
  const float scale = largest / 127.0F;
  const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
  put_half(out, scale);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    out[2 + i] = byte_of(static_cast<unsigned>(truncated(std::round(x[i] * inverse))));
  }
}

/// 32 codes of five bits: the fifth ones in 32 bits, then the nibbles.
void put_five_bits(const std::array<unsigned, kSmallBlock>& codes, std::byte* out) {
  std::uint32_t high = 0;
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    high |= (codes[i] >> 4U & 1U) << i;
  }
  std::memcpy(out, &high, sizeof high);
  for (std::size_t i = 0; i < kSmallBlock / 2; ++i) {
    out[4 + i] = byte_of((codes[i] & 15U) | (codes[i + kSmallBlock / 2] & 15U) << 4U);
  }
}

void q5_0(const float* x, std::byte* out) {
  float largest = 0.0F;
  float signed_largest = 0.0F;
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    if (largest < std::abs(x[i])) {
      largest = std::abs(x[i]);
      signed_largest = x[i];
    }
  }
  const float scale = signed_largest / -16.0F;
  const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
  put_half(out, scale);
  std::array<unsigned, kSmallBlock> codes{};
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    codes[i] = static_cast<unsigned>(std::min(31, truncated(x[i] * inverse + 16.5F)));
  }
  put_five_bits(codes, out + 2);
}

void q5_1(const float* x, std::byte* out) {
  const auto [least, most] = std::minmax_element(x, x + kSmallBlock);
  const float scale = (*most - *least) / 31.0F;
  const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
  put_half(out, scale);
  put_half(out + 2, *least);
  std::array<unsigned, kSmallBlock> codes{};
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    codes[i] = static_cast<unsigned>(truncated((x[i] - *least) * inverse + 0.5F));
  }
  put_five_bits(codes, out + 4);
}

void f32(const float* x, std::byte* out) { std::memcpy(out, x, sizeof *x); }
void f16(const float* x, std::byte* out) { put_half(out, *x); }
void bf16(const float* x, std::byte* out) {
  const std::uint16_t bits = bf16_of_float(*x);
  std::memcpy(out, &bits, sizeof bits);
}

struct Encoder {
  std::uint32_t type;
  void (*encode)(const float* values, std::byte* block);
};
constexpr std::array<Encoder, 9> kEncoders = {
    {{0, f32}, {1, f16}, {30, bf16}, {8, q8_0}, {6, q5_0}, {7, q5_1}, {12, encode_q4_k}, {13, encode_q5_k}, {14, encode_q6_k}}};

const Encoder* encoder_of(const GgmlType& type) {
  const auto* const found = std::ranges::find(kEncoders, type.number, &Encoder::type);
  return found == kEncoders.end() ? nullptr : found;
}

/// Blocks that a thread takes at a time.
std::int64_t grain_of(const GgmlType& type) { return std::max<std::int64_t>(1, kPiece / type.values); }

}  // namespace

bool can_encode(const GgmlType& type) { return encoder_of(type) != nullptr; }

std::vector<std::byte> encode_ggml(const GgmlType& type, std::span<const float> values, const Stream& stream) {
  const Encoder* encoder = encoder_of(type);
  const std::int64_t blocks = std::ssize(values) / type.values;
  require(encoder != nullptr && blocks * type.values == std::ssize(values),
          "encode_ggml: whole blocks of a type that is written");
  std::vector<std::byte> out(static_cast<std::size_t>(blocks * type.bytes));
  parallel_ranges(blocks, grain_of(type), stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      encoder->encode(values.data() + b * type.values, out.data() + b * type.bytes);
    }
  });
  return out;
}

bool is_in_range(const GgmlType& type, std::span<const std::byte> blocks, const Stream& stream) {
  if (type.dtype == DType::bf16 || (type.decode == nullptr && type.dtype == DType::f32)) {
    return true;  // as wide as the values were
  }
  std::atomic<bool> finite = true;
  parallel_ranges(std::ssize(blocks) / type.bytes, grain_of(type), stream, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>((end - begin) * type.values));
    const auto part =
        blocks.subspan(static_cast<std::size_t>(begin * type.bytes), static_cast<std::size_t>((end - begin) * type.bytes));
    if (type.decode != nullptr) {
      type.decode(part, values);
    } else {
      std::ranges::transform(std::views::iota(begin, end), values.begin(),
                             [&](std::int64_t i) { return half_at(blocks.data() + i * type.bytes); });
    }
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      finite = false;
    }
  });
  return finite;
}

}  // namespace lora_dist
