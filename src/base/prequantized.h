// Weights that were quantized before they were saved: by bitsandbytes (functional.py: QuantState.as_dict; transformers'
// save_pretrained), or in a base store, under the same names. Codes and scales are used unchanged.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/base_format.h"
#include "src/io/safetensors.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

/// The tensors of one weight [out, in] in the files.
struct PrequantizedWeight {
  BaseFormat format;                   // of the weight in the base
  const TensorInfo* codes = nullptr;   // X.weight: ceil(out * in / 2) bytes, stored under any dtype (bnb_4bit_quant_storage)
  const TensorInfo* absmax = nullptr;  // X.weight.absmax: f32, or u8 when nested
  const TensorInfo* nested_absmax = nullptr;  // X.weight.nested_absmax: f32; null: absmax is plain
  float nested_offset = 0.0F;
  std::string dtype;  // of the weight before it was quantized: "float32", "bfloat16", ...

  /// The file's nested map and nested block size, if either differs from the operators': the scales are then dequantized while
  /// loading and kept as f32. Empty: scales are kept as stored.
  std::vector<float> nested_map;
  std::int64_t nested_block = 0;
};

/// The tensors of `wanted` (a weight of tensor_table.h), or nullopt if the files have it as floats. Throws Error(model) naming
/// file and tensor: a missing tensor or a wrong length, damaged JSON, an unknown type, a map that is not bitsandbytes', a shape
/// that differs from config.json.
std::optional<PrequantizedWeight> find_prequantized(const ModelSpec& spec, const TensorDirectory& directory,
                                                    const ModelTensor& wanted);

/// The prequantized linears of one block.
using StoredWeights = std::array<std::optional<PrequantizedWeight>, kLinears>;

/// Checks that every tensor that the configuration implies exists with its shape, as floats or quantized. Returns the quantized
/// ones of each block; `directory` must outlive them. Throws Error(model) for the first failure.
std::vector<StoredWeights> check_model_tensors(const ModelSpec& spec, const TensorDirectory& directory);

/// The format of the first quantized weight; nullopt if there is none.
std::optional<BaseFormat> stored_format(std::span<const StoredWeights> stored);
/// The same, without checking all tensors. Throws like find_prequantized.
std::optional<BaseFormat> stored_format(const ModelSpec& spec, const TensorDirectory& directory);

/// All scales of a weight as f32, by the file's own map. Throws Error(model) for NaN or infinity.
std::vector<float> read_scales(const PrequantizedWeight& weight);

}  // namespace lora_dist
