// The chat templates that lie in a model folder, by name (transformers' PreTrainedTokenizerBase.from_pretrained).
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

/// Name -> template. A template without a name is "default". Where the folder has files of its own for them (chat_template.jinja
/// is the default one, additional_chat_templates/<name>.jinja the one of that name), those of tokenizer_config.json (a text, or a
/// list of {"name", "template"}) do not count. Throws Error(model) for a chat_template of tokenizer_config.json that is neither,
/// and for a file that cannot be read.
std::map<std::string, TemplateText> read_named_templates(const std::filesystem::path& model_folder);

}  // namespace lora_dist
