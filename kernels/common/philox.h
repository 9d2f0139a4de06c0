// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based generator. A number
// depends on (key, counter) alone, so masks and initial weights are the same on every mesh and after every resume.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/common/device_code.h"

namespace lora_dist {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

/// The ten rounds, in place. Plain arrays, because a kernel cannot call the members of std::array.
LORA_DIST_DEVICE constexpr void philox4x32_rounds(std::uint32_t (&counter)[4], std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter[0] = static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key0;
    counter[1] = static_cast<std::uint32_t>(p1);
    counter[2] = static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key1;
    counter[3] = static_cast<std::uint32_t>(p0);
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
}

constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  std::uint32_t words[4] = {counter[0], counter[1], counter[2], counter[3]};
  philox4x32_rounds(words, key[0], key[1]);
  return {words[0], words[1], words[2], words[3]};
}

/// Uniform in [0, 1) from the top 24 bits.
constexpr float uniform_float(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24F; }

}  // namespace lora_dist
