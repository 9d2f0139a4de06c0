// Reads a model folder's chat templates, by name (transformers' PreTrainedTokenizerBase.from_pretrained).
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace lora_dist {

struct TemplateText {
  std::string source;
  std::filesystem::path file;
  bool embedded = false;  // in tokenizer_config.json
};

/// Name -> template. An unnamed template is "default". If the folder has template files (chat_template.jinja: default;
/// additional_chat_templates/<name>.jinja), chat_template of tokenizer_config.json (a text, or a list of {"name", "template"}) is
/// ignored. Throws Error(model) for another type of chat_template, and for an unreadable file.
std::map<std::string, TemplateText> read_named_templates(const std::filesystem::path& model_folder);

}  // namespace lora_dist
