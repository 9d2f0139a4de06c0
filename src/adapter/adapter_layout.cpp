// Lays out an adapter's parameters in one flat buffer and initialises them.
#include "src/adapter/adapter_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "src/adapter/full.h"
#include "src/adapter/modules_to_save.h"
#include "src/adapter/path_pattern.h"
#include "src/core/error.h"
#include "src/core/with_commas.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

template <class Value>
std::vector<std::string> keys_of(const PathPattern<Value>& pattern) {
  std::vector<std::string> keys;
  std::transform(pattern.begin(), pattern.end(), std::back_inserter(keys), [](const auto& entry) { return entry.first; });
  return keys;
}

/// The frozen tensor with its offset; a new one is appended.
Parameter placed(AdapterLayout& layout, const Parameter& frozen) {
  const auto found = std::ranges::find_if(
      layout.frozen, [&](const Parameter& known) { return known.name == frozen.name && known.shape == frozen.shape; });
  if (found != layout.frozen.end()) {
    return *found;
  }
  Parameter& added = layout.frozen.emplace_back(frozen);
  added.offset = layout.frozen_count;
  layout.frozen_count += added.shape.count();
  return added;
}

}  // namespace

AdapterLayout empty_layout(const ModelSpec& model) {
  AdapterLayout layout;
  layout.family = model.family;
  layout.blocks.resize(static_cast<std::size_t>(model.layers));
  return layout;
}

AdapterLayout virtual_layout(const ModelSpec& model, const AdapterMethod& method, std::int64_t virtual_tokens) {
  AdapterLayout layout = empty_layout(model);
  layout.method = &method;
  layout.virtual_tokens = make_virtual_tokens(model, method.virtual_place, virtual_tokens);
  layout.count = layout.virtual_tokens.parameter.shape.count();
  return layout;
}

void add_encoder(AdapterLayout& layout, const ModelSpec& model, EncoderKind kind, std::int64_t hidden) {
  const std::int64_t input = kind == EncoderKind::projection ? model.key_width() : model.hidden;
  const Shape& rows = layout.virtual_tokens.parameter.shape;
  layout.encoder = make_prompt_encoder({kind, rows[0], input, hidden > 0 ? hidden : input, rows[1]}, layout.count);
  layout.count += layout.encoder->count;
}

void add_linear(AdapterLayout& layout, std::size_t layer, Linear linear, const LinearTraits& traits, float scale) {
  AdaptedLinear adapted{traits.r, scale, traits.in, traits.out, 0, layout.method->parameters(traits), traits.feedforward};
  adapted.residual = uses_residual(layout.init);
  for (Parameter& parameter : adapted.parameters) {
    parameter.offset = layout.count;
    layout.count += parameter.shape.count();
  }
  if (layout.method->frozen != nullptr) {
    for (const Parameter& frozen : layout.method->frozen(traits)) {
      adapted.frozen.push_back(placed(layout, frozen));
    }
  }
  layout.blocks[layer][index_of(linear)] = std::move(adapted);
}

namespace {

/// Places parameters at the end of the flat buffer.
void append(AdapterLayout& layout, std::vector<Parameter>& parameters) {
  for (Parameter& parameter : parameters) {
    parameter.offset = layout.count;
    layout.count += parameter.shape.count();
  }
}

}  // namespace

void add_norm(AdapterLayout& layout, const TrainedNorm& norm) { append(layout, layout.norms.emplace_back(norm).parameters); }

void add_table(AdapterLayout& layout, const TrainedTable& table) {
  TrainedTable& added = layout.tables.emplace_back(table);
  added.parameter.offset = layout.count;
  layout.count += added.parameter.shape.count();
}

std::int64_t AdapterLayout::norms_count() const {
  if (norms.empty()) {
    return 0;
  }
  const Parameter& last = norms.back().parameters.back();
  return last.offset + last.shape.count() - first_of_norms();
}

void add_vector(AdapterLayout& layout, const TrainedVector& vector) {
  Parameter& parameter = layout.vectors.emplace_back(vector).parameter;
  parameter.offset = layout.count;
  layout.count += parameter.shape.count();
}

void add_bottlenecks(AdapterLayout& layout, const Bottlenecks& bottlenecks) {
  layout.bottlenecks = bottlenecks;
  for (Bottleneck& each : layout.bottlenecks.all) {
    append(layout, each.parameters);
  }
}

AdaptedLinears adapted_by(const ModelSpec& model, const AdapterSpec& spec) {
  AdaptedLinears matched = match_targets(model, spec.target_modules);
  exclude_modules(model, spec.exclude_modules, matched);
  keep_layers(model, spec.layers_to_transform, matched);
  check_any_left(matched);
  return matched;
}

namespace {

/// The layout of a method that leaves linears alone. Throws as make_adapter_layout.
AdapterLayout layout_of_other_parts(const ModelSpec& model, const AdapterSpec& spec) {
  AdapterLayout layout = empty_layout(model);
  layout.method = spec.method;
  if (spec.method->part == TrainedPart::sublayers) {
    add_bottlenecks(layout, make_bottlenecks(model, spec.bottleneck));
    return layout;
  }
  if (spec.method->part == TrainedPart::base) {
    const TrainedTensors tensors = trained_tensors(model, spec.trainable);
    for (const TrainedVector& vector : tensors.vectors) {
      add_vector(layout, vector);
    }
    for (const TrainedNorm& norm : tensors.norms) {
      add_norm(layout, norm);
    }
    return layout;
  }
  for (const TrainedNorm& norm : match_norms(model, spec.target_modules)) {
    add_norm(layout, norm);
  }
  return layout;
}

}  // namespace

namespace {

/// Appends the modules that are trained whole, and the tables of trained tokens.
void add_trained_modules(const ModelSpec& model, const AdapterSpec& spec, AdapterLayout& layout) {
  const SavedModules saved = match_modules_to_save(model, spec.modules_to_save, spec.ensure_weight_tying);
  for (const TrainedNorm& norm : saved.norms) {
    add_norm(layout, norm);
  }
  const std::vector<TrainedTable> of_tokens = tables_of_tokens(model, spec.trained_tokens);
  for (const TrainedTable& table : of_tokens) {
    if (find_table(saved.tables, table.site) != nullptr || (table.tied && !saved.tables.empty())) {
      throw Error(ExitCode::usage,
                  fmt::format("adapter.modules_to_save already trains every row of {}, and adapter.trainable_token_indices some "
                              "of them; leave one of the two out",
                              table_path(*model.family, table.site)));
    }
  }
  for (const auto* tables : {&saved.tables, &of_tokens}) {
    for (const TrainedTable& table : *tables) {
      add_table(layout, table);
    }
  }
}

}  // namespace

AdapterLayout make_adapter_layout(const ModelSpec& model, const AdapterSpec& spec) {
  if (spec.method->part != TrainedPart::linears) {
    return layout_of_other_parts(model, spec);
  }
  if (spec.method->virtual_place != VirtualPlace::none) {
    AdapterLayout layout = virtual_layout(model, *spec.method, spec.virtual_tokens);
    if (spec.encoder) {
      add_encoder(layout, model, *spec.encoder, spec.encoder_hidden);
    }
    return layout;
  }
  const AdaptedLinears matched = adapted_by(model, spec);
  check_pattern(model, "adapter.rank_pattern", keys_of(spec.rank_pattern), matched);
  check_pattern(model, "adapter.alpha_pattern", keys_of(spec.alpha_pattern), matched);
  check_endings(model, "adapter.ia3.feedforward_modules", spec.feedforward_modules, matched);
  AdapterLayout layout = empty_layout(model);
  layout.method = spec.method;
  layout.init = spec.init;
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (matched[layer][index_of(linear)]) {
        const std::string path = module_path(*model.family, static_cast<std::int64_t>(layer), linear);
        const std::int64_t r = value_at(spec.rank_pattern, path, std::int64_t{spec.r});
        const double scale = spec.method->scale(value_at(spec.alpha_pattern, path, spec.alpha), r, spec.rslora);
        const LinearShape shape = linear_shape(model, linear);
        const bool feedforward = ends_with_any(path, spec.feedforward_modules);
        add_linear(layout, layer, linear, {shape.in, shape.out, r, feedforward}, static_cast<float>(scale));
      }
    }
  }
  if (spec.method->trains_modules) {
    add_trained_modules(model, spec, layout);
  }
  return layout;
}

std::vector<std::string> module_names(const AdapterLayout& layout) {
  if (layout.method->part != TrainedPart::linears) {
    return norm_names(*layout.family, layout.norms, std::ssize(layout.blocks));
  }
  AdaptedLinears adapted(layout.blocks.size());
  for (std::size_t layer = 0; layer < adapted.size(); ++layer) {
    for (std::size_t i = 0; i < kLinears; ++i) {
      adapted[layer][i] = layout.blocks[layer][i].has_value();
    }
  }
  return target_names(*layout.family, adapted);
}

std::string trainable_line(const AdapterLayout& layout, const ModelSpec& model) {
  const std::int64_t trained = layout.trained_count();
  const std::int64_t all = trained + parameter_count(model);
  return fmt::format("trainable params: {} || all params: {} || trainable%: {:.4f}", with_commas(trained), with_commas(all),
                     100.0 * static_cast<double>(trained) / static_cast<double>(all));
}

std::vector<NamedParameter> named_parameters(const AdapterLayout& layout) {
  std::vector<NamedParameter> named;
  if (layout.virtual_tokens.count > 0) {
    named.push_back({"", layout.virtual_tokens.parameter});
  }
  for (const Parameter& parameter : layout.encoder ? layout.encoder->parameters : std::vector<Parameter>{}) {
    named.push_back({"", parameter});
  }
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (const auto& adapted = layout.blocks[layer][index_of(linear)]) {
        const std::string path = module_path(*layout.family, static_cast<std::int64_t>(layer), linear);
        for (const Parameter& parameter : adapted->parameters) {
          named.push_back({path, parameter});
        }
      }
    }
  }
  for (const TrainedVector& vector : layout.vectors) {
    named.push_back({vector_path(*layout.family, vector), vector.parameter});
  }
  for (const TrainedNorm& norm : layout.norms) {
    for (const Parameter& parameter : norm.parameters) {
      named.push_back({norm_path(*layout.family, norm.site, norm.layer), parameter});
    }
  }
  for (const TrainedTable& table : layout.tables) {
    named.push_back({path_of_trained(*layout.family, table), table.parameter});
  }
  for (const Bottleneck& each : layout.bottlenecks.all) {
    for (const Parameter& parameter : each.parameters) {
      named.push_back({bottleneck_path(*layout.family, each.site, each.layer), parameter});
    }
  }
  return named;
}

void initialize_adapters(const AdapterLayout& layout, std::uint64_t seed, std::span<float> params, LoraInit init,
                         double d_initial) {
  initialize_bottlenecks(layout.bottlenecks, seed, params);
  if (layout.encoder) {
    initialize_encoder(*layout.encoder, seed, params);
  } else if (layout.virtual_tokens.count > 0) {
    initialize_virtual_tokens(layout.virtual_tokens, seed, params);
  }
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (std::size_t linear = 0; linear < kLinears; ++linear) {
      if (const auto& adapted = layout.blocks[layer][linear]) {
        layout.method->initialize(
            *adapted, {seed, static_cast<std::uint32_t>(layer), static_cast<std::uint32_t>(linear), init, d_initial}, params);
      }
    }
  }
}

}  // namespace lora_dist
