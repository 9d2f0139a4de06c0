// adapter_config.json of a PEFT LoRA adapter (contract: huggingface/peft, LoraConfig).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace lora_dist {

/// Key to value, in the order of the file. A key stands for every module whose path, or an ending of it from a dot on, it matches
/// as a regular expression; the first that does decides.
template <class T>
using PathPattern = std::vector<std::pair<std::string, T>>;

struct PeftConfig {
  std::int64_t r = 8;
  double alpha = 8;
  double dropout = 0;
  bool use_rslora = false;
  std::vector<std::string> target_modules;  // names; empty when target_pattern is set
  std::string target_pattern;  // target_modules given as one string: "all-linear" or a regular expression, kept as it is
  std::vector<std::string> exclude_modules;  // read, never written: what was excluded is not among the targets
  std::string exclude_pattern;               // given as one string
  PathPattern<std::int64_t> rank_pattern;    // r of those modules
  PathPattern<double> alpha_pattern;
  std::vector<std::int64_t> layers_to_transform;  // empty: all
  std::vector<std::string> layers_pattern;        // what stands before a layer's number; empty: anything
  std::string base_model_name_or_path;
  std::string task_type = "CAUSAL_LM";
  bool fan_in_fan_out = false;  // the base keeps its weights [in, out] (GPT-2)
};

/// Rank and alpha of one module ("model.layers.0.self_attn.q_proj") under the patterns.
std::int64_t rank_of(const PeftConfig& config, const std::string& path);
double alpha_of(const PeftConfig& config, const std::string& path);
/// What the product B*A is multiplied by: alpha / r, or alpha / sqrt(r) for rsLoRA.
double scale_of(const PeftConfig& config, const std::string& path);

/// Whether target_modules name this module, as PEFT takes them, and exclude_modules do not. Of a file that names none, and of a
/// regular expression that is not understood here, any. Throws Error(model) for one that takes too many steps.
bool is_targeted(const PeftConfig& config, const std::string& path);

/// Whether layers_to_transform and layers_pattern leave this module in.
bool is_transformed(const PeftConfig& config, const std::string& path);

/// The file as PEFT writes it: sorted keys, indented by two.
std::string adapter_config_text(const PeftConfig& config);

/// Missing keys take PEFT's defaults, unknown ones are ignored. Throws Error(model) naming file and key for what is malformed and
/// for what cannot be represented here: another peft_type, DoRA, trained biases, modules_to_save, initialisations that change the
/// base.
PeftConfig read_adapter_config(const std::filesystem::path& file);

}  // namespace lora_dist
