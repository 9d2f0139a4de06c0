// Sets up a run's adapter: layout, description, parameters.
#include "src/job/adapter_setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "kernels/elementwise/copy.h"
#include "src/adapter/adapter_bridge.h"
#include "src/adapter/frozen_tensors.h"
#include "src/comm/agree.h"
#include "src/config/check_config.h"
#include "src/core/error.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

[[noreturn]] void refuse(const Config& config, const std::string& key, const std::string& asked, const std::string& has) {
  throw Error(ExitCode::usage,
              fmt::format("{} is {}, but the adapter in adapter.init_from ({}) has {}; leave the key out or set it to that", key,
                          asked, config.adapter.init_from, has));
}

void check_keys_agree(const Config& config, const PeftConfig& peft) {
  if (config.is_explicit("adapter.method") && config.adapter.method != peft.method) {
    refuse(config, "adapter.method", std::string(word_of(kMethods, config.adapter.method)),
           std::string(word_of(kMethods, peft.method)));
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

AdaptedLinears adapted_linears(const AdapterLayout& layout) {
  AdaptedLinears adapted(layout.blocks.size());
  for (std::size_t layer = 0; layer < adapted.size(); ++layer) {
    for (std::size_t i = 0; i < kLinears; ++i) {
      adapted[layer][i] = layout.blocks[layer][i].has_value();
    }
  }
  return adapted;
}

AdapterSpec configured_spec(const Config& config) {
  const AdapterConfig& adapter = config.adapter;
  return {adapter.method == Method::adalora ? static_cast<int>(adapter.adalora.init_r) : adapter.r,
          adapter.alpha,
          adapter.dropout,
          adapter.rslora,
          adapter.target_modules,
          &method_of(adapter.method),
          adapter.exclude_modules,
          adapter.layers_to_transform,
          adapter.rank_pattern,
          adapter.alpha_pattern,
          adapter.ia3_feedforward_modules};
}

/// The shortest target_modules that match what the layout adapts.
std::vector<std::string> module_names(const AdapterLayout& layout) {
  return layout.method->trains_norms ? norm_names(*layout.family, layout.norms, std::ssize(layout.blocks))
                                     : target_names(*layout.family, adapted_linears(layout));
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
    throw Error(ExitCode::usage,
                fmt::format("the adapter in adapter.init_from ({}) has lost ranks already, and AdaLoRA starts with all of them; "
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
}

/// Applies a PEFT folder's settings to the configuration.
void adopt(Config& config, const PeftConfig& peft, const ModelSpec& model, const AdapterLayout& layout) {
  check_keys_agree(config, peft);
  check_targets_agree(config, model, layout);
  check_patterns_agree(config, peft);
  if (peft.method == Method::adalora) {
    adopt_schedule(config, peft);
  } else {
    config.adapter.r = static_cast<int>(peft.r);
  }
  config.adapter.alpha = peft.alpha;
  config.adapter.rslora = peft.use_rslora;
  config.adapter.method = peft.method;
  config.adapter.rank_pattern = peft.rank_pattern;
  config.adapter.alpha_pattern = peft.alpha_pattern;
  config.adapter.ia3_feedforward_modules = peft.feedforward_modules;
  adopt_projections(config, peft);
  config.adapter.target_modules = module_names(layout);
  for (const char* key : {"adapter.r", "adapter.alpha", "adapter.rslora", "adapter.method", "adapter.target_modules",
                          "adapter.rank_pattern", "adapter.alpha_pattern", "adapter.ia3.feedforward_modules",
                          "adapter.vera.d_initial", "adapter.vera.projection_key", "adapter.vera.save_projection"}) {
    if (!config.is_explicit(key)) {
      config.origins[key] = "adapter.init_from";
    }
  }
  if (const ConfigProblem problem = option_of_another_method(config); !problem.keys.empty()) {
    throw Error(ExitCode::usage, problem.text);
  }
  if (config.adapter.init != LoraInit::uniform) {
    throw Error(ExitCode::usage,
                "adapter.init has no effect on the adapter in adapter.init_from, which has its values; leave one out");
  }
}

/// Throws Error(usage) if the folder would leave projections to be drawn that were not drawn from its key.
void check_can_be_drawn(const ModelRun& run) {
  const AdapterMethod& method = *run.layout.method;
  if (method.draw_shared == nullptr || run.peft.save_shared) {
    return;
  }
  for (const auto& [name, drawn] : shared_tensors(run.layout, run.peft, {}, {})) {
    const AdapterMatrix& held = run.shared.at(name);
    if (held.shape != drawn.shape || held.values != drawn.values) {
      throw Error(
          ExitCode::usage,
          fmt::format("adapter.vera.save_projection is false, and {} of the adapter in adapter.init_from ({}) is not what "
                      "its key draws; leave the key out",
                      name, run.config.adapter.init_from));
    }
  }
}

void take_parameters(ModelRun& run) {
  run.part = make_adapter_shard(run.layout, run.model->spec, run.model->base.tp);
  const AdapterParams taken = take_parameters(run.layout, run.part, run.model->arena);
  run.params = taken.whole;
  run.part_params = taken.part;
}

/// Fills the PEFT configuration to save. Patterns of rank and alpha stay as read from the folder.
void describe(ModelRun& run) {
  const Config& config = run.config;
  run.peft.r = configured_spec(config).r;
  run.peft.adalora = config.adapter.adalora;
  run.peft.alpha = config.adapter.alpha;
  run.peft.use_rslora = config.adapter.rslora;
  run.peft.method = config.adapter.method;
  run.peft.dropout = config.adapter.dropout;
  run.peft.d_initial = config.adapter.vera_d_initial;
  run.peft.projection_key = config.adapter.vera_projection_key;
  run.peft.save_shared = config.adapter.vera_save_projection;
  run.peft.base_model_name_or_path = config.model.path;
  run.peft.target_pattern.clear();
  run.peft.target_modules = module_names(run.layout);
  if (const auto describe_more = run.layout.method->describe; describe_more != nullptr) {
    describe_more(run.peft, run.layout);
  }
  run.peft.fan_in_fan_out = run.model->spec.family->transposed;
}

/// Only feed-forward modules that are adapted are named, unless the user names them.
void choose_modules(Config& config, const ModelSpec& model, const DefaultModules& defaults) {
  if (!config.adapter.init_from.empty()) {
    return;
  }
  const auto choose = [&](const std::string& key, std::vector<std::string>& names, const std::vector<std::string>& of_family) {
    if (!config.is_explicit(key)) {
      names = of_family;
      config.origins[key] = "model_type " + model.model_type;
    }
  };
  choose("adapter.target_modules", config.adapter.target_modules, defaults.target_modules);
  if (method_of(config.adapter.method).trains_norms) {
    match_norms(model, config.adapter.target_modules);  // throws
    return;
  }
  const AdaptedLinears adapted = adapted_by(model, configured_spec(config));
  const bool any_down =
      std::any_of(adapted.begin(), adapted.end(), [](const auto& layer) { return layer[index_of(Linear::down)]; });
  choose("adapter.ia3.feedforward_modules", config.adapter.ia3_feedforward_modules,
         any_down ? defaults.feedforward_modules : std::vector<std::string>{});
}

/// A new adapter, or none, with its first values.
std::vector<float> new_parameters(ModelRun& run, Purpose purpose) {
  run.layout = purpose == Purpose::evaluate ? run.no_layout : configured_layout(run.config, run.model->spec);
  run.peft.rank_pattern = run.config.adapter.rank_pattern;
  run.peft.alpha_pattern = run.config.adapter.alpha_pattern;
  take_parameters(run);
  std::vector<float> params(static_cast<std::size_t>(run.layout.count));
  initialize_adapters(run.layout, static_cast<std::uint64_t>(run.config.train.seed), params, run.config.adapter.init,
                      run.config.adapter.vera_d_initial);
  return params;
}

/// A folder's adapter with its values. `shared`: gets its shared tensors.
std::vector<float> read_parameters(ModelRun& run, Purpose purpose, const std::filesystem::path& from, SharedTensors& shared) {
  PeftAdapter read = read_peft_adapter(from);
  if (run.world->rank() == 0) {  // it may read whole tables
    check_tables(read, run.model->spec, run.model->directory);
  }
  run.layout = layout_of(read, run.model->spec, from.string());
  run.peft = read.config;
  if (purpose == Purpose::train) {
    adopt(run.config, read.config, run.model->spec, run.layout);
  }
  take_parameters(run);
  std::vector<float> params(static_cast<std::size_t>(run.layout.count));
  copy_parameters(read, run.layout, params);
  shared = std::move(read.shared);
  return params;
}

}  // namespace

AdapterLayout configured_layout(const Config& config, const ModelSpec& model) {
  return make_adapter_layout(model, configured_spec(config));
}

AdapterParams take_parameters(const AdapterLayout& layout, const AdapterShard& part, Arena& arena) {
  AdapterParams params;
  params.whole = arena.take<float>(MemoryKind::adapters, "parameters", layout.count);
  params.part = part.parameters.empty() ? params.whole
                                        : arena.take<float>(MemoryKind::adapters, "parameters of the part", part.layout.count);
  return params;
}

void choose_targets(Config& config, const ModelSpec& model) {
  if (const auto default_modules = method_of(config.adapter.method).default_modules; default_modules != nullptr) {
    choose_modules(config, model, default_modules(model));
  } else {
    match_targets(model, config.adapter.target_modules);
  }
}

void prepare_adapter(ModelRun& run, Purpose purpose, const std::filesystem::path& adapter) {
  const std::filesystem::path from = adapter.empty() ? std::filesystem::path(run.config.adapter.init_from) : adapter;
  run_together(*run.world, [&] {
    run.no_layout = no_adapter(run.model->spec).layout;
    SharedTensors held;  // of the folder
    const std::vector<float> params = from.empty() ? new_parameters(run, purpose) : read_parameters(run, purpose, from, held);
    if (purpose == Purpose::train) {
      describe(run);
    }
    run.shared = shared_tensors(run.layout, run.peft, std::move(held), from.string());
    if (purpose == Purpose::train) {
      check_can_be_drawn(run);
    }
    from_host(view(std::span<const float>(params)), view(run.params), run.model->stream);
    take_shard(run.part, run.params, run.part_params, run.model->stream);
  });
}

}  // namespace lora_dist
