// Where a model folder keeps chat templates beside tokenizer_config.json.
#pragma once

#include <filesystem>
#include <vector>

namespace lora_dist {

/// chat_template.jinja, where it is there, and additional_chat_templates/<name>.jinja in the order of their names.
std::vector<std::filesystem::path> chat_template_files(const std::filesystem::path& model_folder);

}  // namespace lora_dist
