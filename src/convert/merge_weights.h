// Merges adapters into the weights of a model folder, file by file, with one tensor in memory at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/stream.h"
#include "src/adapter/adapted_module.h"
#include "src/base/frozen_base.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// An adapter to merge with a weight. Several adapters are summed, like PEFT's add_weighted_adapter with combination_type="cat".
struct WeightedAdapter {
  std::filesystem::path folder;
  double weight = 1.0;
  PeftAdapter adapter;
};

/// Values that take the place of the model's.
struct ReplacedValues {
  const AdapterMatrix* values = nullptr;
  std::vector<std::int32_t> ids = {};  // of the rows; empty: the whole tensor
};

/// The changes of one weight.
struct WeightChange {
  bool in_block = false;    // a linear of a block, which training held in the base format, adapted or not
  bool transposed = false;  // the file stores it as [in, out] (GPT-2)
  std::vector<AdaptedModule> updates;
  std::vector<ReplacedValues> replaced = {};

  bool changes() const { return !updates.empty() || !replaced.empty(); }
};

/// Changes by tensor name in the files: the linears of all blocks, and other adapted weights.
using MergePlan = std::map<std::string, WeightChange>;

/// Finds the weights, with or without the family's prefix; `adapters` must outlive the plan. Throws Error(model) naming adapter
/// and module if the model lacks the weight or has another shape (the adapter belongs to another model), or naming the tensor if
/// a block lacks a weight.
MergePlan make_merge_plan(const ModelSpec& spec, const TensorDirectory& model, std::span<const WeightedAdapter> adapters);

/// Sums of squares over the weights of the plan, for norms.
struct MergeSums {
  std::int64_t tensors = 0;   // weights with updates
  std::int64_t held = 0;      // other weights that were written as the base held them
  double update = 0.0;        // of the adapters' updates
  double quantization = 0.0;  // of dequantized - full weight: the difference between both ways to merge
  double rounding = 0.0;      // of the rounding to the file's dtype
};

/// [rows, cols] -> [cols, rows].
std::vector<float> transposed(std::span<const float> values, std::int64_t rows, std::int64_t cols);

/// The bytes of `tensor`: `values` (f32, in file order) plus the updates, rounded once. Throws Error(model) if the result is not
/// finite.
std::vector<std::byte> fold_in(const TensorInfo& tensor, std::span<float> values, const WeightChange& change, MergeSums& sums,
                               const Stream& stream);

/// The values of a linear's weight as the base holds them (in file order), to add updates to; counts quantization errors.
std::vector<float> base_values(const TensorInfo& tensor, const WeightChange& change, const BaseFormat& onto,
                               const BaseFormat& trained, MergeSums& sums, const Stream& stream);

/// fold_in() without rounding.
std::vector<float> fold_in_floats(const TensorInfo& tensor, std::span<float> values, const WeightChange& change, MergeSums& sums,
                                  const Stream& stream);

/// The bytes of a linear's weight with its change, as merge_file() writes them.
std::vector<std::byte> merge_tensor(const TensorInfo& tensor, const WeightChange& change, const BaseFormat& onto,
                                    const BaseFormat& trained, MergeSums& sums, const Stream& stream);

/// Writes `target` like `source`, one file of `model`: the same tensors and dtypes in the same order, with the plan's updates
/// added in f32 and rounded once. `trained`: the base format in training. `onto`: either the same format, and every linear of the
/// blocks is quantized and dequantized first; or Quantization::none, which merges onto the file's values. Throws Error(model).
MergeSums merge_file(const TensorDirectory& model, const std::filesystem::path& source, const std::filesystem::path& target,
                     const MergePlan& plan, const BaseFormat& onto, const BaseFormat& trained, const Stream& stream);

/// Copies a model folder's files other than weights: configuration, tokenizer, chat templates, index; for a GGUF file, writes its
/// configuration and tokenizer. Throws Error(model).
void copy_other_files(const std::filesystem::path& model, const std::filesystem::path& target);

}  // namespace lora_dist
