// GPT-NeoX, with it Pythia, Polyglot-Ko and KoAlpaca (contract: transformers, models/gpt_neox).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 31;
  spec.hidden = file.integer("hidden_size", 1, kLimit);
  spec.layers = file.integer("num_hidden_layers", 1, 100000);
  spec.heads = file.integer("num_attention_heads", 1, 65536);
  spec.kv_heads = spec.heads;
  spec.head_dim = head_dim_of(file, spec, 0);
  spec.intermediate = file.integer("intermediate_size", 1, kLimit);
  spec.vocab = file.integer("vocab_size", 1, kLimit - 1);
  spec.max_positions = file.integer_or("max_position_embeddings", 2048, 1, kLimit);
  spec.norm = Norm::layer;
  spec.norm_eps = static_cast<float>(file.positive_or("layer_norm_eps", 1e-5));
  spec.rope = read_rope(file, spec, {.theta_key = "rotary_emb_base", .partial = true, .part_key = "rotary_pct", .part = 0.25});
  spec.parallel_residual = file.boolean_or("use_parallel_residual", true);
  spec.fused_qkv = FusedQkv::per_head;
  spec.activation = read_activation(file, "hidden_act", "gelu");
  spec.gated = false;
  spec.tied_head = file.boolean_or("tie_word_embeddings", false);
  spec.bias[index_of(Linear::qkv)] = file.boolean_or("attention_bias", true);
  spec.bias[index_of(Linear::o)] = file.boolean_or("attention_bias", true);
  spec.bias[index_of(Linear::up)] = true;
  spec.bias[index_of(Linear::down)] = true;
}

}  // namespace

extern const Family gpt_neox;
const Family gpt_neox = {
    .model_type = "gpt_neox",
    .names = {.prefix = "gpt_neox.",
              .embedding = "gpt_neox.embed_in",
              .positions = "",
              .final_norm = "gpt_neox.final_layer_norm",
              .heads = {"embed_out", "lm_head"},
              .attention_norm = "gpt_neox.layers.{}.input_layernorm",
              .mlp_norm = "gpt_neox.layers.{}.post_attention_layernorm",
              .attention_out_norm = "",
              .mlp_out_norm = "",
              .q_norm = "",
              .k_norm = "",
              .linears = {"", "", "", "gpt_neox.layers.{}.attention.dense", "", "gpt_neox.layers.{}.mlp.dense_h_to_4h",
                          "gpt_neox.layers.{}.mlp.dense_4h_to_h", "gpt_neox.layers.{}.attention.query_key_value", ""}},
    .transposed = false,
    .read = read};

}  // namespace lora_dist::families
