// Keys and tensor names of the adapters library.
#include "src/adapter/bottleneck_folder.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>

#include "src/adapter/bottleneck.h"
#include "src/adapter/method.h"
#include "src/core/error.h"
#include "src/io/safetensors.h"

namespace lora_dist {

namespace {

using nlohmann::json;

constexpr std::string_view kAdapterName = "default";
constexpr std::string_view kDownOnDisk = "adapter_down.0";

constexpr std::array<ModuleTensor, 4> kBottleneckTensors = {
    {{.name = kDown},
     {.name = kDownBias, .dimensions = 1, .suffix = false, .kind = "vector"},
     {.name = kUp},
     {.name = kUpBias, .dimensions = 1, .suffix = false, .kind = "vector"}}};

/// Settings that change what the adapter computes and that this program does not have; each must be as here or missing.
const std::vector<std::pair<const char*, json>>& fixed_settings() {
  static const std::vector<std::pair<const char*, json>> all = {{"adapter_residual_before_ln", false},
                                                                {"cross_adapter", false},
                                                                {"inv_adapter", nullptr},
                                                                {"leave_out", json::array()},
                                                                {"ln_after", false},
                                                                {"ln_before", false},
                                                                {"phm_layer", false},
                                                                {"use_gating", false},
                                                                {"original_ln_after", true},
                                                                {"residual_before_ln", true},
                                                                {"output_adapter", true}};
  return all;
}

void check_fixed_settings(const ConfigReader& reader) {
  for (const auto& [key, value] : fixed_settings()) {
    if (const json* found = reader.find(key); found != nullptr && *found != value) {
      reader.refuse(fmt::format("{} is {}, which this program does not do", key, found->dump().substr(0, 80)));
    }
  }
}

BottleneckPlacement placement_in(const ConfigReader& reader) {
  const bool attention = reader.flag("mh_adapter", false);
  const bool parallel = reader.flag("is_parallel", false);
  const bool with_residual = reader.flag("original_ln_before", false);
  if (parallel && !attention) {
    return BottleneckPlacement::parallel;
  }
  if (attention != with_residual && !parallel) {
    return attention ? BottleneckPlacement::houlsby : BottleneckPlacement::pfeiffer;
  }
  reader.refuse(
      "mh_adapter, is_parallel and original_ln_before are those of no placement that this program has (seq_bn, double_seq_bn, "
      "par_bn)");
}

BottleneckConfig read_bottleneck_config(const ConfigReader& reader) {
  check_fixed_settings(reader);
  BottleneckConfig config;
  config.placement = placement_in(reader);
  config.reduction = reader.finite("reduction_factor", config.reduction);
  if (config.reduction < 1.0) {
    reader.refuse(fmt::format("reduction_factor must be at least 1 (got {})", config.reduction));
  }
  config.scale = reader.finite("scaling", 1.0);
  const std::string name = reader.text("non_linearity", "relu");
  const auto activation = value_of_word(kBottleneckActivations, name);
  if (!activation || !*activation) {
    reader.refuse(fmt::format("non_linearity is \"{}\", which this program does not do", name));
  }
  config.activation = *activation;
  return config;
}

/// "model.layers.0.output_adapters.adapter_down" of "model.layers.0.output_adapters.adapters.NAME.adapter_down.0.weight"; empty
/// for other names.
std::string plain_bottleneck_name(const std::string& disk, const std::string& adapter) {
  const std::string part = ".adapters." + adapter + ".";
  const std::size_t at = disk.find(part);
  if (at == std::string::npos) {
    return {};
  }
  const std::string path = disk.substr(0, at);
  const std::string role = disk.substr(at + part.size());
  const auto named = [&](std::string_view plain) { return path + "." + std::string(plain); };
  if (role == std::string(kDownOnDisk) + ".weight") {
    return named(kDown);
  }
  if (role == std::string(kDownOnDisk) + ".bias") {
    return named(kDownBias);
  }
  return role == std::string(kUp) + ".weight" ? named(kUp) : role == kUpBias ? named(kUpBias) : std::string();
}

std::vector<float> read_values(const TensorInfo& info) {
  if (info.dtype != DType::f32 && info.dtype != DType::f16 && info.dtype != DType::bf16) {
    throw Error(ExitCode::model, fmt::format("{}: tensor {} is {}, and f32, f16 or bf16 is needed", info.file.string(), info.name,
                                             dtype_text(info)));
  }
  return read_floats(info, 0, static_cast<std::int64_t>(info.bytes / size_of(info.dtype)));
}

/// Every bottleneck has its four tensors, of shapes that fit.
void check_bottlenecks(const PeftAdapter& adapter, const std::filesystem::path& file) {
  if (adapter.tensors.empty()) {
    throw Error(ExitCode::model, fmt::format("{} holds no tensors; the adapter was not saved whole", file.string()));
  }
  for (const auto& [name, matrix] : adapter.tensors) {
    const auto [path, role] = path_and_role(name);
    const AdaptedModule module{&adapter, path};
    for (const ModuleTensor& tensor : kBottleneckTensors) {
      if (!module.has(tensor.name) || module.tensor(tensor.name).shape.size() != tensor.dimensions) {
        throw Error(ExitCode::model, fmt::format("{}: {} has no {} of {} dimensions; the adapter was not saved whole",
                                                 file.string(), path, tensor.name, tensor.dimensions));
      }
    }
    const std::vector<std::int64_t>& down = module.tensor(kDown).shape;
    if (module.tensor(kDownBias).shape[0] != down[0] || module.tensor(kUp).shape != std::vector{down[1], down[0]} ||
        module.tensor(kUpBias).shape[0] != down[1]) {
      throw Error(ExitCode::model, fmt::format("{}: the shapes of {} do not fit each other; the adapter was not saved whole",
                                               file.string(), path));
    }
  }
}

std::string bottleneck_size(const PeftConfig& config) {
  return fmt::format("{}, hidden / {}", word_of(kBottleneckPlacements, config.bottleneck.placement), config.bottleneck.reduction);
}

double length_of_up(const AdaptedModule& module) {
  double sum = 0.0;
  for (const float value : module.tensor(kUp).values) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(sum);
}

}  // namespace

bool is_bottleneck_config(const nlohmann::ordered_json& document) {
  return document.is_object() && !document.contains("peft_type") && document.contains("config") && document["config"].is_object();
}

PeftConfig bottleneck_config_in(const nlohmann::ordered_json& document, const std::filesystem::path& file) {
  const ConfigReader whole(document, file);
  const ConfigReader settings(document["config"], file);
  PeftConfig config;
  config.method = Method::bottleneck;
  config.bottleneck = read_bottleneck_config(settings);
  config.bottleneck.model_type = whole.text("model_type", "");
  config.bottleneck.name = whole.text("name", std::string(kAdapterName));
  config.base_model_name_or_path = whole.text("model_name", "");
  return config;
}

PeftAdapter read_bottleneck_folder(const std::filesystem::path& folder, const PeftConfig& config) {
  PeftAdapter adapter;
  adapter.config = config;
  const std::filesystem::path tensors = folder / kBottleneckFile;
  std::error_code ignored;
  if (!std::filesystem::exists(tensors, ignored)) {
    throw Error(ExitCode::model,
                fmt::format("{} has no {}; save the adapter again with use_safetensors=True", folder.string(), kBottleneckFile));
  }
  for (const auto& [disk, info] : read_safetensors_header(tensors).tensors) {
    const std::string plain = plain_bottleneck_name(disk, config.bottleneck.name);
    if (plain.empty()) {
      throw Error(ExitCode::model, fmt::format("{}: tensor {} is no tensor of a bottleneck adapter", tensors.string(), disk));
    }
    adapter.tensors.emplace(plain, AdapterMatrix{info.shape, read_values(info)});
  }
  check_bottlenecks(adapter, tensors);
  return adapter;
}

std::string bottleneck_config_text(const PeftConfig& config) {
  const BottleneckConfig& of = config.bottleneck;
  const bool houlsby = of.placement == BottleneckPlacement::houlsby;
  const bool parallel = of.placement == BottleneckPlacement::parallel;
  const std::optional<Activation> activation = bottleneck_options(of, of.hidden).activation;
  const json settings = {{"adapter_residual_before_ln", false},
                         {"cross_adapter", false},
                         {"dropout", 0.0},
                         {"factorized_phm_W", true},
                         {"factorized_phm_rule", false},
                         {"hypercomplex_nonlinearity", "glorot-uniform"},
                         {"init_weights", parallel ? "mam_adapter" : "bert"},
                         {"init_weights_seed", nullptr},
                         {"inv_adapter", nullptr},
                         {"inv_adapter_reduction_factor", nullptr},
                         {"is_parallel", parallel},
                         {"learn_phm", true},
                         {"leave_out", json::array()},
                         {"ln_after", false},
                         {"ln_before", false},
                         {"mh_adapter", houlsby},
                         {"non_linearity", word_of(kBottleneckActivations, activation)},
                         {"original_ln_after", true},
                         {"original_ln_before", !houlsby && !parallel},
                         {"output_adapter", true},
                         {"phm_bias", true},
                         {"phm_c_init", "normal"},
                         {"phm_dim", 4},
                         {"phm_init_range", 0.0001},
                         {"phm_layer", false},
                         {"phm_rank", 1},
                         {"reduction_factor", number_as_peft(of.reduction)},
                         {"residual_before_ln", true},
                         {"scaling", of.scale},
                         {"shared_W_phm", false},
                         {"shared_phm_rule", true},
                         {"stochastic_depth", 0.0},
                         {"use_gating", false}};
  const json document = {{"config", settings},          {"hidden_size", of.hidden},
                         {"model_class", nullptr},      {"model_name", config.base_model_name_or_path},
                         {"model_type", of.model_type}, {"name", kAdapterName},
                         {"version", "adapters.1.3.0"}};
  return document.dump(2, ' ', false, json::error_handler_t::replace);
}

std::string bottleneck_disk_name(const std::string& name) {
  const auto [path, role] = path_and_role(name);
  const std::string on_disk = role == kDown       ? std::string(kDownOnDisk) + ".weight"
                              : role == kDownBias ? std::string(kDownOnDisk) + ".bias"
                              : role == kUp       ? std::string(kUp) + ".weight"
                                                  : role;
  return fmt::format("{}.adapters.{}.{}", path, kAdapterName, on_disk);
}

PeftCodec bottleneck_codec() {
  return {.type = "",
          .title = "Bottleneck",
          .tensors = kBottleneckTensors,
          .is_written_in = [](const ConfigReader&) { return false; },
          .read = [](const ConfigReader&, PeftConfig&) {},
          .keys = [](const PeftConfig&) { return nlohmann::ordered_json::object(); },
          .shape_problem = [](const AdaptedModule&, std::string_view) { return std::string(); },
          .options = bottleneck_size,
          .option_lines = [](const PeftConfig& config) { return fmt::format("  bottleneck      {}\n", bottleneck_size(config)); },
          .size_text = [](const PeftConfig& config) { return fmt::format(" ({})", bottleneck_size(config)); }};
}

MergeHooks bottleneck_merge() {
  return {.size = nullptr,
          .weight = nullptr,
          .bias = nullptr,
          .sums = false,
          .rank = [](const AdaptedModule& module) { return std::optional(module.tensor(kDown).shape[0]); },
          .norm = length_of_up,
          .norm_of = "the up projections"};
}

}  // namespace lora_dist
