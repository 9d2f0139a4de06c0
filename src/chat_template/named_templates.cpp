// Reads the template files, else tokenizer_config.json.
#include "src/chat_template/named_templates.h"

#include "src/core/error.h"
#include "src/io/chat_template_files.h"
#include "src/io/file.h"
#include "src/io/gguf_model.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kDefault = "default";

bool is_text(const json& object, const char* key) { return object.contains(key) && object[key].is_string(); }

/// Templates of tokenizer_config.json; the last one of a name counts.
std::map<std::string, TemplateText> embedded_templates(const json& value, const fs::path& file) {
  if (value.is_string()) {
    return {{kDefault, {value.get<std::string>(), file, true}}};
  }
  std::map<std::string, TemplateText> out;
  bool fits = value.is_array();
  for (std::size_t i = 0; fits && i < value.size(); ++i) {
    const json& item = value[i];
    fits = item.is_object() && is_text(item, "name") && is_text(item, "template");
    if (fits) {
      out[item["name"].get<std::string>()] = {item["template"].get<std::string>(), file, true};
    }
  }
  if (!fits) {
    throw Error(ExitCode::model, file.string() + ": chat_template must be a text, or a list of {\"name\", \"template\"}");
  }
  return out;
}

}  // namespace

std::map<std::string, TemplateText> read_named_templates(const fs::path& model_folder) {
  std::map<std::string, TemplateText> out;
  if (const std::optional<fs::path> gguf = find_gguf(model_folder)) {
    const GgufFile file = read_gguf(*gguf);
    const json config = has_gguf_tokenizer(file) ? json(gguf_tokenizer_config(file)) : json::object();
    return config.contains("chat_template") ? embedded_templates(config["chat_template"], *gguf) : out;
  }
  for (const fs::path& file : chat_template_files(model_folder)) {
    const std::string name = file.parent_path() == model_folder ? kDefault : file.stem().string();
    out[name] = {read_text_file(file, ExitCode::model), file, false};
  }
  const fs::path config = model_folder / "tokenizer_config.json";
  if (!out.empty() || !fs::exists(config)) {
    return out;
  }
  const json document = read_json_file(config, ExitCode::model);
  const auto found = document.is_object() ? document.find("chat_template") : document.end();
  return found == document.end() || found->is_null() ? out : embedded_templates(*found, config);
}

}  // namespace lora_dist
