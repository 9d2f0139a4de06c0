// Floats to the blocks of GGUF files, byte for byte as llama.cpp's reference quantizer makes them (contract: ggml,
// src/ggml-quants.c, the functions that end in _ref; no importance matrix).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "src/io/gguf_blocks.h"

namespace lora_dist {

/// True for F32, F16, BF16, Q8_0, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K.
bool can_encode(const GgmlType& type);

/// `values`: whole blocks. The same bytes for every number of threads. A value or a scale that the type's 16-bit floats cannot
/// hold becomes an infinity there: see is_in_range().
std::vector<std::byte> encode_ggml(const GgmlType& type, std::span<const float> values, const Stream& stream);

/// True if every value of these blocks, decoded again, is finite.
bool is_in_range(const GgmlType& type, std::span<const std::byte> blocks, const Stream& stream);

}  // namespace lora_dist
