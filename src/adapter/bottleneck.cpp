// Sites, shapes and initial values of bottleneck adapters.
#include "src/adapter/bottleneck.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "src/adapter/adapter_config.h"
#include "src/adapter/normal_values.h"
#include "src/adapter/tensor_roles.h"
#include "src/core/error.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

constexpr double kBertDeviation = 0.02;
constexpr std::uint32_t kStreamOfBottlenecks = 0x424F5454U;  // separates these counters from others

/// "model.layers.{}" of "model.layers.{}.self_attn.q_proj".
std::string_view block_name(const Family& family) {
  constexpr std::string_view kNumber = "{}";
  const auto& linears = family.names.linears;
  const std::string_view any = *std::ranges::find_if(linears, [](std::string_view name) { return !name.empty(); });
  return any.substr(0, any.find(kNumber) + kNumber.size());
}

std::vector<Parameter> parameters_of_bottleneck(std::int64_t hidden, std::int64_t width) {
  return {{kDown, {width, hidden}}, {kDownBias, {width}}, {kUp, {hidden, width}}, {kUpBias, {hidden}}};
}

/// The i-th value of a matrix [.., hidden] or [hidden, ..].
float initial_weight(BottleneckPlacement placement, bool down, std::int64_t hidden, const PhiloxCounter& bits, std::size_t i) {
  if (placement != BottleneckPlacement::parallel) {
    return static_cast<float>(kBertDeviation * normal_value(bits, i));
  }
  return down ? (2.0F * uniform_float(bits[i]) - 1.0F) / std::sqrt(static_cast<float>(hidden)) : 0.0F;
}

}  // namespace

BottleneckOptions bottleneck_options(const BottleneckConfig& config, std::int64_t hidden) {
  const Activation usual = config.placement == BottleneckPlacement::houlsby ? Activation::silu : Activation::relu;
  const auto width = static_cast<std::int64_t>(std::floor(static_cast<double>(hidden) / config.reduction));
  return {config.placement, config.activation.value_or(usual), static_cast<float>(config.scale),
          std::max<std::int64_t>(1, width)};
}

std::string bottleneck_path(const Family& family, BottleneckSite site, std::int64_t layer) {
  return path_of(block_name(family), layer) + (site == BottleneckSite::attention ? ".attention_adapters" : ".output_adapters");
}

Bottlenecks make_bottlenecks(const ModelSpec& model, const BottleneckOptions& options) {
  if (model.parallel_residual) {
    throw Error(ExitCode::usage, "adapter.method = \"bottleneck\": " + model.model_type +
                                     " models run attention and MLP side by side, for which bottleneck adapters are not defined; "
                                     "take another method");
  }
  Bottlenecks made{options, {}};
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    if (options.placement == BottleneckPlacement::houlsby) {
      made.all.push_back({BottleneckSite::attention, layer, parameters_of_bottleneck(model.hidden, options.width)});
    }
    made.all.push_back({BottleneckSite::mlp, layer, parameters_of_bottleneck(model.hidden, options.width)});
  }
  return made;
}

const Bottleneck* find_bottleneck(const Bottlenecks& bottlenecks, BottleneckSite site, std::int64_t layer) {
  const auto found =
      std::ranges::find_if(bottlenecks.all, [&](const Bottleneck& each) { return each.site == site && each.layer == layer; });
  return found == bottlenecks.all.end() ? nullptr : &*found;
}

void initialize_bottlenecks(const Bottlenecks& bottlenecks, std::uint64_t seed, std::span<float> params) {
  const PhiloxKey key = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (const Bottleneck& each : bottlenecks.all) {
    const auto place = static_cast<std::uint32_t>(each.layer * 2 + (each.site == BottleneckSite::mlp ? 1 : 0));
    for (const bool down : {true, false}) {
      const Parameter& matrix = down ? each.down() : each.up();
      for (std::int64_t i = 0; i < matrix.shape.count(); ++i) {
        const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i >> 34),
                                               place * 2 + (down ? 0U : 1U), kStreamOfBottlenecks},
                                              key);
        params[static_cast<std::size_t>(matrix.offset + i)] = initial_weight(
            bottlenecks.options.placement, down, each.up_bias().shape.count(), bits, static_cast<std::size_t>(i % 4));
      }
      const Parameter& bias = down ? each.down_bias() : each.up_bias();
      std::fill_n(params.begin() + bias.offset, bias.shape.count(), 0.0F);
    }
  }
}

}  // namespace lora_dist
