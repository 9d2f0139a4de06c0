// Reads the files; folder_tokens.cpp, tokenizer_class.cpp and special_affixes.cpp interpret the keys.
#include "src/tokenizer/folder_files.h"

#include "src/io/chat_template_files.h"
#include "src/io/gguf_model.h"
#include "src/io/strict_json.h"
#include "src/tokenizer/json_fields.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// Null if the file is absent.
ordered_json read_object(const fs::path& file) {
  if (!fs::exists(file)) {
    return nullptr;
  }
  ordered_json document = read_ordered_json_file(file, ExitCode::model);
  if (!document.is_object()) {
    fail({file, ""}, "must be an object");
  }
  return document;
}

std::string text_or_nothing(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

fs::path FolderFiles::vocabulary_file() const {
  return gguf ? *gguf
              : folder / (source == VocabularySource::tokenizer_json    ? "tokenizer.json"
                          : source == VocabularySource::tokenizer_model ? "tokenizer.model"
                                                                        : "vocab.json");
}

std::optional<VocabularySource> find_vocabulary(const fs::path& folder) {
  if (const std::optional<fs::path> gguf = find_gguf(folder)) {
    return has_gguf_tokenizer(read_gguf(*gguf)) ? std::optional(VocabularySource::tokenizer_json) : std::nullopt;
  }
  if (fs::exists(folder / "tokenizer.json")) {
    return VocabularySource::tokenizer_json;
  }
  if (fs::exists(folder / "tokenizer.model")) {
    return VocabularySource::tokenizer_model;
  }
  if (fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt")) {
    return VocabularySource::vocab_and_merges;
  }
  return std::nullopt;
}

FolderFiles read_folder_files(const fs::path& folder, VocabularySource source, const fs::path& model_folder) {
  FolderFiles out;
  out.folder = folder;
  out.source = source;
  if (out.gguf = find_gguf(folder); out.gguf) {
    const GgufFile file = read_gguf(*out.gguf);
    out.has_config = true;
    out.config = gguf_tokenizer_config(file);
    out.has_chat_template = out.config.contains("chat_template");
    out.model_type = text_or_nothing(gguf_config(file), "model_type");
    return out;
  }
  if (ordered_json config = read_object(out.config_file()); !config.is_null()) {
    out.has_config = true;
    out.config = std::move(config);
  }
  out.special_map = read_object(out.map_file());
  out.added_tokens = read_object(out.added_file());
  out.has_chat_template =
      !member(out.config, "chat_template", {out.config_file(), ""}).is_null() || !chat_template_files(folder).empty();
  if (const ordered_json model = read_object((model_folder.empty() ? folder : model_folder) / "config.json"); !model.is_null()) {
    out.model_type = text_or_nothing(model, "model_type");
    out.model_tokenizer_class = text_or_nothing(model, "tokenizer_class");
  }
  return out;
}

std::optional<bool> config_flag(const FolderFiles& files, const char* key) {
  const JsonLocation location{files.config_file(), ""};
  if (member(files.config, key, location).is_null()) {
    return std::nullopt;
  }
  return bool_member(files.config, key, false, location);
}

}  // namespace lora_dist
