// LayerNorm tuning (Zhao et al. 2023, arXiv:2312.11420): the weights of norms, and their biases, are trained themselves. Forward
// and backward are those of the norms (src/transformer/trained_norms.h).
#include <cmath>

#include "src/adapter/adapter_layout.h"
#include "src/adapter/method.h"

namespace lora_dist {

namespace {

constexpr std::array<ModuleTensor, 2> kNormTensors = {
    {{.name = kNormWeight, .dimensions = 1, .exact = true, .kind = "vector, as a norm's weights are"},
     {.name = kNormBias,
      .dimensions = 1,
      .suffix = false,
      .optional = true,
      .exact = true,
      .kind = "vector, as a norm's bias is"}}};

nlohmann::ordered_json norm_keys(const PeftConfig& /*config*/) { return {{"exclude_modules", nullptr}}; }

std::string norm_shape_problem(const AdaptedModule& module, std::string_view role) {
  const std::int64_t width = module.tensor(kNormWeight).shape[0];
  return module.tensor(role).shape[0] == width ? std::string()
                                               : fmt::format("its norm has {} weights; save the adapter again", width);
}

PeftCodec norm_codec() {
  return {.type = "LN_TUNING",
          .title = "LN tuning",
          .tensors = kNormTensors,
          .is_written_in = nullptr,
          .read = [](const ConfigReader&, PeftConfig&) {},
          .keys = norm_keys,
          .shape_problem = norm_shape_problem,
          .options = [](const PeftConfig&) { return std::string("without r, alpha and dropout"); },
          .option_lines = [](const PeftConfig&) { return std::string(); },
          .size_text = [](const PeftConfig&) { return std::string(); }};
}

double length_of_weights(const AdaptedModule& module) {
  double sum = 0.0;
  for (const float value : module.tensor(kNormWeight).values) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(sum);
}

/// The trained values replace the norm's.
MergeHooks norm_merge() {
  return {.size =
              [](const AdaptedModule& module) {
                return UpdateSize{module.tensor(kNormWeight).shape[0], 0};
              },
          .weight = [](const AdaptedModule& module, const MergedWeight& weight,
                       const Stream&) { std::ranges::copy(module.tensor(kNormWeight).values, weight.values.as<float>()); },
          .bias =
              [](const AdaptedModule& module, std::span<float> bias) {
                if (module.has(kNormBias)) {
                  std::ranges::copy(module.tensor(kNormBias).values, bias.begin());
                }
              },
          .sums = false,
          .rank = [](const AdaptedModule&) { return std::optional<std::int64_t>(); },
          .norm = length_of_weights,
          .norm_of = "the norms' weights"};
}

void name_norms(PeftConfig& peft, const AdapterLayout& layout, const ModelSpec& /*model*/) {
  peft.target_modules = norm_names(*layout.family, layout.norms, std::ssize(layout.blocks));
}

}  // namespace

const AdapterMethod& ln_tuning_method() {
  static const AdapterMethod method = {.name = "ln_tuning",
                                       .parameters = nullptr,
                                       .initialize = nullptr,
                                       .initialize_from_base = nullptr,
                                       .linear = {},
                                       .peft = norm_codec(),
                                       .merge = norm_merge(),
                                       .keys = {.rank = false, .alpha = false, .dropout = false},
                                       .default_modules =
                                           [](const ModelSpec& model) {
                                             return DefaultModules{default_norms(model), {}};
                                           },
                                       .describe = name_norms,
                                       .part = TrainedPart::norms};
  return method;
}

}  // namespace lora_dist
