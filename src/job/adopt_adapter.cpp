// Keys that must agree, and keys that take the folder's values.
#include "src/job/adopt_adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "src/config/check_config.h"
#include "src/config/config_keys.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

[[noreturn]] void refuse(const Config& config, const std::string& key, const std::string& asked, const std::string& has) {
  throw Error(ExitCode::usage,
              fmt::format("{} is {}, but the adapter in adapter.init_from ({}) has {}; leave the key out or set it to that", key,
                          asked, config.adapter.init_from, has));
}

void check_keys_agree(const Config& config, const PeftConfig& peft) {
  if (config.is_explicit("adapter.method") && config.adapter.method != MethodChoice{peft.method}) {
    refuse(config, "adapter.method", find_key("adapter.method")->text(config), std::string(word_of(kMethods, peft.method)));
  }
  const MethodKeys& keys = method_of(peft.method).keys;
  if (keys.rank && config.is_explicit("adapter.r") && config.adapter.r != peft.r) {
    refuse(config, "adapter.r", std::to_string(config.adapter.r), std::to_string(peft.r));
  }
  if (!keys.alpha) {  // it has none of the others
    return;
  }
  if (config.is_explicit("adapter.alpha") && config.adapter.alpha != peft.alpha) {
    refuse(config, "adapter.alpha", fmt::format("{}", config.adapter.alpha), fmt::format("{}", peft.alpha));
  }
  if (config.is_explicit("adapter.rslora") && config.adapter.rslora != peft.use_rslora) {
    refuse(config, "adapter.rslora", fmt::format("{}", config.adapter.rslora), fmt::format("{}", peft.use_rslora));
  }
}

/// The keys that narrow are applied to the folder's modules, each by itself, so that the message names the one that differs.
void check_targets_agree(const Config& config, const ModelSpec& model, const AdapterLayout& layout) {
  const std::vector<std::string> names = module_names(layout);
  const auto check = [&](const char* key, const AdapterSpec& asked) {
    if (config.is_explicit(key) && module_names(make_adapter_layout(model, asked)) != names) {
      throw Error(ExitCode::usage, fmt::format("{} names other layers than the adapter in adapter.init_from ({}) has ({}); "
                                               "leave the key out or set it to those",
                                               key, config.adapter.init_from, fmt::join(names, ", ")));
    }
  };
  AdapterSpec of_folder;
  of_folder.method = layout.method;
  of_folder.target_modules = names;
  AdapterSpec excluding = of_folder;
  excluding.exclude_modules = config.adapter.exclude_modules;
  check("adapter.exclude_modules", excluding);
  AdapterSpec in_layers = of_folder;
  in_layers.layers_to_transform = config.adapter.layers_to_transform;
  check("adapter.layers_to_transform", in_layers);
  AdapterSpec configured = in_layers;
  configured.target_modules = config.adapter.target_modules;
  configured.exclude_modules = config.adapter.exclude_modules;
  check("adapter.target_modules", configured);
}

/// Patterns and lists in any order.
template <class List>
bool same(List a, List b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

/// A folder's patterns stay as they are.
void check_patterns_agree(const Config& config, const PeftConfig& peft) {
  const auto check = [&](const std::string& key, bool agrees) {
    if (config.is_explicit(key) && !agrees) {
      throw Error(ExitCode::usage, fmt::format("{} differs from that of the adapter in adapter.init_from ({}); leave the key out",
                                               key, config.adapter.init_from));
    }
  };
  check("adapter.rank_pattern", same(config.adapter.rank_pattern, peft.rank_pattern));
  check("adapter.ia3.feedforward_modules", same(config.adapter.ia3_feedforward_modules, peft.feedforward_modules));
  check("adapter.alpha_pattern", same(config.adapter.alpha_pattern, peft.alpha_pattern));
}

/// The modules that a folder trains whole, and its tokens, stay as they are.
void adopt_trained_modules(Config& config, const PeftConfig& peft, const AdapterLayout& layout) {
  AdapterConfig& adapter = config.adapter;
  std::vector<std::int64_t> tokens;
  for (const TrainedTable& table : layout.tables) {
    if (!table.is_whole() && table.site == TableSite::embedding) {
      tokens.assign(table.ids.begin(), table.ids.end());
    }
  }
  const auto check = [&](const std::string& key, bool agrees) {
    if (config.is_explicit(key) && !agrees) {
      throw Error(ExitCode::usage, fmt::format("{} differs from that of the adapter in adapter.init_from ({}); leave the key out",
                                               key, adapter.init_from));
    }
    if (!config.is_explicit(key)) {
      config.origins[key] = "adapter.init_from";
    }
  };
  check("adapter.modules_to_save", same(adapter.modules_to_save, peft.modules_to_save));
  check("adapter.ensure_weight_tying", adapter.ensure_weight_tying == peft.ensure_weight_tying);
  check("adapter.trainable_token_indices", same(adapter.trainable_token_indices, tokens));
  adapter.modules_to_save = peft.modules_to_save;
  adapter.ensure_weight_tying = peft.ensure_weight_tying;
  adapter.trainable_token_indices = tokens;
}

/// VeRA's keys: a folder's projections stay as they are; whether they are saved is free.
void adopt_projections(Config& config, const PeftConfig& peft) {
  const char* const key = "adapter.vera.projection_key";
  if (config.is_explicit(key) && config.adapter.vera_projection_key != peft.projection_key) {
    refuse(config, key, std::to_string(config.adapter.vera_projection_key), std::to_string(peft.projection_key));
  }
  config.adapter.vera_d_initial = peft.d_initial;
  config.adapter.vera_projection_key = peft.projection_key;
  if (!config.is_explicit("adapter.vera.save_projection")) {
    config.adapter.vera_save_projection = peft.save_shared;
  }
}

/// AdaLoRA's keys: those that the user leaves out are the folder's.
void adopt_schedule(Config& config, const PeftConfig& peft) {
  AdaLoraOptions& ours = config.adapter.adalora;
  const AdaLoraOptions& theirs = peft.adalora;
  if (!peft.kept_ranks.empty()) {
    throw Error(
        ExitCode::usage,
        fmt::format(
            "the adapter in adapter.init_from ({}) has pruned ranks, and AdaLoRA starts with init_r of them in every module; "
            "make it plain LoRA (lora_dist export --for peft) and train that on",
            config.adapter.init_from));
  }
  if (config.is_explicit("adapter.adalora.init_r") && ours.init_r != theirs.init_r) {
    refuse(config, "adapter.adalora.init_r", std::to_string(ours.init_r), std::to_string(theirs.init_r));
  }
  const auto take = [&](const std::string& key, auto AdaLoraOptions::*option) {
    if (!config.is_explicit("adapter.adalora." + key)) {
      ours.*option = theirs.*option;
      config.origins["adapter.adalora." + key] = "adapter.init_from";
    }
  };
  take("init_r", &AdaLoraOptions::init_r);
  take("target_r", &AdaLoraOptions::target_r);
  take("tinit", &AdaLoraOptions::tinit);
  take("tfinal", &AdaLoraOptions::tfinal);
  take("delta_t", &AdaLoraOptions::delta_t);
  take("beta1", &AdaLoraOptions::beta1);
  take("beta2", &AdaLoraOptions::beta2);
  take("orth_reg_weight", &AdaLoraOptions::orth_reg_weight);
  if (ours.target_r > ours.init_r) {
    throw Error(ExitCode::usage,
                fmt::format("adapter.adalora.target_r is {} with the adapter in adapter.init_from ({}), more than "
                            "its init_r = {}; set a smaller one",
                            ours.target_r, config.adapter.init_from, ours.init_r));
  }
}

/// The folder's method may differ from the one that the keys were checked for.
void check_options(const Config& config) {
  if (const ConfigProblem problem = option_of_another_method(config); !problem.keys.empty()) {
    throw Error(ExitCode::usage, problem.text);
  }
}

/// Applies the settings of a PEFT folder with virtual tokens to the configuration.
void adopt_virtual_tokens(Config& config, const PeftConfig& peft) {
  const bool is_prefix = method_of(peft.method).virtual_place == VirtualPlace::keys_and_values;
  const std::string key = is_prefix ? "adapter.prefix.virtual_tokens" : "adapter.prompt.virtual_tokens";
  int& count = is_prefix ? config.adapter.prefix.virtual_tokens : config.adapter.prompt.virtual_tokens;
  if (config.is_explicit(key) && count != peft.virtual_tokens) {
    refuse(config, key, std::to_string(count), std::to_string(peft.virtual_tokens));
  }
  if (peft.reparametrized) {
    throw Error(
        ExitCode::usage,
        fmt::format("{}: its virtual tokens were trained through an encoder, which PEFT's folder does not keep; it can be "
                    "used, but not trained further. Resume from a checkpoint of that run instead",
                    config.adapter.init_from));
  }
  if (config.adapter.prefix.projection) {
    throw Error(
        ExitCode::usage,
        "adapter.prefix.projection has no effect on the adapter in adapter.init_from, which has its values; leave one out");
  }
  if (config.adapter.prompt.init != PromptInit::random) {
    throw Error(ExitCode::usage,
                "adapter.prompt.init has no effect on the adapter in adapter.init_from, which has its values; leave one out");
  }
  config.adapter.method = {peft.method};
  count = static_cast<int>(peft.virtual_tokens);
  for (const std::string& adopted : {std::string("adapter.method"), key}) {
    if (!config.is_explicit(adopted)) {
      config.origins[adopted] = "adapter.init_from";
    }
  }
  check_options(config);
}

/// A folder's bottlenecks stay as they are.
void adopt_bottleneck(Config& config, const PeftConfig& peft) {
  const auto take = [&](const char* key, auto& ours, const auto& theirs) {
    if (config.is_explicit(key) && ours != theirs) {
      throw Error(ExitCode::usage, fmt::format("{} differs from that of the adapter in adapter.init_from ({}); leave the key out",
                                               key, config.adapter.init_from));
    }
    if (!config.is_explicit(key)) {
      ours = theirs;
      config.origins[key] = "adapter.init_from";
    }
  };
  take("adapter.bottleneck.placement", config.adapter.bottleneck_placement, peft.bottleneck.placement);
  take("adapter.bottleneck.reduction", config.adapter.bottleneck_reduction, peft.bottleneck.reduction);
  take("adapter.bottleneck.activation", config.adapter.bottleneck_activation, peft.bottleneck.activation);
}

}  // namespace

void adopt_adapter(Config& config, const PeftConfig& peft, const ModelSpec& model, const AdapterLayout& layout) {
  check_keys_agree(config, peft);
  if (layout.virtual_tokens.count > 0) {
    adopt_virtual_tokens(config, peft);
    return;
  }
  check_targets_agree(config, model, layout);
  check_patterns_agree(config, peft);
  if (peft.method == Method::adalora) {
    adopt_schedule(config, peft);
  } else {
    config.adapter.r = static_cast<int>(peft.r);
  }
  config.adapter.alpha = peft.alpha;
  config.adapter.rslora = peft.use_rslora;
  config.adapter.method = {peft.method};
  config.adapter.rank_pattern = peft.rank_pattern;
  config.adapter.alpha_pattern = peft.alpha_pattern;
  config.adapter.ia3_feedforward_modules = peft.feedforward_modules;
  adopt_projections(config, peft);
  adopt_trained_modules(config, peft, layout);
  if (peft.method == Method::bottleneck) {
    adopt_bottleneck(config, peft);
  }
  std::vector<const char*> adopted = {"adapter.r",
                                      "adapter.alpha",
                                      "adapter.rslora",
                                      "adapter.method",
                                      "adapter.rank_pattern",
                                      "adapter.alpha_pattern",
                                      "adapter.ia3.feedforward_modules",
                                      "adapter.vera.d_initial",
                                      "adapter.vera.projection_key",
                                      "adapter.vera.save_projection"};
  if (peft.method != Method::bottleneck) {  // which has a place in every block, and no targets
    config.adapter.target_modules = module_names(layout);
    adopted.push_back("adapter.target_modules");
  }
  for (const char* key : adopted) {
    if (!config.is_explicit(key)) {
      config.origins[key] = "adapter.init_from";
    }
  }
  check_options(config);
  if (config.adapter.init != LoraInit::uniform && config.adapter.init != peft.init) {
    throw Error(ExitCode::usage,
                "adapter.init has no effect on the adapter in adapter.init_from, which has its values; leave one out");
  }
  config.adapter.init = peft.init;
  if (uses_residual(peft.init) && !config.is_explicit("adapter.init")) {
    config.origins["adapter.init"] = "adapter.init_from";
  }
}

}  // namespace lora_dist
