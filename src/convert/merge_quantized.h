// Merging onto a folder that bitsandbytes quantized: its weights as floats, with the adapters folded in, in a plain folder.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "src/base/prequantized.h"
#include "src/convert/merge_weights.h"

namespace lora_dist {

/// A quantized folder seen as the plain one that it stands for.
struct QuantizedModel {
  TensorDirectory
      plain;  // tensors of the plain folder: quantized weights in the dtype and shape that they had, without their parts
  std::map<std::string, PrequantizedWeight> quantized;  // of those, what the files have
  bool transposed = false;                              // the plain folder keeps them [in, out] (GPT-2)
};

/// `stored`: of check_model_tensors. `directory` must outlive the result. Throws Error(model).
QuantizedModel as_plain_model(const ModelSpec& spec, const TensorDirectory& directory, std::span<const StoredWeights> stored);

/// Writes `target` with those tensors of the plain folder that `source` has, one at a time: quantized weights dequantized, the
/// plan's updates added in f32, rounded once to their dtype. Throws Error(model).
MergeSums merge_quantized_file(const QuantizedModel& model, const std::filesystem::path& source,
                               const std::filesystem::path& target, const MergePlan& plan, const Stream& stream);

/// Writes config.json without its quantization_config, and the index (where there is one) of the plain tensors. Throws
/// Error(model).
void write_plain_descriptions(const QuantizedModel& model, const std::filesystem::path& folder,
                              const std::filesystem::path& target);

}  // namespace lora_dist
