// Sets up a run's adapter: layout, description, parameters.
#include "src/job/adapter_setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "kernels/elementwise/copy.h"
#include "src/adapter/adapter_bridge.h"
#include "src/adapter/frozen_tensors.h"
#include "src/adapter/initial_factors.h"
#include "src/comm/agree.h"
#include "src/core/error.h"
#include "src/io/sha256.h"
#include "src/job/adopt_adapter.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

BottleneckConfig configured_bottleneck(const AdapterConfig& adapter) {
  constexpr double kScaleOfParallel = 4.0;  // the adapters library's
  return {adapter.bottleneck_placement, adapter.bottleneck_reduction, adapter.bottleneck_activation,
          adapter.bottleneck_placement == BottleneckPlacement::parallel ? kScaleOfParallel : 1.0};
}

std::optional<EncoderKind> configured_encoder(const AdapterConfig& adapter) {
  if (adapter.method == Method::p_tuning) {
    return adapter.prompt.encoder == TunedEncoder::lstm ? EncoderKind::lstm : EncoderKind::mlp;
  }
  return adapter.method == Method::prefix && adapter.prefix.projection ? std::optional(EncoderKind::projection) : std::nullopt;
}

AdapterSpec configured_spec(const Config& config, const ModelSpec& model) {
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
          adapter.ia3_feedforward_modules,
          configured_virtual_tokens(adapter),
          configured_encoder(adapter),
          adapter.method == Method::prefix ? adapter.prefix.hidden : adapter.prompt.encoder_hidden,
          bottleneck_options(configured_bottleneck(adapter), model.hidden),
          adapter.init};
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

/// Fills the PEFT configuration to save. Patterns of rank and alpha stay as read from the folder.
void describe(ModelRun& run) {
  const Config& config = run.config;
  run.peft.r = configured_spec(config, run.model->spec).r;
  run.peft.adalora = config.adapter.adalora;
  run.peft.alpha = config.adapter.alpha;
  run.peft.use_rslora = config.adapter.rslora;
  run.peft.method = config.adapter.method;
  run.peft.dropout = config.adapter.dropout;
  run.peft.init = config.adapter.init;
  run.peft.d_initial = config.adapter.vera_d_initial;
  run.peft.projection_key = config.adapter.vera_projection_key;
  run.peft.save_shared = config.adapter.vera_save_projection;
  run.peft.base_model_name_or_path = config.model.path;
  run.peft.target_pattern.clear();
  run.peft.target_modules = module_names(run.layout);
  if (const auto describe_more = run.layout.method->describe; describe_more != nullptr) {
    describe_more(run.peft, run.layout, run.model->spec);
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
  if (method_of(config.adapter.method).part == TrainedPart::norms) {
    match_norms(model, config.adapter.target_modules);  // throws
    return;
  }
  const AdaptedLinears adapted = adapted_by(model, configured_spec(config, model));
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
  PeftAdapter read = read_peft_adapter(from);
  if (run.world->rank() == 0) {  // it may read whole tables
    check_tables(read, run.model->spec, run.model->directory);
  }
  if (purpose == Purpose::evaluate) {
    convert_to_plain(read, run.model->spec, run.model->directory, from.string(), Stream{});
  }
  run.layout = layout_of(read, run.model->spec, from.string());
  run.peft = read.config;
  if (purpose == Purpose::train) {
    adopt_adapter(run.config, read.config, run.model->spec, run.layout);
  }
  take_parameters(run);
  std::vector<float> params(static_cast<std::size_t>(run.layout.count));
  copy_parameters(read, run.layout, params);
  shared = std::move(read.shared);
  return params;
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
  switch (method_of(adapter.method).virtual_place) {
    case VirtualPlace::input:
      return adapter.prompt.virtual_tokens;
    case VirtualPlace::keys_and_values:
      return adapter.prefix.virtual_tokens;
    case VirtualPlace::none:
      break;
  }
  return 0;
}

AdapterLayout configured_layout(const Config& config, const ModelSpec& model) {
  return make_adapter_layout(model, configured_spec(config, model));
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
  if (method_of(config.adapter.method).virtual_place != VirtualPlace::none) {
    return;
  }
  if (const auto default_modules = method_of(config.adapter.method).default_modules; default_modules != nullptr) {
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
