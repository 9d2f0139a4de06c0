// GPT-2: learned positions, LayerNorm, one matrix for q, k and v, weights stored as [in, out] (contract: transformers,
// models/gpt2).
#include <cmath>

#include "src/model/family.h"

namespace lora_dist::families {

namespace {

/// A size that has two names: if both are present, the general one counts, as in transformers (attribute_map).
const char* key_of(const ConfigFile& file, const char* own, const char* general) { return file.has(general) ? general : own; }

void read(const ConfigFile& file, ModelSpec& spec) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 30;
  spec.hidden = file.integer(key_of(file, "n_embd", "hidden_size"), 1, kLimit);
  spec.layers = file.integer(key_of(file, "n_layer", "num_hidden_layers"), 1, 100000);
  spec.heads = file.integer(key_of(file, "n_head", "num_attention_heads"), 1, 65536);
  spec.kv_heads = spec.heads;
  spec.head_dim = head_dim_of(file, spec, 0);
  spec.intermediate = file.integer_or("n_inner", 4 * spec.hidden, 1, 4 * kLimit);
  spec.vocab = file.integer_or("vocab_size", 50257, 1, kLimit);
  spec.max_positions = file.integer_or(key_of(file, "n_positions", "max_position_embeddings"), 1024, 1, kLimit);
  spec.norm = Norm::layer;
  spec.norm_eps = static_cast<float>(file.positive_or("layer_norm_epsilon", 1e-5));
  spec.learned_positions = true;
  spec.fused_qkv = FusedQkv::slices;
  spec.activation = read_activation(file, "activation_function", "gelu_new");
  spec.gated = false;
  spec.tied_head = file.boolean_or("tie_word_embeddings", true);
  for (const Linear linear : {Linear::qkv, Linear::o, Linear::up, Linear::down}) {
    spec.bias[index_of(linear)] = true;
  }
  const bool by_layer = file.boolean_or("scale_attn_by_inverse_layer_idx", false);
  const bool scaled = file.boolean_or("scale_attn_weights", true);
  for (std::int64_t layer = 0; (by_layer || !scaled) && layer < spec.layers; ++layer) {
    LayerSpec each;
    each.score_scale =
        (scaled ? 1.0F : std::sqrt(static_cast<float>(spec.head_dim))) / static_cast<float>(by_layer ? layer + 1 : 1);
    spec.layer_specs.push_back(each);
  }
}

}  // namespace

extern const Family gpt2;
const Family gpt2 = {.model_type = "gpt2",
                     .names = {.prefix = "transformer.",
                               .embedding = "transformer.wte",
                               .positions = "transformer.wpe",
                               .final_norm = "transformer.ln_f",
                               .heads = {"lm_head", ""},
                               .attention_norm = "transformer.h.{}.ln_1",
                               .mlp_norm = "transformer.h.{}.ln_2",
                               .attention_out_norm = "",
                               .mlp_out_norm = "",
                               .q_norm = "",
                               .k_norm = "",
                               .linears = {"", "", "", "transformer.h.{}.attn.c_proj", "", "transformer.h.{}.mlp.c_fc",
                                           "transformer.h.{}.mlp.c_proj", "transformer.h.{}.attn.c_attn", ""}},
                     .transposed = true,
                     .read = read};

}  // namespace lora_dist::families
