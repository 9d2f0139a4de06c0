// The norms that LayerNorm tuning trains: where they are, and their parameters.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/parameter.h"
#include "src/model/model_config.h"

namespace lora_dist {

struct Family;

/// A norm of [hidden]: one of a block's, or the model's last.
enum class NormSite : std::uint8_t { attention, mlp, attention_out, mlp_out, last };

struct TrainedNorm {
  NormSite site = NormSite::last;
  std::int64_t layer = 0;             // 0 for the last
  std::vector<Parameter> parameters;  // weight [hidden], as files store it (norm_adds_one); then bias [hidden] if there is one
};

/// "model.layers.3.input_layernorm".
std::string norm_path(const Family& family, NormSite site, std::int64_t layer);

/// Every norm of [hidden], block by block, the last one at the end; offsets are left 0.
std::vector<TrainedNorm> all_norms(const ModelSpec& model);

/// The norms that target_modules match, in the same order. Names are matched as those of linears. Throws Error(usage) for a name
/// that matches no norm, listing the model's.
std::vector<TrainedNorm> match_norms(const ModelSpec& model, const std::vector<std::string>& target_modules);

/// PEFT's target_modules of LN_TUNING for the model type; every norm where PEFT has none.
std::vector<std::string> default_norms(const ModelSpec& model);

/// The shortest target_modules that match exactly these norms; whole paths if layers differ.
std::vector<std::string> norm_names(const Family& family, std::span<const TrainedNorm> norms, std::int64_t layers);

/// The norm of that site; null if it is not trained.
const TrainedNorm* find_norm(std::span<const TrainedNorm> norms, NormSite site, std::int64_t layer);

}  // namespace lora_dist
