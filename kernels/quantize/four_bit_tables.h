// The 16 values of NormalFloat-4 and of the 4-bit float FP4, as bitsandbytes has them (csrc/kernels.cu).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lora_dist {

/// The table of 16 values that codes index.
enum class FourBit : std::uint8_t { nf4, fp4 };

/// The values of NF4, rising.
inline constexpr std::array<float, 16> kNf4Code = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

/// The values of FP4 by code: a sign, then 0, 1/16, 8, 12, 4, 6, 2 and 3 twelfths.
inline constexpr std::array<float, 16> kFp4Code = {
    0.0F, 0.0625F / 12.0F,  8.0F / 12.0F,  1.0F,  4.0F / 12.0F,  0.5F,  2.0F / 12.0F,  0.25F,
    0.0F, -0.0625F / 12.0F, -8.0F / 12.0F, -1.0F, -4.0F / 12.0F, -0.5F, -2.0F / 12.0F, -0.25F,
};
/// The codes of FP4 by rising value; negative zero comes second, as bitsandbytes sorts them on the CPU.
inline constexpr std::array<std::uint8_t, 16> kFp4Order = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

constexpr std::array<float, 16> rising_fp4() {
  std::array<float, 16> rising = {};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    rising[i] = kFp4Code[kFp4Order[i]];
  }
  return rising;
}
/// The values of FP4, rising.
inline constexpr std::array<float, 16> kFp4Rising = rising_fp4();

constexpr const std::array<float, 16>& code_table(FourBit code) { return code == FourBit::nf4 ? kNf4Code : kFp4Code; }

}  // namespace lora_dist
