// A row of a table of any float type, as f32.
#pragma once

#include <cstdint>

#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// out = row `row` of `table`: f32, f16 or bf16 [rows, width]; out: [width].
void widen_row(ConstTensorView table, std::int64_t row, float* out);

}  // namespace lora_dist
