// The emulated 16-bit float of IEEE 754: storage and conversions, which are all that kernels may use.
#pragma once

#include <cstdint>

#include "kernels/common/half.h"

struct __half {
  std::uint16_t bits;
};

inline float __half2float(__half x) { return lora_dist::float_of_f16(x.bits); }
inline __half __float2half_rn(float x) { return {lora_dist::f16_of_float(x)}; }
