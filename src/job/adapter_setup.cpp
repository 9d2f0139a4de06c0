// Sets up a run's adapter: layout, description, parameters.
#include "src/job/adapter_setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "kernels/elementwise/copy.h"
#include "src/adapter/adapter_folders.h"
#include "src/adapter/frozen_tensors.h"
#include "src/adapter/initial_factors.h"
#include "src/adapter/joined_layout.h"
#include "src/adapter/modules_to_save.h"
#include "src/adapter/trained_modules_folder.h"
#include "src/comm/agree.h"
#include "src/core/error.h"
#include "src/io/sha256.h"
#include "src/job/adopt_adapter.h"
#include "src/job/folder_adapter.h"
#include "src/job/full_setup.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

BottleneckConfig configured_bottleneck(const AdapterConfig& adapter) {
  constexpr double kScaleOfParallel = 4.0;  // the adapters library's
  return {adapter.bottleneck_placement, adapter.bottleneck_reduction, adapter.bottleneck_activation,
          adapter.bottleneck_placement == BottleneckPlacement::parallel ? kScaleOfParallel : 1.0};
}

std::optional<EncoderKind> configured_encoder(const AdapterConfig& adapter, Method method) {
  if (method == Method::p_tuning) {
    return adapter.prompt.encoder == TunedEncoder::lstm ? EncoderKind::lstm : EncoderKind::mlp;
  }
  return method == Method::prefix && adapter.prefix.projection ? std::optional(EncoderKind::projection) : std::nullopt;
}

/// trainable_token_indices and the tokens that the tokenizer gets, unless modules_to_save trains their rows anyway.
TrainedTokens trained_tokens(const Config& config, const ModelSpec& model) {
  const AdapterConfig& adapter = config.adapter;
  const std::vector<std::int64_t>& added = config.tokenizer.new_ids;
  const auto saves = [&](TableSite site) { return is_saved_module(adapter.modules_to_save, table_path(*model.family, site)); };
  TrainedTokens tokens{adapter.trainable_token_indices, {}};
  if (added.empty()) {
    return tokens;
  }
  if (model.tied_head && !adapter.ensure_weight_tying && (saves(TableSite::embedding) || saves(TableSite::head))) {
    throw Error(
        ExitCode::usage,
        "tokenizer.add_tokens: the model's head is its embedding, and adapter.modules_to_save trains one of the two apart; "
        "set adapter.ensure_weight_tying = true, or leave adapter.modules_to_save out");
  }
  const bool tied_copy = model.tied_head && (saves(TableSite::embedding) || saves(TableSite::head));
  if (!saves(TableSite::embedding) && !tied_copy) {
    tokens.embedding.insert(tokens.embedding.end(), added.begin(), added.end());
  }
  if (!model.tied_head && !saves(TableSite::head)) {
    tokens.head = added;
  }
  return tokens;
}

/// adapter.target_modules are those of the first method; one beside it has its own.
std::vector<std::string> configured_targets(const AdapterConfig& adapter, Method method, const ModelSpec& model) {
  const auto default_modules = method_of(method).default_modules;
  return method == adapter.method.first || default_modules == nullptr ? adapter.target_modules
                                                                      : default_modules(model).target_modules;
}

AdapterSpec configured_spec(const Config& config, const ModelSpec& model, Method method) {
  const AdapterConfig& adapter = config.adapter;
  return {method == Method::adalora ? static_cast<int>(adapter.adalora.init_r) : adapter.r,
          adapter.alpha,
          adapter.dropout,
          adapter.rslora,
          configured_targets(adapter, method, model),
          &method_of(method),
          adapter.exclude_modules,
          adapter.layers_to_transform,
          adapter.rank_pattern,
          adapter.alpha_pattern,
          adapter.ia3_feedforward_modules,
          configured_virtual_tokens(adapter),
          configured_encoder(adapter, method),
          method == Method::prefix ? adapter.prefix.hidden : adapter.prompt.encoder_hidden,
          bottleneck_options(configured_bottleneck(adapter), model.hidden),
          method == adapter.method.first ? adapter.init : LoraInit::uniform,
          adapter.modules_to_save,
          adapter.ensure_weight_tying,
          trained_tokens(config, model),

          config.train.trainable};
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
  run.initial = taken.initial;
  run.part_initial = taken.part_initial;
}

/// Fills the description of a method to save. Patterns of rank and alpha stay as read from the folder.
void describe(const ModelRun& run, Method method, PeftConfig& peft) {
  const Config& config = run.config;
  const AdapterLayout layout = layout_of_method(run.layout, method_of(method));
  peft.r = configured_spec(config, run.model->spec, method).r;
  peft.adalora = config.adapter.adalora;
  peft.alpha = config.adapter.alpha;
  peft.use_rslora = config.adapter.rslora;
  peft.method = method;
  peft.dropout = config.adapter.dropout;
  peft.init = layout.init;
  peft.d_initial = config.adapter.vera_d_initial;
  peft.projection_key = config.adapter.vera_projection_key;
  peft.save_shared = config.adapter.vera_save_projection;
  peft.base_model_name_or_path = config.model.path;
  peft.target_pattern.clear();
  peft.target_modules = module_names(layout);
  if (const auto describe_more = layout.method->describe; describe_more != nullptr) {
    describe_more(peft, layout, run.model->spec);
  }
  peft.fan_in_fan_out = run.model->spec.family->transposed;
}

void describe(ModelRun& run) {
  describe(run, run.config.adapter.method.first, run.peft);
  run.peft_beside.clear();
  for (const Method method : run.config.adapter.method.beside) {
    PeftConfig& peft = run.peft_beside.emplace_back();
    peft.bottleneck = configured_bottleneck(run.config.adapter);
    describe(run, method, peft);
  }
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
  if (method_of(config.adapter.method.first).part == TrainedPart::norms) {
    match_norms(model, config.adapter.target_modules);  // throws
    return;
  }
  const AdaptedLinears adapted = adapted_by(model, configured_spec(config, model, config.adapter.method.first));
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
  run.peft.bottleneck = configured_bottleneck(run.config.adapter);
  run.peft.modules_to_save = run.config.adapter.modules_to_save;
  run.peft.ensure_weight_tying = run.config.adapter.ensure_weight_tying;
  run.peft.token_indices = token_indices_of(run.layout);
  if (purpose == Purpose::train && needs_weights(run.layout.init)) {
    check_float_weights(run.layout.init, run.model->spec, run.model->directory);
  }
  take_parameters(run);
  std::vector<float> params(static_cast<std::size_t>(run.layout.count));
  initialize_adapters(run.layout, static_cast<std::uint64_t>(run.config.train.seed), params, run.config.adapter.init,
                      run.config.adapter.vera_d_initial);
  return params;
}

/// A folder's adapter with its values. `shared`: gets its shared tensors.
std::vector<float> read_parameters(ModelRun& run, Purpose purpose, const std::filesystem::path& from, SharedTensors& shared) {
  if (purpose == Purpose::train && adapter_folders(from).size() > 1) {
    throw Error(
        ExitCode::usage,
        fmt::format("adapter.init_from ({}) holds adapters of several methods, which cannot be trained on; name one of its "
                    "folders, or resume from a checkpoint of that run",
                    from.string()));
  }
  const FolderRules rules{.checks_tables = run.world->rank() == 0, .to_plain = purpose == Purpose::evaluate};
  FolderAdapter read = read_folder_adapter(from, run.model->spec, run.model->directory, rules);
  run.layout = std::move(read.layout);
  run.peft = read.config;
  if (purpose == Purpose::train && uses_residual(run.layout.init)) {
    check_ranks(run.layout, run.model->spec, from.string());
    check_float_weights(run.layout.init, run.model->spec, run.model->directory);
  }
  if (purpose == Purpose::train) {
    adopt_adapter(run.config, read.config, run.model->spec, run.layout);
  }
  take_parameters(run);
  shared = std::move(read.shared);
  return std::move(read.params);
}

/// Empty for no tensors.
std::string digest_of(const SharedTensors& shared) {
  Sha256 digest;
  for (const auto& [name, matrix] : shared) {
    digest.update(std::as_bytes(std::span(name)));
    digest.update(std::as_bytes(std::span(matrix.values)));
  }
  return shared.empty() ? std::string() : digest.hex();
}

}  // namespace

std::int64_t configured_virtual_tokens(const AdapterConfig& adapter) {
  for (const Method method : adapter.method.all()) {
    switch (method_of(method).virtual_place) {
      case VirtualPlace::input:
        return adapter.prompt.virtual_tokens;
      case VirtualPlace::keys_and_values:
        return adapter.prefix.virtual_tokens;
      case VirtualPlace::none:
        break;
    }
  }
  return 0;
}

AdapterLayout configured_layout(const Config& config, const ModelSpec& model) {
  std::vector<AdapterLayout> layouts;
  for (const Method method : config.adapter.method.all()) {
    layouts.push_back(make_adapter_layout(model, configured_spec(config, model, method)));
  }
  return join_layouts(layouts);
}

AdapterParams take_parameters(const AdapterLayout& layout, const AdapterShard& part, Arena& arena) {
  AdapterParams params;
  params.whole = arena.take<float>(MemoryKind::adapters, "parameters", layout.count);
  params.part = part.parameters.empty() ? params.whole.first(static_cast<std::size_t>(part.layout.count))
                                        : arena.take<float>(MemoryKind::adapters, "parameters of the part", part.layout.count);
  if (uses_residual(layout.init)) {
    params.initial = arena.take_zeroed<float>(MemoryKind::adapters, "initial parameters", layout.count);
    params.part_initial = part.parameters.empty() ? params.initial
                                                  : arena.take_zeroed<float>(MemoryKind::adapters,
                                                                             "initial parameters of the part", part.layout.count);
  }
  return params;
}

void choose_targets(Config& config, const ModelSpec& model) {
  if (method_of(config.adapter.method.first).virtual_place != VirtualPlace::none || trains_base(config)) {
    return;
  }
  if (const auto default_modules = method_of(config.adapter.method.first).default_modules; default_modules != nullptr) {
    choose_modules(config, model, default_modules(model));
  } else {
    match_targets(model, config.adapter.target_modules);
  }
  if (needs_weights(config.adapter.init) && config.adapter.init_from.empty()) {
    check_ranks(configured_layout(config, model), model);
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
    run.shared_digest = digest_of(run.shared);
    if (purpose == Purpose::train) {
      check_can_be_drawn(run);
    }
    from_host(view(std::span<const float>(params)), view(run.params), run.model->stream);
    take_shard(run.part, run.params, run.part_params, run.model->stream);
  });
}

}  // namespace lora_dist
