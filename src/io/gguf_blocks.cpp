// One small function for each type: a block's bytes to its values, in the order of the operations that gguf-py has.
#include "src/io/gguf_blocks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <vector>

#include "kernels/common/half.h"
#include "src/io/gguf_block.h"

namespace lora_dist {
namespace {

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

unsigned byte_at(const std::byte* at, std::size_t i) { return std::to_integer<unsigned>(at[i]); }
float as_float(int value) { return static_cast<float>(value); }

/// Which nibble of 16 bytes holds value i of 32: the low ones first, then the high ones.
unsigned nibble_of_32(const std::byte* codes, std::size_t i) { return (byte_at(codes, i % 16) >> (i < 16 ? 0U : 4U)) & 15U; }

void q4_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    values[i] = scale * as_float(static_cast<int>(nibble_of_32(block + 2, i)) - 8);
  }
}

void q4_1(const std::byte* block, float* values) {
  const float scale = half_at(block);
  const float least = half_at(block + 2);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    values[i] = scale * as_float(static_cast<int>(nibble_of_32(block + 4, i))) + least;
  }
}

/// Five bits: the fifth ones lie in 32 bits before the nibbles.
int five_bits(const std::byte* high, std::size_t i) {
  return static_cast<int>(nibble_of_32(high + 4, i) | (((load<std::uint32_t>(high) >> i) & 1U) << 4U));
}

void q5_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    values[i] = scale * as_float(five_bits(block + 2, i) - 16);
  }
}

void q5_1(const std::byte* block, float* values) {
  const float scale = half_at(block);
  const float least = half_at(block + 2);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    values[i] = scale * as_float(five_bits(block + 4, i)) + least;
  }
}

void q8_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    values[i] = as_float(load<std::int8_t>(block + 2 + i)) * scale;
  }
}

/// Two bits of value i: 128 values in 32 bytes, the lowest bits of all bytes first.
unsigned two_bits(const std::byte* codes, std::size_t i) {
  return (byte_at(codes, i / 128 * 32 + i % 32) >> (2 * (i % 128 / 32))) & 3U;
}

void q2_k(const std::byte* block, float* values) {
  const float scale = half_at(block + 80);
  const float least = half_at(block + 82);
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    const unsigned both = byte_at(block, i / 16);
    const float step = scale * as_float(static_cast<int>(both & 15U));
    const float offset = least * as_float(static_cast<int>(both >> 4U));
    values[i] = step * as_float(static_cast<int>(two_bits(block + 16, i))) - offset;
  }
}

/// The six bits of scale j (of 16) in 12 bytes: four of them in a nibble of the first eight, two in the last four.
int scale_of_q3_k(const std::byte* scales, std::size_t j) {
  const unsigned low = (byte_at(scales, j % 8) >> (j < 8 ? 0U : 4U)) & 15U;
  const unsigned high = (byte_at(scales, 8 + j % 4) >> (2 * (j / 4))) & 3U;
  return static_cast<int>(low | (high << 4U)) - 32;
}

void q3_k(const std::byte* block, float* values) {
  const float scale = half_at(block + 108);
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    const bool high = ((byte_at(block, i % 32) >> (i / 32)) & 1U) != 0;
    const int code = static_cast<int>(two_bits(block + 32, i)) - (high ? 0 : 4);
    values[i] = scale * as_float(scale_of_q3_k(block + 96, i / 16)) * as_float(code);
  }
}

/// Scale and minimum of sub-block j (of 8), six bits each, in 12 bytes.
struct ScaleAndMin {
  int scale = 0;
  int least = 0;
};
ScaleAndMin scale_and_min(const std::byte* packed, std::size_t j) {
  if (j < 4) {
    return {static_cast<int>(byte_at(packed, j) & 63U), static_cast<int>(byte_at(packed, j + 4) & 63U)};
  }
  const unsigned low = byte_at(packed, j + 4);
  return {static_cast<int>((low & 15U) | (byte_at(packed, j - 4) >> 6U) << 4U),
          static_cast<int>((low >> 4U) | (byte_at(packed, j) >> 6U) << 4U)};
}

/// The nibble of value i: 64 values in 32 bytes, the low ones first.
unsigned nibble_of_64(const std::byte* codes, std::size_t i) {
  return (byte_at(codes, i / 64 * 32 + i % 32) >> (i % 64 < 32 ? 0U : 4U)) & 15U;
}

void q4_k(const std::byte* block, float* values) {
  for (std::size_t j = 0; j < 8; ++j) {
    const ScaleAndMin packed = scale_and_min(block + 4, j);
    const float step = half_at(block) * as_float(packed.scale);
    const float offset = half_at(block + 2) * as_float(packed.least);
    for (std::size_t i = 32 * j; i < 32 * (j + 1); ++i) {
      values[i] = step * as_float(static_cast<int>(nibble_of_64(block + 16, i))) - offset;
    }
  }
}

void q5_k(const std::byte* block, float* values) {
  for (std::size_t j = 0; j < 8; ++j) {
    const ScaleAndMin packed = scale_and_min(block + 4, j);
    const float step = half_at(block) * as_float(packed.scale);
    const float offset = half_at(block + 2) * as_float(packed.least);
    for (std::size_t i = 32 * j; i < 32 * (j + 1); ++i) {
      const unsigned high = (byte_at(block + 16, i % 32) >> j) & 1U;
      values[i] = step * as_float(static_cast<int>(nibble_of_64(block + 48, i) | (high << 4U))) - offset;
    }
  }
}

void q6_k(const std::byte* block, float* values) {
  const float scale = half_at(block + 208);
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    const unsigned low = (byte_at(block, i / 128 * 64 + i % 64) >> (i % 128 < 64 ? 0U : 4U)) & 15U;
    const unsigned high = two_bits(block + 128, i);
    const float step = scale * as_float(load<std::int8_t>(block + 192 + i / 16));
    values[i] = step * as_float(static_cast<int>(low | (high << 4U)) - 32);
  }
}

constexpr std::array<int, 16> kUneven = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void iq4_nl(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    values[i] = scale * as_float(kUneven[nibble_of_32(block + 2, i)]);
  }
}

void iq4_xs(const std::byte* block, float* values) {
  const unsigned high = load<std::uint16_t>(block + 2);
  for (std::size_t j = 0; j < 8; ++j) {
    const unsigned low = (byte_at(block + 4, j / 2) >> (j % 2 == 0 ? 0U : 4U)) & 15U;
    const float step = half_at(block) * as_float(static_cast<int>(low | (((high >> (2 * j)) & 3U) << 4U)) - 32);
    for (std::size_t i = 0; i < kSmallBlock; ++i) {
      values[32 * j + i] = step * as_float(kUneven[nibble_of_32(block + 8 + 16 * j, i)]);
    }
  }
}

constexpr std::array<int, 16> kE2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};  // doubled

/// Half of 2^(exponent - 127), since the values are doubled.
void mxfp4(const std::byte* block, float* values) {
  const unsigned exponent = byte_at(block, 0);
  const float scale = std::bit_cast<float>(exponent < 2 ? 0x00200000U << exponent : (exponent - 1) << 23U);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    values[i] = scale * as_float(kE2M1[nibble_of_32(block + 1, i)]);
  }
}

template <void (*Block)(const std::byte*, float*), std::size_t Values, std::size_t Bytes>
void decode(std::span<const std::byte> blocks, std::span<float> values) {
  for (std::size_t b = 0; b < values.size() / Values; ++b) {
    Block(blocks.data() + b * Bytes, values.data() + b * Values);
  }
}

template <void (*Block)(const std::byte*, float*), std::size_t Values, std::size_t Bytes>
constexpr GgmlType quantized(std::uint32_t number, std::string_view name) {
  return {number, name, Values, Bytes, DType::f32, decode<Block, Values, Bytes>};
}

constexpr auto kTypes = std::to_array<GgmlType>({{0, "F32", 1, 4, DType::f32},
                                                 {1, "F16", 1, 2, DType::f16},
                                                 {30, "BF16", 1, 2, DType::bf16},
                                                 quantized<q8_0, 32, 34>(8, "Q8_0"),
                                                 quantized<q4_0, 32, 18>(2, "Q4_0"),
                                                 quantized<q4_1, 32, 20>(3, "Q4_1"),
                                                 quantized<q5_0, 32, 22>(6, "Q5_0"),
                                                 quantized<q5_1, 32, 24>(7, "Q5_1"),
                                                 quantized<q2_k, 256, 84>(10, "Q2_K"),
                                                 quantized<q3_k, 256, 110>(11, "Q3_K"),
                                                 quantized<q4_k, 256, 144>(12, "Q4_K"),
                                                 quantized<q5_k, 256, 176>(13, "Q5_K"),
                                                 quantized<q6_k, 256, 210>(14, "Q6_K"),
                                                 quantized<iq4_nl, 32, 18>(20, "IQ4_NL"),
                                                 quantized<iq4_xs, 256, 136>(23, "IQ4_XS"),
                                                 quantized<mxfp4, 32, 17>(39, "MXFP4"),
                                                 {9, "Q8_1"},
                                                 {15, "Q8_K"},
                                                 {16, "IQ2_XXS"},
                                                 {17, "IQ2_XS"},
                                                 {18, "IQ3_XXS"},
                                                 {19, "IQ1_S"},
                                                 {21, "IQ3_S"},
                                                 {22, "IQ2_S"},
                                                 {24, "I8"},
                                                 {25, "I16"},
                                                 {26, "I32"},
                                                 {27, "I64"},
                                                 {28, "F64"},
                                                 {29, "IQ1_M"},
                                                 {34, "TQ1_0"},
                                                 {35, "TQ2_0"},
                                                 {40, "NVFP4"},
                                                 {41, "Q1_0"}});

}  // namespace

const GgmlType* find_ggml_type(std::uint32_t number) {
  const auto* const found = std::ranges::find(kTypes, number, &GgmlType::number);
  return found == kTypes.end() ? nullptr : &*found;
}

std::string readable_ggml_types() {
  std::vector<std::string_view> names;
  for (const GgmlType& type : kTypes) {
    if (type.bytes > 0) {
      names.push_back(type.name);
    }
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace lora_dist
