// Merges adapters into a bitsandbytes-quantized folder, dequantized to a plain folder.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "src/base/prequantized.h"
#include "src/convert/merge_weights.h"

namespace lora_dist {

/// The plain folder that a quantized folder represents.
struct QuantizedModel {
  TensorDirectory
      plain;  // tensors of the plain folder: quantized weights with their original dtype and shape, without their parts
  std::map<std::string, PrequantizedWeight> quantized;  // the quantized ones among them
  bool transposed = false;                              // the plain folder stores them as [in, out] (GPT-2)
};

/// `stored`: of check_model_tensors. `directory` must outlive the result. Throws Error(model).
QuantizedModel as_plain_model(const ModelSpec& spec, const TensorDirectory& directory, std::span<const StoredWeights> stored);

/// The values of one matrix of the plain folder, in file order. Throws Error(model).
std::vector<float> plain_values(const QuantizedModel& model, const TensorInfo& tensor, const Stream& stream);

/// Writes `target` with the plain folder's tensors of `source`, one at a time: dequantizes, adds the plan's updates in f32, and
/// rounds once to the tensor's dtype. Throws Error(model).
MergeSums merge_quantized_file(const QuantizedModel& model, const std::filesystem::path& source,
                               const std::filesystem::path& target, const MergePlan& plan, const Stream& stream);

/// Writes config.json without quantization_config, and the index of the plain tensors if the folder has one. Throws Error(model).
void write_plain_descriptions(const QuantizedModel& model, const std::filesystem::path& folder,
                              const std::filesystem::path& target);

}  // namespace lora_dist
