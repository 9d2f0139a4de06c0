// EXAONE 3.0 and 3.5: a Llama under other names (contract: configuration_exaone.py of LG AI Research).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 30;
  spec.hidden = file.integer("hidden_size", 1, kLimit);
  spec.layers = file.integer(file.has("num_hidden_layers") ? "num_hidden_layers" : "num_layers", 1, 100000);
  spec.heads = file.integer("num_attention_heads", 1, 65536);
  spec.kv_heads = file.integer_or("num_key_value_heads", spec.heads, 1, 65536);
  spec.head_dim = head_dim_of(file, spec, file.integer_or("head_dim", 0, 1, 65536));
  spec.intermediate = file.integer_or("intermediate_size", 4 * spec.hidden, 1, 4 * kLimit);
  spec.vocab = file.integer_or("vocab_size", 102400, 1, kLimit);
  spec.max_positions = file.integer_or("max_position_embeddings", 2048, 1, kLimit);
  spec.norm_eps = static_cast<float>(file.positive_or("layer_norm_epsilon", 1e-6));
  spec.activation = read_activation(file, "activation_function", "silu");
  spec.rope = read_rope(file, spec);
  spec.tied_head = file.boolean_or("tie_word_embeddings", true);
}

}  // namespace

extern const Family exaone;
const Family exaone = {
    .model_type = "exaone",
    .names = {.prefix = "transformer.",
              .embedding = "transformer.wte",
              .positions = "",
              .final_norm = "transformer.ln_f",
              .heads = {"lm_head", ""},
              .attention_norm = "transformer.h.{}.ln_1",
              .mlp_norm = "transformer.h.{}.ln_2",
              .attention_out_norm = "",
              .mlp_out_norm = "",
              .q_norm = "",
              .k_norm = "",
              .linears = {"transformer.h.{}.attn.attention.q_proj", "transformer.h.{}.attn.attention.k_proj",
                          "transformer.h.{}.attn.attention.v_proj", "transformer.h.{}.attn.attention.out_proj",
                          "transformer.h.{}.mlp.c_fc_0", "transformer.h.{}.mlp.c_fc_1", "transformer.h.{}.mlp.c_proj", "", ""}},
    .transposed = false,
    .read = read};

}  // namespace lora_dist::families
