// A model folder and the adapters to merge into it, opened and checked: what merge and export share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/commands/merge_formats.h"
#include "src/commands/merge_options.h"
#include "src/convert/merge_quantized.h"
#include "src/model/model_config.h"

namespace lora_dist {

struct Merge {
  ModelSpec spec;
  TensorDirectory files;                    // the folder's tensors
  std::optional<QuantizedModel> quantized;  // of a prequantized folder: the plain folder that it represents
  std::vector<std::string> warnings;        // about the folder
  std::vector<WeightedAdapter> adapters;
  MergePlan plan;
  MergeFormats formats;
  BaseFormat full{Quantization::none, false, 64};

  const TensorDirectory& model() const { return quantized ? quantized->plain : files; }
};

/// Reads configuration, tokenizer and headers of the model and all of the adapters. Without adapters the weights are those of the
/// files, unless --quantization or --onto is given. Throws Error(model) for a folder or an adapter that cannot be used,
/// Error(usage) for options that contradict them. `merge.plan` points into the result, which must not be copied.
Merge open_merge(const MergeOptions& options);

}  // namespace lora_dist
