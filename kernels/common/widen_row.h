// Values of any float type, as f32.
#pragma once

#include <cstdint>

#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// out = the n values at `in`, f32, f16 or bf16; out may not lie over them.
void widen(const void* in, DType dtype, float* out, std::int64_t n);

/// out = row `row` of `table`: f32, f16 or bf16 [rows, width]; out: [width].
void widen_row(ConstTensorView table, std::int64_t row, float* out);

}  // namespace lora_dist
