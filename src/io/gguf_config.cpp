// config.json from keys and from what the tensors show: a tied head, biases, stretched rotations.
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "src/io/gguf_architecture.h"
#include "src/io/gguf_model.h"
#include "src/io/safetensors.h"

namespace lora_dist {
namespace {

using nlohmann::ordered_json;

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

std::vector<float> read_divisors(const GgufFile& file, std::int64_t count) {
  const GgufTensor& tensor = file.tensors.at("rope_freqs.weight");
  if (tensor.type->name != "F32" || tensor.elements() != count) {
    file.fail(fmt::format("tensor rope_freqs.weight must be {} values of F32; convert the model again", count));
  }
  TensorInfo info;
  info.file = tensor.file;
  info.offset = tensor.offset;
  info.bytes = tensor.bytes;
  std::vector<float> out(static_cast<std::size_t>(count));
  read_tensor_bytes(info, 0, std::as_writable_bytes(std::span(out)));
  return out;
}

/// The divisor of frequency i in Llama 3.1's scaling (contract: transformers, modeling_rope_utils.py).
double llama3_divisor(std::int64_t i, std::int64_t dims, double theta, double factor, double positions) {
  constexpr double kLow = 1.0;
  constexpr double kHigh = 4.0;
  const double wavelength = 2.0 * std::numbers::pi * std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(dims));
  if (wavelength < positions / kHigh) {
    return 1.0;
  }
  if (wavelength > positions / kLow) {
    return factor;
  }
  const double smooth = (positions / wavelength - kLow) / (kHigh - kLow);
  return 1.0 / ((1.0 - smooth) / factor + smooth);
}

/// Files have the divisors alone: the settings of Llama 3.1 that give them are looked for.
ordered_json stretched_rotation(const GgufFile& file, double theta, std::int64_t dims) {
  const std::vector<float> divisors = read_divisors(file, dims / 2);
  const double factor = *std::ranges::max_element(divisors);
  for (std::int64_t positions = 16; positions <= std::int64_t{1} << 22; positions *= 2) {
    bool fits = factor >= 1.0 && std::isfinite(factor);
    for (std::int64_t i = 0; fits && i < std::ssize(divisors); ++i) {
      const double wanted = llama3_divisor(i, dims, theta, factor, static_cast<double>(positions));
      fits = std::abs(divisors[static_cast<std::size_t>(i)] - wanted) <= 1e-4 * wanted;
    }
    if (fits) {
      return {{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", 1.0},
              {"high_freq_factor", 4.0},
              {"original_max_position_embeddings", positions}};
    }
  }
  file.fail("tensor rope_freqs.weight stretches rotations in a way that is not Llama 3.1's, which is not supported");
}

/// Linear scaling, as llama.cpp reads it: a missing type is linear, and older files have one key alone. Null: none.
ordered_json linear_scaling(const GgufFile& file) {
  const std::string* type = file.text(gguf_key(file, "rope.scaling.type"));
  if (type != nullptr && *type == "none") {
    return nullptr;
  }
  if (type != nullptr && *type != "linear") {
    file.fail(fmt::format("{} is \"{}\", which is not supported (none and linear are)", gguf_key(file, "rope.scaling.type"),
                          shown_gguf_text(*type)));
  }
  std::optional<double> factor = file.number(gguf_key(file, "rope.scaling.factor"));
  if (!factor) {
    factor = file.number(gguf_key(file, "rope.scale_linear"));
  }
  if (factor.value_or(0.0) == 0.0 || *factor == 1.0) {
    return nullptr;
  }
  return {{"rope_type", "linear"}, {"factor", *factor}};
}

/// rope_scaling; null: none.
ordered_json rope_scaling(const GgufFile& file, double theta, std::int64_t dims) {
  ordered_json linear = linear_scaling(file);
  if (!has_tensor(file, "rope_freqs.weight")) {
    return linear;
  }
  if (!linear.is_null()) {
    file.fail("it has both tensor rope_freqs.weight and linear rope scaling, which is not supported");
  }
  return stretched_rotation(file, theta, dims);
}

void check_rotated_dims(const GgufFile& file, std::int64_t dims) {
  const std::int64_t rotated = file.integer(gguf_key(file, "rope.dimension_count")).value_or(dims);
  if (rotated != dims) {
    file.fail(fmt::format("{} is {}, and models of this architecture rotate whole heads ({} dimensions)",
                          gguf_key(file, "rope.dimension_count"), rotated, dims));
  }
}

/// Windows of attention, where the file speaks of any.
void add_windows(const GgufFile& file, ordered_json& config) {
  const auto window = file.integer(gguf_key(file, "attention.sliding_window"));
  if (config["model_type"] != "exaone4") {
    if (window.value_or(0) > 0) {
      file.fail(gguf_key(file, "attention.sliding_window") +
                " is set; sliding windows are supported only for exaone4 in GGUF files");
    }
    return;
  }
  config["sliding_window"] = window.value_or(0) > 0 ? ordered_json(*window) : ordered_json(nullptr);
  if (const auto* pattern = file.integers(gguf_key(file, "attention.sliding_window_pattern")); pattern != nullptr) {
    for (const std::int64_t slides : *pattern) {
      config["layer_types"].push_back(slides != 0 ? "sliding_attention" : "full_attention");
    }
  }
}

/// The families with Llama's tensor names.
void add_llama_keys(const GgufFile& file, ordered_json& config) {
  const std::int64_t dims = head_dim(file);
  const double theta = file.number(gguf_key(file, "rope.freq_base")).value_or(10000.0);
  const bool is_exaone = config["model_type"] == "exaone";
  check_rotated_dims(file, dims);
  config["num_key_value_heads"] = gguf_kv_heads(file);
  config["head_dim"] = dims;
  config[is_exaone ? "layer_norm_epsilon" : "rms_norm_eps"] = config["epsilon"];
  config[is_exaone ? "activation_function" : "hidden_act"] = config["model_type"] == "gemma" ? "gelu_pytorch_tanh" : "silu";
  config["rope_theta"] = theta;
  config["rope_scaling"] = rope_scaling(file, theta, dims);
  if (config["model_type"] == "llama") {
    config["attention_bias"] = has_tensor(file, "blk.0.attn_q.bias");
    config["mlp_bias"] = has_tensor(file, "blk.0.ffn_up.bias");
  } else if (config["model_type"] == "qwen3" || config["model_type"] == "gemma") {
    config["attention_bias"] = has_tensor(file, "blk.0.attn_q.bias");
  }
  add_windows(file, config);
}

void add_neox_keys(const GgufFile& file, ordered_json& config) {
  const std::int64_t dims = integer(file, "embedding_length") / gguf_heads(file);
  const std::int64_t rotated = file.integer(gguf_key(file, "rope.dimension_count")).value_or(dims);
  const double theta = file.number(gguf_key(file, "rope.freq_base")).value_or(10000.0);
  config["layer_norm_eps"] = config["epsilon"];
  config["hidden_act"] = "gelu";
  config["rotary_pct"] = static_cast<double>(rotated) / static_cast<double>(std::max<std::int64_t>(dims, 1));
  config["rotary_emb_base"] = theta;
  config["rope_scaling"] = rope_scaling(file, theta, rotated);
  config["use_parallel_residual"] = file.flag(gguf_key(file, "use_parallel_residual")).value_or(true);
  config["attention_bias"] = has_tensor(file, "blk.0.attn_qkv.bias");
}

/// Ids that end a text: the end of the text, and of a turn.
void add_special_ids(const GgufFile& file, ordered_json& config) {
  const auto id = [&](const std::string& name) { return file.integer("tokenizer.ggml." + name + "_token_id"); };
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
