// A table of names for each family, and what its converter does to the weights.
#include <algorithm>
#include <array>
#include <cstddef>

#include "src/io/gguf_architecture.h"

namespace lora_dist {
namespace {

using enum GgufOrder;

constexpr std::array<GgufName, 12> named_like_llama(GgufOrder of_q_and_k) {
  return {{{"token_embd", "model.embed_tokens"},
           {"output_norm", "model.norm"},
           {"output", "lm_head"},
           {"blk.{}.attn_norm", "model.layers.{}.input_layernorm"},
           {"blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"},
           {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj", of_q_and_k},
           {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj", of_q_and_k},
           {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
           {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
           {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
           {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
           {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"}}};
}

/// The names with more after them.
template <std::size_t N, std::size_t More>
constexpr std::array<GgufName, N + More> with(const std::array<GgufName, N>& names, const GgufName (&more)[More]) {
  std::array<GgufName, N + More> out{};
  std::copy(names.begin(), names.end(), out.begin());
  std::copy(more, more + More, out.begin() + N);
  return out;
}

/// The names with other ones of the folder for some of the file's.
template <std::size_t N, std::size_t Others>
constexpr std::array<GgufName, N> but(std::array<GgufName, N> names, const GgufName (&others)[Others]) {
  for (const GgufName& other : others) {
    for (GgufName& name : names) {
      name = name.gguf_name == other.gguf_name ? other : name;
    }
  }
  return names;
}

constexpr auto kLlamaNames = named_like_llama(interleaved_halves);
constexpr auto kQwen2Names = named_like_llama(as_is);
constexpr auto kQwen3Names = with(kQwen2Names, {{"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
                                                {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"}});

constexpr auto kNormsAfterNames =
    std::to_array<GgufName>({{"token_embd", "model.embed_tokens"},
                             {"output_norm", "model.norm"},
                             {"output", "lm_head"},
                             {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
                             {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"},
                             {"blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"},
                             {"blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"},
                             {"blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"},
                             {"blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"},
                             {"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
                             {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"},
                             {"blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"},
                             {"blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"},
                             {"blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"}});

constexpr auto kGemma2Names = with(but(kQwen2Names, {{"blk.{}.ffn_norm", "model.layers.{}.pre_feedforward_layernorm"}}),
                                   {{"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"},
                                    {"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"}});
constexpr auto kGemma3Names = with(kGemma2Names, {{"blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"},
                                                  {"blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"}});
constexpr auto kGlm4Names = with(but(kQwen2Names, {{"blk.{}.ffn_up", "model.layers.{}.mlp.gate_up_proj"}}),
                                 {{"blk.{}.post_attention_norm", "model.layers.{}.post_self_attn_layernorm"},
                                  {"blk.{}.post_ffw_norm", "model.layers.{}.post_mlp_layernorm"}});
constexpr auto kPhi3Names = with(but(kQwen2Names, {{"blk.{}.ffn_up", "model.layers.{}.mlp.gate_up_proj"}}),
                                 {{"blk.{}.attn_qkv", "model.layers.{}.self_attn.qkv_proj"}});
constexpr auto kStarcoder2Names =
    but(kQwen2Names, {{"blk.{}.ffn_up", "model.layers.{}.mlp.c_fc"}, {"blk.{}.ffn_down", "model.layers.{}.mlp.c_proj"}});

constexpr auto kExaoneNames = std::to_array<GgufName>({{"token_embd", "transformer.wte"},
                                                       {"output_norm", "transformer.ln_f"},
                                                       {"output", "lm_head"},
                                                       {"blk.{}.attn_norm", "transformer.h.{}.ln_1"},
                                                       {"blk.{}.ffn_norm", "transformer.h.{}.ln_2"},
                                                       {"blk.{}.attn_q", "transformer.h.{}.attn.attention.q_proj"},
                                                       {"blk.{}.attn_k", "transformer.h.{}.attn.attention.k_proj"},
                                                       {"blk.{}.attn_v", "transformer.h.{}.attn.attention.v_proj"},
                                                       {"blk.{}.attn_output", "transformer.h.{}.attn.attention.out_proj"},
                                                       {"blk.{}.ffn_gate", "transformer.h.{}.mlp.c_fc_0"},
                                                       {"blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc_1"},
                                                       {"blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj"}});

constexpr auto kGpt2Names = std::to_array<GgufName>({{"token_embd", "transformer.wte"},
                                                     {"position_embd", "transformer.wpe"},
                                                     {"output_norm", "transformer.ln_f"},
                                                     {"output", "lm_head"},
                                                     {"blk.{}.attn_norm", "transformer.h.{}.ln_1"},
                                                     {"blk.{}.ffn_norm", "transformer.h.{}.ln_2"},
                                                     {"blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn", transposed},
                                                     {"blk.{}.attn_output", "transformer.h.{}.attn.c_proj", transposed},
                                                     {"blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc", transposed},
                                                     {"blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj", transposed}});

constexpr auto kNeoxNames =
    std::to_array<GgufName>({{"token_embd", "gpt_neox.embed_in"},
                             {"output_norm", "gpt_neox.final_layer_norm"},
                             {"output", "embed_out"},
                             {"blk.{}.attn_norm", "gpt_neox.layers.{}.input_layernorm"},
                             {"blk.{}.ffn_norm", "gpt_neox.layers.{}.post_attention_layernorm"},
                             {"blk.{}.attn_qkv", "gpt_neox.layers.{}.attention.query_key_value", q_then_k_then_v},
                             {"blk.{}.attn_output", "gpt_neox.layers.{}.attention.dense"},
                             {"blk.{}.ffn_up", "gpt_neox.layers.{}.mlp.dense_h_to_4h"},
                             {"blk.{}.ffn_down", "gpt_neox.layers.{}.mlp.dense_4h_to_h"}});

constexpr const char* kLayerEpsilon = "attention.layer_norm_epsilon";

using enum GgufWindows;
using enum GgufHead;

// Sorted by name.
constexpr auto kArchitectures = std::to_array<GgufArchitecture>({
    {.name = "cohere2",
     .model_type = "cohere2",
     .names = kQwen2Names,
     .epsilon = kLayerEpsilon,
     .windows = listed,
     .global_every = 4,
     .head = tied,
     .heads_fill_hidden = true},
    {.name = "exaone", .model_type = "exaone", .names = kExaoneNames},
    {.name = "exaone4", .model_type = "exaone4", .names = kNormsAfterNames, .windows = listed},
    {.name = "gemma", .model_type = "gemma", .names = kQwen2Names, .norms_have_one = true, .head = tied},
    {.name = "gemma2",
     .model_type = "gemma2",
     .names = kGemma2Names,
     .norms_have_one = true,
     .windows = listed,
     .global_every = 2,
     .head = tied},
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .names = kGemma3Names,
     .norms_have_one = true,
     .windows = listed,
     .global_every = 6,
     .windows_turn_alone = true},
    {.name = "glm4", .model_type = "glm4", .names = kGlm4Names},
    {.name = "gpt2", .model_type = "gpt2", .names = kGpt2Names, .epsilon = kLayerEpsilon, .biases = GgufBiases::all},
    {.name = "gptneox", .model_type = "gpt_neox", .names = kNeoxNames, .epsilon = kLayerEpsilon, .biases = GgufBiases::all},
    {.name = "granite", .model_type = "granite", .names = kLlamaNames, .biases = GgufBiases::all},
    {.name = "llama", .model_type = "llama", .names = kLlamaNames, .biases = GgufBiases::all},
    {.name = "mistral3", .model_type = "ministral3", .names = kLlamaNames, .biases = GgufBiases::all},
    {.name = "nemotron",
     .model_type = "nemotron",
     .names = kQwen2Names,
     .epsilon = kLayerEpsilon,
     .norms_have_one = true,
     .head = own,
     .biases = GgufBiases::all,
     .heads_fill_hidden = true},
    {.name = "olmo2", .model_type = "olmo2", .names = kNormsAfterNames, .head = own, .heads_fill_hidden = true},
    {.name = "olmo2",
     .model_type = "olmo3",
     .names = kNormsAfterNames,
     .windows = listed,
     .global_every = 4,
     .windows_turn_alone = true,
     .head = own,
     .heads_fill_hidden = true},
    {.name = "phi3", .model_type = "phi3", .names = kPhi3Names, .windows = all, .heads_fill_hidden = true},
    {.name = "qwen2", .model_type = "qwen2", .names = kQwen2Names, .heads_fill_hidden = true},
    {.name = "qwen3", .model_type = "qwen3", .names = kQwen3Names},
    {.name = "smollm3", .model_type = "smollm3", .names = kLlamaNames},
    {.name = "stablelm",
     .model_type = "stablelm",
     .names = kQwen2Names,
     .epsilon = kLayerEpsilon,
     .head = own,
     .heads_fill_hidden = true},
    {.name = "starcoder2",
     .model_type = "starcoder2",
     .names = kStarcoder2Names,
     .epsilon = kLayerEpsilon,
     .biases = GgufBiases::all,
     .heads_fill_hidden = true},
});

}  // namespace

std::span<const GgufArchitecture> gguf_architectures() { return kArchitectures; }

}  // namespace lora_dist
