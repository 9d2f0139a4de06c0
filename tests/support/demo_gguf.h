// stories260K (demo/model) as a GGUF file, as llama.cpp's converter makes it: q and k with the halves of each head side by side.
#pragma once

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "src/io/file.h"
#include "src/io/safetensors.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/source_dir.h"

namespace lora_dist::test {

inline void add_demo_keys(GgufWriter& out) {
  out.text("general.architecture", "llama");
  out.number("llama.context_length", 512);
  out.number("llama.embedding_length", 64);
  out.number("llama.block_count", 5);
  out.number("llama.feed_forward_length", 172);
  out.number("llama.attention.head_count", 8);
  out.number("llama.attention.head_count_kv", 4);
  out.real("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  out.number("llama.rope.dimension_count", 8);
}

inline void add_demo_vocabulary(GgufWriter& out) {
  const auto document = nlohmann::json::parse(read_text_file(demo_model() / "tokenizer.json", ExitCode::model));
  std::vector<std::string> tokens(512);
  std::vector<float> scores(512, 0.0F);
  std::vector<std::int32_t> types(512, 1);
  for (const auto& [token, id] : document["model"]["vocab"].items()) {
    tokens[id.get<std::size_t>()] = token;
  }
  for (std::size_t id = 0; id < 512; ++id) {
    types[id] = id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1;
    scores[id] = id < 259 ? 0.0F : -static_cast<float>(id - 259);
  }
  out.text("tokenizer.ggml.model", "llama");
  out.text("tokenizer.ggml.pre", "default");
  out.texts("tokenizer.ggml.tokens", tokens);
  out.list("tokenizer.ggml.scores", 6, scores);
  out.list("tokenizer.ggml.token_type", 5, types);
  out.number("tokenizer.ggml.bos_token_id", 1);
  out.number("tokenizer.ggml.eos_token_id", 2);
  out.number("tokenizer.ggml.unknown_token_id", 0);
  out.flag("tokenizer.ggml.add_bos_token", true);
}

/// The name that a tensor of demo/model has there.
inline std::string demo_gguf_name(std::string name) {
  const std::array<std::pair<const char*, const char*>, 12> parts = {{{"model.embed_tokens", "token_embd"},
                                                                      {"model.norm", "output_norm"},
                                                                      {"model.layers", "blk"},
                                                                      {"post_attention_layernorm", "ffn_norm"},
                                                                      {"input_layernorm", "attn_norm"},
                                                                      {"self_attn.q_proj", "attn_q"},
                                                                      {"self_attn.k_proj", "attn_k"},
                                                                      {"self_attn.v_proj", "attn_v"},
                                                                      {"self_attn.o_proj", "attn_output"},
                                                                      {"mlp.gate_proj", "ffn_gate"},
                                                                      {"mlp.up_proj", "ffn_up"},
                                                                      {"mlp.down_proj", "ffn_down"}}};
  for (const auto& [there, here] : parts) {
    if (const std::size_t at = name.find(there); at != std::string::npos) {
      name.replace(at, std::string(there).size(), here);
    }
  }
  return name;
}

/// Rows of q and k, 8 in each head.
inline std::string rows_in_pairs(const std::string& bytes, std::size_t rows) {
  const std::size_t width = bytes.size() / rows;
  std::string out(bytes.size(), '\0');
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t to = row / 8 * 8 + row % 4 * 2 + row % 8 / 4;
    out.replace(to * width, width, bytes, row * width, width);
  }
  return out;
}

/// Tensors [first, last) of demo/model in the order of their names.
inline void add_demo_tensors(GgufWriter& out, std::size_t first = 0, std::size_t last = 1000) {
  std::size_t index = 0;
  for (const auto& [name, tensor] : read_safetensors_header(demo_model() / "model.safetensors").tensors) {
    if (index++ < first || index > last) {
      continue;
    }
    std::string bytes(tensor.bytes, '\0');
    read_tensor_bytes(tensor, 0, std::as_writable_bytes(std::span(bytes)));
    const bool turns = name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos;
    const std::vector<std::uint64_t> sizes(tensor.shape.rbegin(), tensor.shape.rend());
    out.tensor(demo_gguf_name(name), sizes, 0, turns ? rows_in_pairs(bytes, static_cast<std::size_t>(tensor.shape[0])) : bytes);
  }
}

inline std::filesystem::path put_demo_gguf(const std::filesystem::path& file) {
  GgufWriter out;
  add_demo_keys(out);
  add_demo_vocabulary(out);
  add_demo_tensors(out);
  write_file_atomically(file, out.content(), ExitCode::model);
  return file;
}

}  // namespace lora_dist::test
