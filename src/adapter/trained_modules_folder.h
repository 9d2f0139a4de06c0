// Modules_to_save and trainable_token_indices in PEFT's folders: trained copies of embedding, head and norms, and rows.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/adapter/config_reader.h"
#include "src/adapter/peft_adapter.h"

namespace lora_dist {

/// Reads modules_to_save, ensure_weight_tying and trainable_token_indices. Throws Error(model) for values of another kind.
void read_trained_modules(const ConfigReader& file, PeftConfig& config);
/// The same keys as PEFT writes them.
nlohmann::ordered_json trained_module_keys(const PeftConfig& config);
/// The value of trainable_token_indices for a layout: a list of the embedding's, or lists by module.
std::map<std::string, std::vector<std::int64_t>> token_indices_of(const AdapterLayout& layout);

/// The name of a trained copy or of trained rows in memory: "lm_head.modules_to_save" of "base_model.model.lm_head.weight",
/// "model.embed_tokens.token_adapter.trainable_tokens_delta"; empty for other tensors.
std::string replaced_name(const PeftConfig& config, const std::string& name);
/// The name in the folder; empty if `name` is no trained copy and no trained rows.
std::string replaced_disk_name(const std::string& name);
/// The path of the table of which `name` is the base's copy beside trained rows or a trained copy ("lm_head" of
/// "base_model.model.lm_head.token_adapter.base_layer.weight"); empty for other tensors.
std::string copied_path(const std::string& name);

/// Brings the ids of tokens, and their rows, into rising order. Throws Error(model) if there are not as many rows as ids.
void sort_token_rows(PeftAdapter& adapter, const std::filesystem::path& file);

/// The rows that embedding and head need for a folder's trained tokens and copies; 0: it has none. Throws Error(model).
std::int64_t vocabulary_rows(const std::filesystem::path& folder);

/// Adds the trained copies and rows to the layout, and their names to `placed`. Throws Error(model) naming what the model or the
/// folder lacks, and a token without a row in the model's files or in the folder.
void place_replaced(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder, AdapterLayout& layout,
                    std::set<std::string>& placed);

}  // namespace lora_dist
