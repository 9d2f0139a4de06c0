// What a method's row says of PEFT's folders and of merging.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/adapter/adapted_module.h"
#include "src/adapter/config_reader.h"

namespace lora_dist {

/// A tensor of each adapted module, or of the whole model, as the folder holds it.
struct ModuleTensor {
  std::string_view name;  // "lora_A"
  std::size_t dimensions = 2;
  bool suffix = true;                // named with ".weight"; without it, both spellings are read
  bool optional = false;             // some modules have none
  bool exact = false;                // always f32: 16 bits would round all that the layer computes
  std::string_view kind = "matrix";  // what it must be, in messages
  bool may_be_empty = false;         // the module may have no ranks left
  bool of_model = false;             // a tensor of the whole model, named without a module's path
  std::string_view stranger = {};    // why an adapter of another method cannot hold it; empty: its method is named
};

/// adapter_config.json and adapter_model.safetensors of a method.
struct PeftCodec {
  std::string_view type;                            // the value of peft_type
  std::string_view title;                           // the method's name in sentences
  std::span<const ModuleTensor> tensors;            // the first one stands for the module
  bool (*is_written_in)(const ConfigReader& file);  // of this peft_type; null: every file of that type
  /// Reads the method's own keys.
  void (*read)(const ConfigReader& file, PeftConfig& config);
  /// The method's own keys as PEFT writes them.
  nlohmann::ordered_json (*keys)(const PeftConfig& config);
  /// Why a tensor of the module has a wrong shape, as a clause; empty: it has none. The module has all its tensors, each with its
  /// number of dimensions.
  std::string (*shape_problem)(const AdaptedModule& module, std::string_view role);
  /// "r 16, alpha 32, dropout 0.05": the line of a run.
  std::string (*options)(const PeftConfig& config);
  /// The same as lines of `inspect`, each ending with a line break.
  std::string (*option_lines)(const PeftConfig& config);
  /// " of rank 16, alpha 32,": what a model card's title says of the adapter.
  std::string (*size_text)(const PeftConfig& config);
  /// Matrices that all modules share, named "base_model.<name>" in the folder.
  std::span<const std::string_view> shared = {};
};

/// The size of the weight that a module changes; 0: any.
struct UpdateSize {
  std::int64_t out = 0;
  std::int64_t in = 0;
};

/// f32 [out, in], or [in, out] if transposed (GPT-2).
struct MergedWeight {
  TensorView values;
  bool transposed = false;
};

/// How a module changes its weight.
struct MergeHooks {
  UpdateSize (*size)(const AdaptedModule& module);
  void (*weight)(const AdaptedModule& module, const MergedWeight& weight, const Stream& stream);
  /// Changes the bias [out]. Null, or a size without outputs: biases stay.
  void (*bias)(const AdaptedModule& module, std::span<float> bias);
  /// True if several updates can be added, each with a weight: they do not depend on the weight that they change.
  bool sums = false;
  /// The rank of the update, where it has one.
  std::optional<std::int64_t> (*rank)(const AdaptedModule& module);
  /// The norm that `inspect` shows: of what `norm_of` names; empty: of the update.
  double (*norm)(const AdaptedModule& module);
  std::string_view norm_of;
};

}  // namespace lora_dist
