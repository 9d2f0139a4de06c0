// Weights that were quantized before they were saved: by bitsandbytes (functional.py: QuantState.as_dict; transformers'
// save_pretrained), or in a base store, under the same names. They are used as they lie: no code and no scale is computed anew.
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

/// Where the files have the parts of one weight [out, in].
struct PrequantizedWeight {
  BaseFormat format;                   // that a base keeps it in
  const TensorInfo* codes = nullptr;   // X.weight: ceil(out * in / 2) bytes, shown under any dtype (bnb_4bit_quant_storage)
  const TensorInfo* absmax = nullptr;  // X.weight.absmax: f32, or u8 when nested
  const TensorInfo* nested_absmax = nullptr;  // X.weight.nested_absmax: f32; null: absmax is plain
  float nested_offset = 0.0F;
  std::string dtype;  // of the weight before it was quantized: "float32", "bfloat16", ...

  /// The file's own nested map, and the scales that share a nested scale, where either is another than the operators use: the
  /// scales are then computed while loading and kept as f32. Empty: they are kept as they are.
  std::vector<float> nested_map;
  std::int64_t nested_block = 0;
};

/// The parts of `wanted` (a weight as tensor_table.h has it), or nothing where the files have it as floats. Throws Error(model)
/// naming file and tensor: a part is missing or of another length, its JSON is damaged, its type is unknown, its map is not
/// bitsandbytes', its shape is not the one that config.json implies.
std::optional<PrequantizedWeight> find_prequantized(const ModelSpec& spec, const TensorDirectory& directory,
                                                    const ModelTensor& wanted);

/// The linears of one block that the files have quantized.
using StoredWeights = std::array<std::optional<PrequantizedWeight>, kLinears>;

/// Checks that every tensor which the configuration implies is there, in its shape, as floats or quantized.
/// Returns the latter, of each block; `directory` must outlive them. Throws Error(model) for the first that is not.
std::vector<StoredWeights> check_model_tensors(const ModelSpec& spec, const TensorDirectory& directory);

/// The format of the first weight that is quantized; nothing where none is.
std::optional<BaseFormat> stored_format(std::span<const StoredWeights> stored);
/// The same before all is checked. Throws as find_prequantized does.
std::optional<BaseFormat> stored_format(const ModelSpec& spec, const TensorDirectory& directory);

/// All scales of a weight as f32, by the file's own map. Throws Error(model) where they hold NaN or infinity.
std::vector<float> read_scales(const PrequantizedWeight& weight);

}  // namespace lora_dist
