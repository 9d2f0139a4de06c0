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

constexpr std::string_view kRotary =
    "exaone exaone4 gemma gemma2 gemma3_text llama mistral qwen2 qwen3 ";  // with Llama's names of the keys
constexpr std::string_view kRotaryAndNeox = "exaone exaone4 gemma gemma2 gemma3_text gpt_neox llama mistral qwen2 qwen3 ";
constexpr std::string_view kWindows = "exaone4 gemma2 gemma3_text mistral qwen2 qwen3 ";
constexpr std::string_view kQwen = "qwen2 qwen3 ";

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
    {"hidden_act", used, "exaone4 gemma gpt_neox llama mistral qwen2 qwen3 "},
    {"hidden_activation", irrelevant, "gemma "},  // always the tanh form
    {"rms_norm_eps", used, "exaone4 gemma gemma2 gemma3_text llama mistral qwen2 qwen3 "},
    {"rope_parameters", used, kRotaryAndNeox},
    {"rope_scaling", used, kRotaryAndNeox},
    {"rope_theta", used, kRotary},
    {"partial_rotary_factor", used, kRotary},  // a value other than 1 is ignored with a warning, or refused
    {"original_max_position_embeddings", used, kRotaryAndNeox},
    {"attention_bias", used, "gemma gemma2 gemma3_text gpt_neox llama qwen3 "},
    {"mlp_bias", used, "llama "},
    {"sliding_window", used, kWindows},
    {"use_sliding_window", used, kQwen},
    {"max_window_layers", used, kQwen},
    {"layer_types", used, kWindows},
    {"sliding_window_pattern", used, "exaone4 gemma3_text "},
    {"num_layers", used, "exaone "},
    {"activation_function", used, "exaone gpt2 "},
    {"layer_norm_epsilon", used, "exaone gpt2 "},
    {"rotary_pct", used, "gpt_neox "},
    {"rotary_emb_base", used, "gpt_neox "},
    {"layer_norm_eps", used, "gpt_neox "},
    {"use_parallel_residual", used, "gpt_neox "},
    {"n_embd", used, "gpt2 "},
    {"n_layer", used, "gpt2 "},
    {"n_head", used, "gpt2 "},
    {"n_positions", used, "gpt2 "},
    {"n_inner", used, "gpt2 "},
    {"scale_attn_weights", used, "gpt2 "},
    {"scale_attn_by_inverse_layer_idx", used, "gpt2 "},
    {"query_pre_attn_scalar", used, "gemma2 gemma3_text "},
    {"attn_logit_softcapping", used, "gemma2 "},
    {"final_logit_softcapping", used, "gemma2 gemma3_text "},
    {"hidden_activation", used, "gemma2 gemma3_text "},
    {"rope_local_base_freq", used, "gemma3_text "},
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
    {"rope_interleaved", refused, "", "the rotation of halves of a head is"},
    {"use_mrope", refused, "", "one position for each token is"},
    {"quantization", refused, "", "weights that MLX has not quantized are"},
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
    {"hidden_act", irrelevant, "gemma2 gemma3_text "},
    {"cache_implementation", irrelevant, "gemma2 gemma3_text "},
    {"attn_logit_softcapping", irrelevant, "gemma3_text "},
    {"_sliding_window_pattern", irrelevant, "gemma3_text "},
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
