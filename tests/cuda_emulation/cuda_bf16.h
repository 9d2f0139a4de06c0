// The emulated bfloat16: storage and conversions, which are all that kernels may use.
#pragma once

#include <cstdint>

#include "kernels/common/half.h"

struct __nv_bfloat16 {
  std::uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) { return lora_dist::float_of_bf16(x.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return {lora_dist::bf16_of_float(x)}; }
