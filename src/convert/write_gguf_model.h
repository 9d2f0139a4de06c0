// Writes a model, with adapters merged, as a GGUF file.
#pragma once

#include <filesystem>
#include <vector>

#include "src/convert/gguf_recipe.h"
#include "src/convert/merge_quantized.h"
#include "src/convert/merge_weights.h"
#include "src/io/gguf_tensor.h"
#include "src/io/write_gguf.h"

namespace lora_dist {

/// A model with its plan of updates.
struct MergedModel {
  const ModelSpec* spec = nullptr;
  const TensorDirectory* files = nullptr;     // the folder's tensors
  const QuantizedModel* quantized = nullptr;  // of a prequantized folder, else null
  const MergePlan* plan = nullptr;
  BaseFormat onto;
  BaseFormat trained;

  const TensorDirectory& tensors() const { return quantized != nullptr ? quantized->plain : *files; }
};

/// A tensor of the file, and where its values come from.
struct GgufTensorPlan {
  GgufTensorToWrite written;
  const TensorInfo* from = nullptr;  // null: a tensor of the rotation, gguf_rope_tensors()
  GgufSource order;                  // how its rows lie in the file
};

/// All tensors in the order of the file, those of the rotation first. Throws Error(model) naming a tensor that
/// the model lacks, or that has no place in the architecture.
std::vector<GgufTensorPlan> plan_gguf_tensors(const MergedModel& model, GgufFileType type);

/// The tensor's bytes. Merges in f32 and rounds once, to the file's type. Throws Error(model) naming a tensor with values that
/// the type cannot hold, or that are no numbers.
std::vector<std::byte> gguf_tensor_bytes(const MergedModel& model, const GgufTensorPlan& tensor, MergeSums& sums,
                                         const Stream& stream);

}  // namespace lora_dist
