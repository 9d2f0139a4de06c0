// Keys and the tensor of PEFT's PromptLearningConfig and what derives from it.
#include "src/adapter/virtual_folder.h"

#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "src/core/error.h"

namespace lora_dist {

namespace {

constexpr std::array<ModuleTensor, 1> kVirtualTensors = {{{.name = kPromptEmbeddings, .suffix = false, .of_model = true}}};

void read_virtual_keys(const ConfigReader& file, PeftConfig& config) {
  if (file.find("num_virtual_tokens") == nullptr) {
    file.refuse("num_virtual_tokens is missing");
  }
  config.virtual_tokens = file.rank("num_virtual_tokens", 0);
  if (file.rank("num_transformer_submodules", 1) != 1) {
    file.refuse("num_transformer_submodules must be 1, as of models with a decoder alone");
  }
}

/// PEFT's keys of all kinds of prompt learning.
nlohmann::ordered_json virtual_keys(const PeftConfig& config) {
  return {{"num_attention_heads", config.heads},
          {"num_layers", config.layers},
          {"num_transformer_submodules", 1},
          {"num_virtual_tokens", config.virtual_tokens},
          {"token_dim", config.token_width}};
}

/// The text of prompt_tuning_init is not kept: the file has the values.
nlohmann::ordered_json prompt_keys(const PeftConfig& config) {
  nlohmann::ordered_json keys = virtual_keys(config);
  keys.update({{"prompt_tuning_init", "RANDOM"},
               {"prompt_tuning_init_text", nullptr},
               {"tokenizer_kwargs", nullptr},
               {"tokenizer_name_or_path", nullptr}});
  return keys;
}

void read_prefix_keys(const ConfigReader& file, PeftConfig& config) {
  read_virtual_keys(file, config);
  config.reparametrized = file.flag("prefix_projection", false);
}

nlohmann::ordered_json prefix_keys(const PeftConfig& config) {
  nlohmann::ordered_json keys = virtual_keys(config);
  keys.update({{"encoder_hidden_size", config.reparametrized ? config.encoder_hidden : config.token_width},
               {"init_weights", nullptr},
               {"prefix_projection", config.reparametrized}});
  return keys;
}

void read_p_tuning_keys(const ConfigReader& file, PeftConfig& config) {
  read_virtual_keys(file, config);
  config.reparametrized = true;
}

nlohmann::ordered_json p_tuning_keys(const PeftConfig& config) {
  nlohmann::ordered_json keys = virtual_keys(config);
  keys.update({{"encoder_dropout", 0.0},
               {"encoder_hidden_size", config.encoder_hidden},
               {"encoder_num_layers", 2},
               {"encoder_reparameterization_type", config.lstm_encoder ? "LSTM" : "MLP"}});
  return keys;
}

std::string virtual_shape_problem(const AdaptedModule& module, std::string_view role) {
  const std::int64_t expected = module.adapter->config.virtual_tokens;
  return module.tensor(role).shape[0] == expected
             ? std::string()
             : fmt::format("adapter_config.json says {} virtual tokens; save the adapter again", expected);
}

double norm_of_rows(const AdaptedModule& module) {
  double sum = 0.0;
  for (const float value : module.tensor(kPromptEmbeddings).values) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(sum);
}

std::string virtual_options(const PeftConfig& config) { return fmt::format("{} virtual tokens", config.virtual_tokens); }

/// The parts that all kinds share.
PeftCodec virtual_codec() {
  PeftCodec codec = {};
  codec.tensors = kVirtualTensors;
  codec.shape_problem = virtual_shape_problem;
  codec.options = virtual_options;
  codec.option_lines = [](const PeftConfig& config) { return fmt::format("  virtual tokens  {}\n", config.virtual_tokens); };
  codec.size_text = [](const PeftConfig& config) { return fmt::format(" of {},", virtual_options(config)); };
  return codec;
}

}  // namespace

PeftCodec prompt_codec() {
  PeftCodec codec = virtual_codec();
  codec.type = "PROMPT_TUNING";
  codec.title = "Prompt tuning";
  codec.read = read_virtual_keys;
  codec.keys = prompt_keys;
  return codec;
}

PeftCodec prefix_codec() {
  PeftCodec codec = virtual_codec();
  codec.type = "PREFIX_TUNING";
  codec.title = "Prefix tuning";
  codec.read = read_prefix_keys;
  codec.keys = prefix_keys;
  return codec;
}

PeftCodec p_tuning_codec() {
  PeftCodec codec = virtual_codec();
  codec.type = "P_TUNING";
  codec.title = "P-tuning";
  codec.read = read_p_tuning_keys;
  codec.keys = p_tuning_keys;
  return codec;
}

MergeHooks virtual_merge() {
  return {.size = nullptr,
          .weight = nullptr,
          .bias = nullptr,
          .sums = false,
          .rank = [](const AdaptedModule&) { return std::optional<std::int64_t>(); },
          .norm = norm_of_rows,
          .norm_of = "the trained rows"};
}

void describe_virtual_tokens(PeftConfig& peft, const AdapterLayout& layout, const ModelSpec& model) {
  const bool of_keys = layout.virtual_tokens.place == VirtualPlace::keys_and_values;
  peft.virtual_tokens = layout.virtual_tokens.count;
  peft.layers = model.layers;
  peft.heads = of_keys ? model.kv_heads : model.heads;
  peft.token_width = of_keys ? model.key_width() : model.hidden;
  if (layout.encoder) {
    peft.reparametrized = true;
    peft.lstm_encoder = layout.encoder->shape.kind == EncoderKind::lstm;
    peft.encoder_hidden = layout.encoder->shape.hidden;
  }
}

AdapterLayout virtual_layout_of(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder) {
  const AdapterMatrix& rows = adapter.tensors.at(kPromptEmbeddings);
  AdapterLayout layout = virtual_layout(model, method_of(adapter.config.method), rows.shape[0]);
  const Shape& needed = layout.virtual_tokens.parameter.shape;
  if (rows.shape[1] != needed[1]) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} has shape [{}], this model needs [{}, {}]; the adapter belongs to another model",
                            folder, kPromptEmbeddings, fmt::join(rows.shape, ", "), needed[0], needed[1]));
  }
  return layout;
}

}  // namespace lora_dist
