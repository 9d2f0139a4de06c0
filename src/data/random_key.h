// Random numbers per item from a counter-based generator, independent of the platform.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"

namespace lora_dist {

enum class Draw : std::uint32_t { split = 0x53504C54, order = 0x4F524452 };  // separates the two uses of a seed

/// 64 random bits of (seed, draw, round, item). Philox counter: {item low, item high, round low, draw}.
inline std::uint64_t random_key(std::uint64_t seed, Draw draw, std::uint32_t round, std::uint64_t item) {
  const PhiloxCounter bits = philox4x32(
      {static_cast<std::uint32_t>(item), static_cast<std::uint32_t>(item >> 32), round, static_cast<std::uint32_t>(draw)},
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return std::uint64_t{bits[1]} << 32 | bits[0];
}

}  // namespace lora_dist
