// Which type each tensor of a GGUF file has (contract: llama.cpp, convert_hf_to_gguf.py and src/llama-quant.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/core/words.h"
#include "src/io/gguf_blocks.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// The kinds of files that are written: mostly of one type, or llama-quantize's mixture Q4_K_M.
enum class GgufFileType : std::uint8_t { f32, f16, bf16, q8_0, q4_k_m };
inline constexpr Words<GgufFileType, 5> kGgufFileTypes = {{{"f32", GgufFileType::f32},
                                                           {"f16", GgufFileType::f16},
                                                           {"bf16", GgufFileType::bf16},
                                                           {"q8_0", GgufFileType::q8_0},
                                                           {"q4_k_m", GgufFileType::q4_k_m}}};

/// general.file_type.
std::uint32_t gguf_file_type_number(GgufFileType type);

/// The type of tensor "blk.7.attn_v.weight". Norms, biases, positions and rope_freqs are F32. Rows that are no whole blocks fall
/// back: Q4_K to Q5_0, Q5_K to Q5_1, Q6_K to Q8_0, and all of them to F16 where 32 does not divide the rows.
const GgmlType& gguf_tensor_type(GgufFileType type, const std::string& name, const std::vector<std::int64_t>& shape,
                                 const ModelSpec& spec);

}  // namespace lora_dist
