// The pipelines of transformers 5.24.0's tokenizer classes (models/<name>/tokenization_<name>.py), in tokenizer.json's form.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

nlohmann::json llama_pipeline(const ClassArguments& arguments);
nlohmann::json code_llama_pipeline(const ClassArguments& arguments);
nlohmann::json gemma_pipeline(const ClassArguments& arguments);
nlohmann::json gpt2_pipeline(const ClassArguments& arguments);
nlohmann::json gpt_neox_pipeline(const ClassArguments& arguments);
nlohmann::json qwen2_pipeline(const ClassArguments& arguments);
nlohmann::json qwen3_5_pipeline(const ClassArguments& arguments);
nlohmann::json cohere_pipeline(const ClassArguments& arguments);

/// The normalizer, or decoder, that replaces `pattern` ({"String": ...} or {"Regex": ...}).
nlohmann::json replace_step(const nlohmann::json& pattern, std::string_view content);

}  // namespace lora_dist
