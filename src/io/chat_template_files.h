// The chat template files of a model folder, apart from tokenizer_config.json.
#pragma once

#include <filesystem>
#include <vector>

namespace lora_dist {

/// chat_template.jinja, if it exists, and additional_chat_templates/<name>.jinja, sorted by name.
std::vector<std::filesystem::path> chat_template_files(const std::filesystem::path& model_folder);

}  // namespace lora_dist
