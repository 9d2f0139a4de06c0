// The cases of operators that work element by element or row by row, and of slices and quantization of flat buffers.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/elementwise/slice.h"
#include "tests/operators/operator_case.h"

namespace lora_dist::operators {

using Rows = std::vector<std::pair<std::int64_t, std::int64_t>>;  // (tokens, width)

void add_elementwise(std::vector<OperatorCase>& cases, const Rows& shapes);
void add_scales(std::vector<OperatorCase>& cases, const Rows& shapes);
/// Rows picked and put back, embeddings.
void add_rows(std::vector<OperatorCase>& cases, const Rows& shapes);
/// Virtual tokens before two sequences.
void add_virtual_rows(std::vector<OperatorCase>& cases, const Rows& shapes);
/// A part of a flat buffer, and of a weight that was quantized whole: cuts between blocks, through them, and through bytes.
void add_parts(std::vector<OperatorCase>& cases, const std::vector<StridedSlice>& parts);
/// Fixed point, AdamW and 4-bit quantization of so many elements.
void add_flat(std::vector<OperatorCase>& cases, const std::vector<std::int64_t>& counts);

}  // namespace lora_dist::operators
