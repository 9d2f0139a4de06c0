// After the configuration classes of transformers 5.24.0, EXAONE 3's configuration_exaone.py, and keys that other programs write.
#include "src/model/model_config_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace lora_dist {

namespace {

using nlohmann::json;
using enum KeyUse;

// With Llama's names of the keys.
constexpr std::string_view kRotary =
    "cohere2 exaone exaone4 gemma gemma2 gemma3_text glm4 granite hyperclovax internlm3 llama ministral3 mistral nemotron olmo2 "
    "olmo3 phi3 qwen2 qwen3 smollm3 stablelm starcoder2 ";
constexpr std::string_view kRotaryAndNeox =
    "cohere2 exaone exaone4 gemma gemma2 gemma3_text glm4 gpt_neox granite hyperclovax internlm3 llama ministral3 mistral "
    "nemotron olmo2 olmo3 phi3 qwen2 qwen3 smollm3 stablelm starcoder2 ";
constexpr std::string_view kQwen = "qwen2 qwen3 ";
constexpr std::string_view kWithFactors = "granite hyperclovax ";
constexpr std::string_view kLaterGemma = "gemma2 gemma3_text ";

constexpr auto kKeys = std::to_array<ModelConfigKey>({
    // Keys that are used.
    {"model_type"},
    {"vocab_size"},
    {"bos_token_id"},
    {"eos_token_id"},
    {"tie_word_embeddings"},
    {"quantization_config"},
    {"hidden_size"},
    {"num_attention_heads"},
    {"num_hidden_layers"},
    {"max_position_embeddings"},
    {"intermediate_size", used, kRotaryAndNeox},
    {"num_key_value_heads", used, kRotary},
    {"head_dim", used, kRotary},
    {"hidden_act", used,
     "cohere2 exaone4 gemma glm4 gpt_neox granite hyperclovax internlm3 llama ministral3 mistral nemotron olmo2 olmo3 phi3 qwen2 "
     "qwen3 smollm3 stablelm starcoder2 "},
    {"hidden_activation", irrelevant, "gemma "},  // always the tanh form
    {"rms_norm_eps", used,
     "exaone4 gemma gemma2 gemma3_text glm4 granite hyperclovax internlm3 llama ministral3 mistral olmo2 olmo3 phi3 qwen2 qwen3 "
     "smollm3 "},
    {"rope_parameters", used, kRotaryAndNeox},
    {"rope_scaling", used, kRotaryAndNeox},
    {"rope_theta", used, kRotary},
    {"partial_rotary_factor", used, kRotary},  // a value other than 1 is ignored with a warning, or refused
    {"original_max_position_embeddings", used, kRotaryAndNeox},
    {"attention_bias", used,
     "cohere2 gemma gemma2 gemma3_text glm4 gpt_neox granite hyperclovax internlm3 llama nemotron olmo2 olmo3 qwen3 smollm3 "},
    {"mlp_bias", used, "granite hyperclovax internlm3 llama nemotron smollm3 "},
    {"sliding_window", used, "cohere2 exaone4 gemma2 gemma3_text ministral3 mistral olmo3 phi3 qwen2 qwen3 smollm3 starcoder2 "},
    {"use_sliding_window", used, "qwen2 qwen3 smollm3 "},
    {"max_window_layers", used, kQwen},
    {"layer_types", used, "cohere2 exaone4 gemma2 gemma3_text mistral olmo3 qwen2 qwen3 smollm3 "},
    {"sliding_window_pattern", used, "cohere2 exaone4 gemma3_text "},
    {"num_layers", used, "exaone "},
    {"activation_function", used, "exaone gpt2 "},
    {"layer_norm_epsilon", used, "exaone gpt2 "},
    {"rotary_pct", used, "gpt_neox "},
    {"rotary_emb_base", used, "gpt_neox "},
    {"layer_norm_eps", used, "cohere2 gpt_neox stablelm "},
    {"use_parallel_residual", used, "gpt_neox stablelm "},
    {"n_embd", used, "gpt2 "},
    {"n_layer", used, "gpt2 "},
    {"n_head", used, "gpt2 "},
    {"n_positions", used, "gpt2 "},
    {"n_inner", used, "gpt2 "},
    {"scale_attn_weights", used, "gpt2 "},
    {"scale_attn_by_inverse_layer_idx", used, "gpt2 "},
    {"query_pre_attn_scalar", used, kLaterGemma},
    {"attn_logit_softcapping", used, "gemma2 "},
    {"final_logit_softcapping", used, kLaterGemma},
    {"hidden_activation", used, kLaterGemma},
    {"rope_local_base_freq", used, "gemma3_text "},
    {"no_rope_layers", used, "smollm3 "},
    {"no_rope_layer_interval", used, "smollm3 "},
    {"embedding_multiplier", used, kWithFactors},
    {"logits_scaling", used, kWithFactors},
    {"residual_multiplier", used, kWithFactors},
    {"attention_multiplier", used, kWithFactors},
    {"use_post_norm", used, "hyperclovax "},
    {"logit_scale", used, "cohere2 "},
    {"use_qkv_bias", used, "stablelm "},
    {"norm_epsilon", used, "starcoder2 "},
    {"use_bias", used, "starcoder2 "},
    {"residual_dropout", used, "starcoder2 "},
    {"embedding_dropout", used, "starcoder2 "},
    {"norm_eps", used, "nemotron "},
    {"qkv_bias", used, "internlm3 "},
    {"bias", used, "internlm3 "},
    // Dropout of the base: not applied, with its own warning.
    {"attention_dropout", used},
    {"hidden_dropout", used},
    {"resid_pdrop", used},
    {"embd_pdrop", used},
    {"attn_pdrop", used},
    {"resid_dropout", used},
    {"embed_dropout", used},
    // Keys that are refused.
    {"per_layer_config", refused, "", "layers that are all alike are"},
    {"pruned_heads", refused, "", "layers with all their heads are"},
    {"is_encoder_decoder", refused, "", "language models without an encoder are"},
    {"add_cross_attention", refused, "", "language models without an encoder are"},
    {"use_bidirectional_attention", refused, "", "causal attention is"},
    {"rope_interleaved", refused, "", "the family's own pairs of rotated dimensions are"},
    {"use_mrope", refused, "", "one position for each token is"},
    {"quantization", refused, "", "weights that MLX has not quantized are"},
    {"qk_layernorm", refused, "stablelm ", "heads without norms are"},
    {"lm_head_bias", refused, "phi3 ", "a head without a bias is"},
    // Keys without effect on results: origin of the file, Python settings, other heads and tasks.
    {"architectures", irrelevant},
    {"dtype", irrelevant},
    {"torch_dtype", irrelevant},
    {"transformers_version", irrelevant},
    {"_name_or_path", irrelevant},
    {"name_or_path", irrelevant},
    {"_commit_hash", irrelevant},
    {"auto_map", irrelevant},
    {"custom_pipelines", irrelevant},
    {"is_llama_config", irrelevant},
    {"transformers.js_config", irrelevant},
    {"unsloth_fixed", irrelevant},
    {"unsloth_version", irrelevant},
    {"initializer_range", irrelevant},
    {"pad_token_id", irrelevant},
    {"sep_token_id", irrelevant},
    {"cls_token_id", irrelevant},
    {"unk_token_id", irrelevant},
    {"mask_token_id", irrelevant},
    {"decoder_start_token_id", irrelevant},
    {"tokenizer_class", irrelevant},
    {"prefix", irrelevant},
    {"use_cache", irrelevant},
    {"gradient_checkpointing", irrelevant},
    {"pretraining_tp", irrelevant},
    {"torchscript", irrelevant},
    {"use_bfloat16", irrelevant},
    {"tf_legacy_loss", irrelevant},
    {"attn_implementation", irrelevant},
    {"_attn_implementation", irrelevant},
    {"_attn_implementation_autoset", irrelevant},
    {"_attn_implementation_internal", irrelevant},
    {"_flash_attn_2_enabled", irrelevant},
    {"experts_implementation", irrelevant},
    {"reorder_and_upcast_attn", irrelevant, "gpt2 "},  // attention is in fp32 anyway
    {"hidden_act", irrelevant, kLaterGemma},
    {"cache_implementation", irrelevant, "cohere2 gemma2 gemma3_text olmo3 "},
    {"attn_logit_softcapping", irrelevant, "gemma3_text "},
    {"_sliding_window_pattern", irrelevant, "cohere2 gemma3_text "},
    {"full_attn_mod", irrelevant, "phi3 "},
    {"interpolate_factor", irrelevant, "phi3 "},
    {"rotary_pct", irrelevant, "cohere2 "},
    {"layer_switch", irrelevant, "cohere2 "},
    {"order_of_interleaved_layers", irrelevant, "cohere2 "},
    {"position_embedding_type", irrelevant, "cohere2 "},
    {"use_embedding_sharing", irrelevant, "cohere2 "},
    {"use_gated_activation", irrelevant, "cohere2 "},
    {"use_parallel_block", irrelevant, "cohere2 "},
    {"use_parallel_embedding", irrelevant, "cohere2 "},
    {"use_qk_norm", irrelevant, "cohere2 "},
    {"mlp_type", irrelevant, "starcoder2 "},
    {"activation_function", irrelevant, "starcoder2 "},
    {"layer_norm_epsilon", irrelevant, "starcoder2 "},
    {"norm_type", irrelevant, "starcoder2 "},
    {"attention_softmax_in_fp32", irrelevant, "starcoder2 "},
    {"scale_attention_softmax_in_fp32", irrelevant, "starcoder2 "},
    {"scale_attn_weights", irrelevant, "starcoder2 "},
    {"output_attentions", irrelevant},
    {"output_hidden_states", irrelevant},
    {"return_dict", irrelevant},
    {"tie_last_hidden_states", irrelevant},
    {"chunk_size_feed_forward", irrelevant},
    {"is_decoder", irrelevant},
    {"tie_encoder_decoder", irrelevant},
    {"cross_attention_hidden_size", irrelevant},
    {"id2label", irrelevant},
    {"label2id", irrelevant},
    {"num_labels", irrelevant},
    {"problem_type", irrelevant},
    {"classifier_dropout", irrelevant},
    {"finetuning_task", irrelevant},
    {"task_specific_params", irrelevant},
    {"n_ctx", irrelevant, "gpt2 "},
    {"summary_activation", irrelevant},
    {"summary_first_dropout", irrelevant},
    {"summary_proj_to_labels", irrelevant},
    {"summary_type", irrelevant},
    {"summary_use_proj", irrelevant},
    // Keys of generation, for folders without generation_config.json: unsupported ones are reported when text is generated.
    {"do_sample"},
    {"repetition_penalty"},
    {"temperature"},
    {"top_k"},
    {"top_p"},
    {"assistant_confidence_threshold", irrelevant},
    {"assistant_lookbehind", irrelevant},
    {"bad_words_ids", irrelevant},
    {"begin_suppress_tokens", irrelevant},
    {"diversity_penalty", irrelevant},
    {"early_stopping", irrelevant},
    {"encoder_no_repeat_ngram_size", irrelevant},
    {"encoder_repetition_penalty", irrelevant},
    {"epsilon_cutoff", irrelevant},
    {"eta_cutoff", irrelevant},
    {"exponential_decay_length_penalty", irrelevant},
    {"forced_bos_token_id", irrelevant},
    {"forced_eos_token_id", irrelevant},
    {"length_penalty", irrelevant},
    {"max_length", irrelevant},
    {"min_length", irrelevant},
    {"no_repeat_ngram_size", irrelevant},
    {"num_assistant_tokens", irrelevant},
    {"num_assistant_tokens_schedule", irrelevant},
    {"num_beam_groups", irrelevant},
    {"num_beams", irrelevant},
    {"num_return_sequences", irrelevant},
    {"output_scores", irrelevant},
    {"remove_invalid_values", irrelevant},
    {"return_dict_in_generate", irrelevant},
    {"suppress_tokens", irrelevant},
    {"target_lookbehind", irrelevant},
    {"typical_p", irrelevant},
});

bool is_of(const ModelConfigKey& key, std::string_view model_type) {
  return key.families.empty() || (" " + std::string(key.families)).find(fmt::format(" {} ", model_type)) != std::string::npos;
}

bool says_nothing(const json& value) {
  return value.is_null() || value == false || ((value.is_object() || value.is_array()) && value.empty());
}

/// True if another family has the key.
bool is_known(std::string_view name) {
  return std::ranges::any_of(kKeys, [&](const ModelConfigKey& key) { return key.name == name; });
}

}  // namespace

std::span<const ModelConfigKey> model_config_keys() { return kKeys; }

const ModelConfigKey* find_model_config_key(std::string_view name, std::string_view model_type) {
  const auto found =
      std::ranges::find_if(kKeys, [&](const ModelConfigKey& key) { return key.name == name && is_of(key, model_type); });
  return found == kKeys.end() ? nullptr : &*found;
}

void check_model_config_keys(const ConfigFile& file, ModelSpec& spec) {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : file.root.items()) {
    const ModelConfigKey* key = find_model_config_key(name, spec.model_type);
    if (key == nullptr && !value.is_null() && !(is_known(name) && says_nothing(value))) {
      unknown.push_back(name.substr(0, 60));
    } else if (key != nullptr && key->use == refused && !says_nothing(value)) {
      file.fail(fmt::format("{} is {}, and only {} supported", name, ConfigFile::shown(value), key->what));
    }
  }
  if (!unknown.empty()) {
    spec.warnings.push_back(
        fmt::format("{}: {} {} no meaning for {} models here, and {} not used; if transformers uses {}, the numbers will differ",
                    file.path.string(), fmt::join(unknown, ", "), unknown.size() == 1 ? "has" : "have", spec.model_type,
                    unknown.size() == 1 ? "is" : "are", unknown.size() == 1 ? "it" : "them"));
  }
}

}  // namespace lora_dist
