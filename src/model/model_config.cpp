// Reads config.json by the family of its model_type.
#include "src/model/model_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "src/core/error.h"
#include "src/io/gguf_model.h"
#include "src/io/strict_json.h"
#include "src/model/family.h"
#include "src/model/model_config_keys.h"

namespace lora_dist {

namespace {

/// Warns about the base's own dropout (of pretraining), which is not applied.
void warn_of_dropout(const ConfigFile& file, ModelSpec& spec) {
  constexpr std::array kKeys = {"attention_dropout", "hidden_dropout", "resid_pdrop",      "embd_pdrop",       "attn_pdrop",
                                "resid_dropout",     "embed_dropout",  "residual_dropout", "embedding_dropout"};
  std::string on;
  for (const char* key : kKeys) {
    if (file.has(key) && file.root[key].is_number() && file.root[key].get<double>() != 0.0) {
      on += (on.empty() ? "" : ", ") + std::string(key);
    }
  }
  if (!on.empty()) {
    spec.warnings.push_back(
        fmt::format("{}: dropout inside the frozen base ({}) is not applied; adapter.dropout is what training drops",
                    file.path.string(), on));
  }
}

/// Accepts weights quantized by bitsandbytes in four bits (prequantized.h) and no other quantization.
void check_quantization(const ConfigFile& file) {
  if (!file.has("quantization_config")) {
    return;
  }
  const nlohmann::json& config = file.root["quantization_config"];
  const auto is_on = [&](const char* key) { return config.contains(key) && config[key] == true; };
  const std::string method =
      config.is_object() ? file.text_or(config, "quant_method", "bitsandbytes") : "?";  // absent in old files
  if (method == "bitsandbytes" && is_on("load_in_4bit") && !is_on("load_in_8bit")) {
    return;
  }
  const char* kind = method == "bitsandbytes" ? is_on("load_in_8bit") ? " in 8 bits (load_in_8bit)" : " (neither in 4 bits)" : "";
  file.fail(
      fmt::format("the weights of this folder are already quantized by {}{}, which cannot be read; give the folder with the "
                  "original weights, or one in 4 bits by bitsandbytes",
                  method.substr(0, 40), kind));
}

void check_spec(const ConfigFile& file, const ModelSpec& spec) {
  if (spec.heads % spec.kv_heads != 0) {
    file.fail(fmt::format("num_attention_heads ({}) must be a multiple of num_key_value_heads ({})", spec.heads, spec.kv_heads));
  }
  if (spec.rotary_width() > spec.head_dim) {
    file.fail(fmt::format("head_dim ({}) must be even, or fewer of its dimensions rotated", spec.head_dim));
  }
}

}  // namespace

std::int64_t ModelSpec::rotary_width() const {
  const std::int64_t dims = rope.dims > 0 ? rope.dims : head_dim;
  return learned_positions ? 0 : (dims + 1) / 2 * 2;  // an odd number rotates one more, as in transformers
}

ConfigFile open_config_file(const std::filesystem::path& folder) {
  if (const std::optional<std::filesystem::path> gguf = find_gguf(folder)) {
    return {*gguf, gguf_config(read_gguf(*gguf))};
  }
  if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) {
    throw Error(ExitCode::model, fmt::format("{}: no such model folder, nor a GGUF file; give a local Hugging Face folder or a "
                                             ".gguf file in model.path or --model (nothing is ever downloaded)",
                                             folder.string()));
  }
  ConfigFile file{folder / "config.json", {}};
  file.root = read_json_file(file.path, ExitCode::model);
  if (!file.root.is_object()) {
    file.fail("must hold a JSON object");
  }
  return file;
}

LayerSpec ModelSpec::layer(std::int64_t index) const {
  return layer_specs.empty() ? LayerSpec{} : layer_specs[static_cast<std::size_t>(index)];
}

std::vector<LayerSpec>& ModelSpec::each_layer() {
  layer_specs.resize(static_cast<std::size_t>(layers));
  return layer_specs;
}

void ModelSpec::scale_scores(double factor) {
  for (LayerSpec& each : each_layer()) {
    each.score_scale = static_cast<float>(factor * std::sqrt(static_cast<double>(head_dim)));
  }
}

ModelSpec read_model_config(const std::filesystem::path& folder) {
  const ConfigFile file = open_config_file(folder);
  ModelSpec spec;
  spec.model_type = file.text_or("model_type", "");
  spec.family = find_family(spec.model_type);
  if (spec.family == nullptr) {
    file.fail(fmt::format("model_type \"{}\" is not supported ({} are)", spec.model_type, known_families()));
  }
  check_model_config_keys(file, spec);
  check_quantization(file);
  spec.family->read(file, spec);
  check_spec(file, spec);
  read_special_ids(file, spec);
  warn_of_dropout(file, spec);
  return spec;
}

}  // namespace lora_dist
