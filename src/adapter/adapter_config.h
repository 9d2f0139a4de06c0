// adapter_config.json of a PEFT adapter (contract: huggingface/peft, LoraConfig, IA3Config, VeraConfig, AdaLoraConfig).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/core/adalora_options.h"
#include "src/core/by_path.h"
#include "src/core/choices.h"

namespace lora_dist {

/// The settings of bottleneck adapters (adapter-hub/adapters, BnConfig).
struct BottleneckConfig {
  BottleneckPlacement placement = BottleneckPlacement::pfeiffer;
  double reduction = 16.0;
  std::optional<Activation> activation;  // empty: that of the placement
  double scale = 1.0;                    // 4 for parallel ones
  std::string model_type = {};
  std::string name = "default";  // of the adapter, in the names of its tensors
  std::int64_t hidden = 0;
};

struct PeftConfig {
  Method method = Method::lora;
  std::int64_t r = 8;
  double alpha = 8;
  double dropout = 0;
  LoraInit init = LoraInit::uniform;  // of a folder: pissa or olora if A and B are relative to it; never written
  bool use_rslora = false;
  std::vector<std::string> target_modules;  // names; empty when target_pattern is set
  std::string target_pattern;  // target_modules given as one string: "all-linear" or a regular expression, kept as it is
  std::vector<std::string> exclude_modules;  // read, never written: excluded modules are not among the targets
  std::string exclude_pattern;               // given as one string
  PathPattern<std::int64_t> rank_pattern;    // r of matching modules
  PathPattern<double> alpha_pattern;
  std::vector<std::string> feedforward_modules;  // of IA3: endings of paths
  double d_initial = 0.1;                        // of VeRA
  std::int64_t projection_key = 0;               // of VeRA: the seed of its projections
  bool save_shared = true;                       // of VeRA: the folder holds the projections
  AdaLoraOptions adalora;
  std::int64_t total_steps = 1;                         // of AdaLoRA's schedule
  std::map<std::string, std::vector<bool>> kept_ranks;  // of AdaLoRA, by module: which of its ranks are left; empty: all
  std::vector<std::int64_t> layers_to_transform;        // empty: all
  std::vector<std::string> layers_pattern;              // the path before a layer's number; empty: any
  std::int64_t virtual_tokens = 0;                      // of prompt learning, with the model's numbers as PEFT writes them
  bool reparametrized = false;                          // they come from an encoder, which the folder does not have
  bool lstm_encoder = false;                            // of P-tuning
  std::int64_t encoder_hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t token_width = 0;
  BottleneckConfig bottleneck;
  std::vector<std::string> modules_to_save;  // endings of paths: modules trained whole
  bool ensure_weight_tying = false;          // a tied head is trained with the embedding of modules_to_save
  /// trainable_token_indices by module; one list under "" is the embedding's.
  std::map<std::string, std::vector<std::int64_t>> token_indices;
  std::string base_model_name_or_path;
  std::string task_type = "CAUSAL_LM";
  bool fan_in_fan_out = false;  // the base keeps its weights [in, out] (GPT-2)
};

/// Rank and alpha of one module ("model.layers.0.self_attn.q_proj") under the patterns.
std::int64_t rank_of(const PeftConfig& config, const std::string& path);
double alpha_of(const PeftConfig& config, const std::string& path);
/// The rank of the module's tensors: rank_of, or the ranks that AdaLoRA has left.
std::int64_t stored_rank(const PeftConfig& config, const std::string& path);
/// The factor of the update, by the method: alpha / r, for instance.
double scale_of(const PeftConfig& config, const std::string& path);

/// True if target_modules match this module by PEFT's rules and exclude_modules do not. True for every module if the file has no
/// target_modules, or a regular expression that PCRE2 rejects. Throws Error(model) for an expression that takes too many steps.
bool is_targeted(const PeftConfig& config, const std::string& path);

/// True if layers_to_transform and layers_pattern include this module.
bool is_transformed(const PeftConfig& config, const std::string& path);

/// The file as PEFT writes it: sorted keys, indented by two.
std::string adapter_config_text(const PeftConfig& config);

/// Missing keys take PEFT's defaults, unknown ones are ignored. Throws Error(model) naming file and key for malformed values and
/// for unsupported ones: another peft_type, trained biases, initialisations that
/// change the base and that this program does not repeat, modules_to_save of other methods than LoRA and DoRA.
PeftConfig read_adapter_config(const std::filesystem::path& file);

}  // namespace lora_dist
