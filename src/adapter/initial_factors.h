// Initialisations of LoRA that start from the weights (PiSSA, OLoRA, LoftQ), and the plain adapters that they become.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/stream.h"
#include "src/adapter/adapter_layout.h"
#include "src/adapter/peft_adapter.h"
#include "src/adapter/step_hooks.h"
#include "src/base/base_format.h"

namespace lora_dist {

/// Throws Error(usage) naming the first adapted module whose weight has no factors of its rank; of an adapter's folder
/// Error(model) naming it.
void check_ranks(const AdapterLayout& layout, const ModelSpec& model, const std::string& folder = {});
/// Throws Error(model) if the model's files hold quantized weights.
void check_float_weights(LoraInit init, const ModelSpec& model, const TensorDirectory& directory);

/// The weights of a model that factors are made of.
struct FactorSource {
  const ModelSpec& model;
  const TensorDirectory& directory;
  BaseFormat held = {};  // what LoftQ compensates for
};
/// The modules that one of several ranks computes: the rank-th of every `ranks`.
struct ModuleShare {
  int rank = 0;
  int ranks = 1;
};
/// Fills A and B of the share's adapted modules in a flat buffer by layout.init; leaves the others. Throws Error(model).
void fill_initial_factors(const AdapterLayout& layout, const FactorSource& source, const ModuleShare& share,
                          std::span<float> params, const Stream& stream);

/// The plain LoRA adapter of rank 2 r over the unchanged base: A = [A; A0], B = [B, -B0], which `peft` then describes. PEFT's
/// conversion of an adapter whose initialisation changed the weights.
KeptTensors plain_tensors(const AdapterLayout& layout, std::span<const float> params, std::span<const float> initial,
                          PeftConfig& peft);

/// Makes a folder's adapter that was saved without that conversion (init_lora_weights is "pissa" or "olora") a plain one. Throws
/// Error(model) as layout_of and the checks above; `folder` is named.
void convert_to_plain(PeftAdapter& adapter, const ModelSpec& model, const TensorDirectory& directory, const std::string& folder,
                      const Stream& stream);

}  // namespace lora_dist
