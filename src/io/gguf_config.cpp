// config.json from keys and from what the tensors show: a tied head, biases, stretched rotations.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "src/io/gguf_architecture.h"
#include "src/io/gguf_model.h"
#include "src/io/gguf_rotation.h"

namespace lora_dist {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMostLayers = 100000;

std::int64_t integer(const GgufFile& file, std::string_view name) {
  const std::string key = gguf_key(file, name);
  const std::optional<std::int64_t> value = file.integer(key);
  if (!value) {
    file.fail("key " + key + " is missing; convert the model again");
  }
  return *value;
}

const GgufTensor& embedding(const GgufFile& file) {
  const auto found = file.tensors.find("token_embd.weight");
  if (found == file.tensors.end() || found->second.shape.size() != 2) {
    file.fail("tensor token_embd.weight is missing, or no matrix; the file is incomplete: download or convert it again");
  }
  return found->second;
}

/// Rows of the embedding; the vocabulary must have as many tokens.
std::int64_t vocab_size(const GgufFile& file) {
  const std::int64_t rows = embedding(file).shape[0];
  const std::vector<std::string>* tokens = file.texts("tokenizer.ggml.tokens");
  if (tokens != nullptr && std::ssize(*tokens) != rows) {
    file.fail(
        fmt::format("tokenizer.ggml.tokens has {} tokens and token_embd.weight {} rows; vocabulary and weights do not belong "
                    "together: convert the model again",
                    tokens->size(), rows));
  }
  return rows;
}

bool has_tensor(const GgufFile& file, const std::string& name) { return file.tensors.contains(name); }

std::int64_t head_dim(const GgufFile& file) {
  const auto keys = file.integer(gguf_key(file, "attention.key_length"));
  const auto values = file.integer(gguf_key(file, "attention.value_length"));
  const std::int64_t otherwise = integer(file, "embedding_length") / gguf_heads(file);
  if (keys.value_or(otherwise) != values.value_or(keys.value_or(otherwise))) {
    file.fail("attention.key_length and attention.value_length differ, which is not supported");
  }
  return keys.value_or(otherwise);
}

/// What config.json calls the keys that most families have, and what files leave unsaid.
struct ConfigKeys {
  std::string_view model_type;
  const char* epsilon = "rms_norm_eps";
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
  const char* attention_bias = nullptr;  // null: the family has no key for it
  const char* mlp_bias = nullptr;
  bool part_is_rotated = false;  // of each head, as rope.dimension_count says
};

constexpr const char* kBias = "attention_bias";
constexpr const char* kTanh = "gelu_pytorch_tanh";

constexpr auto kConfigKeys = std::to_array<ConfigKeys>({
    {.model_type = "llama", .attention_bias = kBias, .mlp_bias = "mlp_bias"},
    {.model_type = "qwen2"},
    {.model_type = "qwen3", .attention_bias = kBias},
    {.model_type = "gemma", .activation = kTanh, .attention_bias = kBias},
    {.model_type = "gemma2", .activation_key = "hidden_activation", .activation = kTanh, .attention_bias = kBias},
    {.model_type = "gemma3_text", .activation_key = "hidden_activation", .activation = kTanh, .attention_bias = kBias},
    {.model_type = "exaone", .epsilon = "layer_norm_epsilon", .activation_key = "activation_function"},
    {.model_type = "exaone4"},
    {.model_type = "phi3", .part_is_rotated = true},
    {.model_type = "olmo2", .attention_bias = kBias},
    {.model_type = "olmo3", .attention_bias = kBias},
    {.model_type = "smollm3", .attention_bias = kBias, .mlp_bias = "mlp_bias"},
    {.model_type = "glm4", .attention_bias = kBias, .part_is_rotated = true},
    {.model_type = "granite", .attention_bias = kBias, .mlp_bias = "mlp_bias"},
    {.model_type = "cohere2", .epsilon = "layer_norm_eps", .attention_bias = kBias},
    {.model_type = "stablelm", .epsilon = "layer_norm_eps", .attention_bias = "use_qkv_bias", .part_is_rotated = true},
    {.model_type = "starcoder2", .epsilon = "norm_epsilon", .activation = kTanh, .attention_bias = "use_bias"},
    {.model_type = "nemotron",
     .epsilon = "norm_eps",
     .activation = "relu2",
     .attention_bias = kBias,
     .mlp_bias = "mlp_bias",
     .part_is_rotated = true},
    {.model_type = "ministral3"},
});

/// A factor or a cap that one family has.
struct ConfigNumber {
  std::string_view model_type;
  std::string_view gguf_name;
  const char* hf_name;
};
constexpr auto kConfigNumbers =
    std::to_array<ConfigNumber>({{"gemma2", "attn_logit_softcapping", "attn_logit_softcapping"},
                                 {"gemma2", "final_logit_softcapping", "final_logit_softcapping"},
                                 {"gemma3_text", "final_logit_softcapping", "final_logit_softcapping"},
                                 {"granite", "logit_scale", "logits_scaling"},
                                 {"granite", "residual_scale", "residual_multiplier"},
                                 {"granite", "embedding_scale", "embedding_multiplier"},
                                 {"granite", "attention.scale", "attention_multiplier"},
                                 {"cohere2", "logit_scale", "logit_scale"}});

/// The part of a head whose dimensions, rounded down, are `rotated`.
double rotated_part(std::int64_t rotated, std::int64_t dims) {
  const double part = static_cast<double>(rotated) / static_cast<double>(dims);
  return static_cast<std::int64_t>(part * static_cast<double>(dims)) < rotated ? std::nextafter(part, 1.0) : part;
}

void add_rotation(const GgufFile& file, const ConfigKeys& keys, std::int64_t dims, ordered_json& config) {
  const double theta = gguf_theta(file);
  const std::int64_t rotated = gguf_rotated_dims(file, dims);
  if (keys.part_is_rotated && rotated >= 1 && rotated <= dims) {
    config["partial_rotary_factor"] = rotated_part(rotated, dims);
  } else if (rotated != dims) {
    file.fail(fmt::format("{} is {}, and models of this architecture rotate {} ({} dimensions)",
                          gguf_key(file, "rope.dimension_count"), rotated,
                          keys.part_is_rotated ? "a part of heads" : "whole heads", dims));
  }
  if (!file.flag(gguf_key(file, "rope.scaling.finetuned")).value_or(true) && config["model_type"] == "granite") {
    file.fail("this is a Granite without rotation of positions, which is not supported");
  }
  if (file.has(gguf_key(file, "rope.dimension_sections"))) {
    file.fail("it rotates by positions of several kinds (rope.dimension_sections), which is not supported");
  }
  ordered_json scaling = gguf_rope_scaling(file, theta, rotated);
  if (constexpr const char* kOriginal = "original_max_position_embeddings";
      scaling.is_object() && scaling["rope_type"] == "longrope") {
    config[kOriginal] = scaling[kOriginal];  // where Phi-3's class reads it
  }
  const std::string window_key = gguf_key(file, "rope.freq_base_swa");
  if (!architecture_of(file).windows_turn_alone) {
    if (const auto other = file.number(window_key); other && *other != theta) {
      file.fail(window_key + " differs from rope.freq_base, which is not supported for this architecture");
    }
    config["rope_theta"] = theta;
    config["rope_scaling"] = std::move(scaling);
    return;
  }
  const double otherwise = config["model_type"] == "gemma3_text" ? 10000.0 : theta;  // llama.cpp's
  ordered_json all = scaling.is_null() ? ordered_json{{"rope_type", "default"}} : std::move(scaling);
  all["rope_theta"] = theta;
  config["rope_parameters"] = {
      {"full_attention", std::move(all)},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", file.number(window_key).value_or(otherwise)}}}};
}

/// layer_types of the list in the file, or of its number, or of the architecture's number.
void add_window_layers(const GgufFile& file, std::int64_t global_every, ordered_json& config) {
  const std::string key = gguf_key(file, "attention.sliding_window_pattern");
  const auto kind = [](bool slides) { return slides ? "sliding_attention" : "full_attention"; };
  if (const auto found = file.values.find(key);
      found != file.values.end() && !std::holds_alternative<std::int64_t>(found->second)) {
    for (const std::int64_t slides : *file.integers(key)) {
      config["layer_types"].push_back(kind(slides != 0));
    }
    return;
  }
  const std::int64_t every = file.integer(key).value_or(global_every);
  const std::int64_t layers = integer(file, "block_count");
  if (every < 0 || layers > kMostLayers) {
    file.fail(fmt::format("{} is {}, and block_count {}; convert the model again", key, every, layers));
  }
  for (std::int64_t layer = 0; layer < layers && (every > 0 || file.has(key)); ++layer) {
    config["layer_types"].push_back(kind(every == 0 || (layer + 1) % every != 0));
  }
}

/// Windows of attention, where the file speaks of any.
void add_windows(const GgufFile& file, ordered_json& config) {
  const GgufArchitecture& architecture = architecture_of(file);
  const std::string key = gguf_key(file, "attention.sliding_window");
  std::optional<std::int64_t> window = file.integer(key);
  if (architecture.windows == GgufWindows::none) {
    if (window.value_or(0) > 0) {
      file.fail(fmt::format("{} is set; sliding windows are not supported for {} in GGUF files", key, architecture.name));
    }
    return;
  }
  if (!window && config["model_type"] == "gemma2") {
    window = 4096;  // llama.cpp's
  }
  if (window.value_or(0) < 0) {
    file.fail(fmt::format("{} is {}, and must not be negative; convert the model again", key, *window));
  }
  config["sliding_window"] = window.value_or(0) > 0 ? ordered_json(*window) : ordered_json(nullptr);
  if (window.value_or(0) > 0 && architecture.windows == GgufWindows::listed) {
    add_window_layers(file, architecture.global_every, config);
  }
}

/// Gemma's scale of scores has no key: llama.cpp knows the model of 27B by its layers.
std::int64_t gemma_scalar(const GgufFile& file, std::int64_t layers_of_27b, std::int64_t dims) {
  return integer(file, "block_count") == layers_of_27b ? integer(file, "embedding_length") / gguf_heads(file) : dims;
}

/// What one family has, and no other.
void add_own_keys(const GgufFile& file, std::int64_t dims, ordered_json& config) {
  const std::string type = config["model_type"];
  for (const ConfigNumber& number : kConfigNumbers) {
    if (const auto value = file.number(gguf_key(file, number.gguf_name)); value && number.model_type == type) {
      config[number.hf_name] = *value;
    }
  }
  if (type == "gemma2" || type == "gemma3_text") {
    config["query_pre_attn_scalar"] = gemma_scalar(file, type == "gemma2" ? 46 : 62, dims);
  } else if (type == "granite" && config.value("attention_multiplier", 0.0) == 0.0) {
    config["attention_multiplier"] = 1.0 / std::sqrt(static_cast<double>(dims));
  } else if (type == "stablelm") {
    config["use_parallel_residual"] = !has_tensor(file, "blk.0.ffn_norm.weight");
    config["qk_layernorm"] = has_tensor(file, "blk.0.attn_q_norm.weight");
  } else if (type == "smollm3") {
    config["no_rope_layer_interval"] = 4;  // without a key
  } else if (type == "ministral3") {
    if (config["rope_scaling"].is_null()) {
      config["rope_scaling"] = {{"rope_type", "default"}};  // without an object the class has its own
    }
    config["rope_scaling"]["llama_4_scaling_beta"] = file.number(gguf_key(file, "attention.temperature_scale")).value_or(0.0);
  }
}

/// The families with Llama's keys.
void add_llama_keys(const GgufFile& file, ordered_json& config) {
  const std::int64_t dims = head_dim(file);
  const auto* const keys = std::ranges::find(kConfigKeys, config["model_type"].get<std::string>(), &ConfigKeys::model_type);
  config["num_key_value_heads"] = gguf_kv_heads(file);
  config["head_dim"] = dims;
  config[keys->epsilon] = config["epsilon"];
  config[keys->activation_key] = keys->activation;
  add_rotation(file, *keys, dims, config);
  if (keys->attention_bias != nullptr) {
    config[keys->attention_bias] = has_tensor(file, "blk.0.attn_q.bias");
  }
  if (keys->mlp_bias != nullptr) {
    config[keys->mlp_bias] = has_tensor(file, "blk.0.ffn_up.bias");
  }
  add_windows(file, config);
  add_own_keys(file, dims, config);
}

void add_neox_keys(const GgufFile& file, ordered_json& config) {
  const std::int64_t dims = integer(file, "embedding_length") / gguf_heads(file);
  const std::int64_t rotated = gguf_rotated_dims(file, dims);
  const double theta = gguf_theta(file);
  config["layer_norm_eps"] = config["epsilon"];
  config["hidden_act"] = "gelu";
  config["rotary_pct"] = static_cast<double>(rotated) / static_cast<double>(std::max<std::int64_t>(dims, 1));
  config["rotary_emb_base"] = theta;
  config["rope_scaling"] = gguf_rope_scaling(file, theta, rotated);
  config["use_parallel_residual"] = file.flag(gguf_key(file, "use_parallel_residual")).value_or(true);
  config["attention_bias"] = has_tensor(file, "blk.0.attn_qkv.bias");
}

/// Ids that end a text: the end of the text, and of a turn.
void add_special_ids(const GgufFile& file, ordered_json& config) {
  const auto id = [&](const std::string& name) { return file.integer("tokenizer.ggml." + name + "_token_id"); };
  const auto padding = id("padding");
  config["pad_token_id"] = padding ? ordered_json(*padding) : ordered_json(nullptr);  // some classes have one by default
  if (const auto bos = id("bos")) {
    config["bos_token_id"] = *bos;
  }
  ordered_json ends = ordered_json::array();
  for (const char* name : {"eos", "eot", "eom"}) {
    if (const auto end = id(name); end && std::ranges::find(ends, ordered_json(*end)) == ends.end()) {
      ends.push_back(*end);
    }
  }
  if (!ends.empty()) {
    config["eos_token_id"] = ends.size() == 1 ? ends[0] : ends;
  }
}

/// Throws Error(model) for a tensor of a block beyond block_count, which would be left out of the model.
void check_blocks(const GgufFile& file) {
  const std::int64_t blocks = integer(file, "block_count");
  for (const auto& [name, tensor] : file.tensors) {
    std::int64_t block = -1;
    if (name.starts_with("blk.")) {
      std::from_chars(name.data() + 4, name.data() + name.size(), block);
    }
    if (block >= blocks) {
      file.fail(fmt::format("it has the tensor {}, and {} is {}; convert the model again", shown_gguf_text(name),
                            gguf_key(file, "block_count"), blocks));
    }
  }
}

}  // namespace

ordered_json gguf_config(const GgufFile& file) {
  const GgufArchitecture& architecture = architecture_of(file);
  if (const auto experts = file.integer(gguf_key(file, "expert_count")); experts.value_or(0) > 0) {
    file.fail(fmt::format("this is a mixture of {} experts, which is not supported; take a model without", *experts));
  }
  if (!file.flag(gguf_key(file, "attention.causal")).value_or(true)) {
    file.fail("this is an embedding model that attends in both directions; only causal models are supported");
  }
  const bool is_gpt2 = architecture.model_type == "gpt2";
  ordered_json config = {{"model_type", architecture.model_type},
                         {is_gpt2 ? "n_embd" : "hidden_size", integer(file, "embedding_length")},
                         {is_gpt2 ? "n_layer" : "num_hidden_layers", integer(file, "block_count")},
                         {is_gpt2 ? "n_head" : "num_attention_heads", gguf_heads(file)},
                         {is_gpt2 ? "n_positions" : "max_position_embeddings", integer(file, "context_length")},
                         {is_gpt2 ? "n_inner" : "intermediate_size", integer(file, "feed_forward_length")},
                         {"vocab_size", vocab_size(file)},
                         {"tie_word_embeddings", !has_tensor(file, "output.weight")}};
  check_blocks(file);
  const std::optional<double> epsilon = file.number(gguf_key(file, architecture.epsilon));
  if (!epsilon) {
    file.fail("key " + gguf_key(file, architecture.epsilon) + " is missing; convert the model again");
  }
  config["epsilon"] = *epsilon;
  if (is_gpt2) {
    config["layer_norm_epsilon"] = *epsilon;
    config["activation_function"] = "gelu_new";
  } else if (architecture.model_type == "gpt_neox") {
    add_neox_keys(file, config);
  } else {
    add_llama_keys(file, config);
  }
  config.erase("epsilon");
  add_special_ids(file, config);
  return config;
}

}  // namespace lora_dist
