// Computes the key, and verifies every bit of a cached file.
#include "src/data/token_cache.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "src/chat_template/template_date.h"
#include "src/core/error.h"
#include "src/data/data_text.h"
#include "src/data/dataset.h"
#include "src/io/chat_template_files.h"
#include "src/io/file.h"
#include "src/io/gguf_model.h"
#include "src/io/sha256.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

/// Increase it with every change of tokenization.
constexpr std::int64_t kTokenizing = 4;

constexpr std::array<const char*, 8> kTokenizerFiles = {
    "tokenizer.json",        "tokenizer.model",         "vocab.json", "merges.txt", "added_tokens.json",
    "tokenizer_config.json", "special_tokens_map.json", "config.json"};  // model_type chooses a tokenizer class

/// An unambiguous digest of named parts.
struct KeyDigest {
  Sha256 digest;

  void add(std::string_view name, std::string_view value) {
    for (const std::string_view part : {name, value}) {
      const std::string size = std::to_string(part.size()) + ":";
      digest.update(std::as_bytes(std::span(size)));
      digest.update(std::as_bytes(std::span(part)));
    }
  }
};

/// The files that say what the tokenizer is: name and content.
std::vector<std::pair<std::string, std::string>> tokenizer_files(const Tokenizer& tokenizer) {
  if (has_gguf_ending(tokenizer.file)) {
    const auto files = gguf_folder_files(tokenizer.file);
    return {files.begin(), files.end()};
  }
  const fs::path folder = tokenizer.file.parent_path();
  std::vector<fs::path> files(kTokenizerFiles.begin(), kTokenizerFiles.end());
  for (const fs::path& file : chat_template_files(folder)) {
    files.push_back(file.lexically_relative(folder));
  }
  std::vector<std::pair<std::string, std::string>> out;
  for (const fs::path& name : files) {
    std::error_code ignored;
    if (fs::exists(folder / name, ignored)) {
      out.emplace_back(name.string(), read_text_file(folder / name, ExitCode::model));
    }
  }
  return out;
}

void add_tokenizer(KeyDigest& key, const Tokenizer& tokenizer, const std::string& day) {
  bool asks_for_day = false;
  for (const auto& [name, content] : tokenizer_files(tokenizer)) {
    key.add(name, content);
    asks_for_day = asks_for_day || asks_for_date(content);
  }
  if (asks_for_day) {
    key.add("day", day);
  }
}

}  // namespace

std::string token_cache_key(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size) {
  KeyDigest key;
  key.add("tokenizing", std::to_string(kTokenizing));
  for (const auto* files : {&options.train, &options.validation}) {
    key.add("files", std::to_string(files->size()));
    for (const fs::path& file : *files) {
      key.add(name_of_content(file).extension().string(), sha256_of_file(file, ExitCode::data));
    }
  }
  key.add("format", word_of(kRowKinds, options.format));
  key.add("template", word_of(kRowTemplates, options.row_template));
  key.add("train_on", word_of(kTrainOn, options.train_on));
  key.add("max_length", std::to_string(options.max_length));
  key.add("overlong", word_of(kOverlong, options.overlong));
  key.add("bad_rows", word_of(kBadRows, options.bad_rows));
  key.add("vocab_size", std::to_string(vocab_size));
  if (tokenizer != nullptr) {
    add_tokenizer(key, *tokenizer, day_of_templates(options));
  }
  return key.digest.hex();
}

fs::path token_cache_file(const fs::path& folder, const std::string& key) { return folder / (key.substr(0, 32) + ".tokens"); }

CachedTokens open_token_cache(const fs::path& file, const std::string& key) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    return {};
  }
  CachedTokens out;
  const auto refuse = [&](const std::string& reason) {
    out.store.reset();
    out.problem = "the token cache " + file.string() + " is not used: " + reason;
  };
  try {
    out.store = MappedFile(file, ExitCode::data);
    const std::span<const std::byte> bytes = bytes_of(*out.store);
    if (read_token_image(bytes).key != key) {
      refuse("it belongs to other data or settings");
    } else if (!has_right_digest(bytes)) {
      refuse("its content is not what was written");
    }
  } catch (const Error& e) {
    refuse(e.what());
  }
  return out;
}

void write_token_cache(const fs::path& file, std::span<const std::byte> image) {
  make_output_directory(file.parent_path(), "data.cache_dir");
  write_file_atomically(file, {reinterpret_cast<const char*>(image.data()), image.size()}, ExitCode::data);
}

}  // namespace lora_dist
