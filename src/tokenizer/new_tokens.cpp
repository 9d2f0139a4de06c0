// Changes tokenizer.json and tokenizer_config.json.
#include "src/tokenizer/new_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/gguf_model.h"
#include "src/io/strict_json.h"
#include "src/io/tokenizer_files.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kTokenizerFile = "tokenizer.json";
constexpr const char* kConfigFile = "tokenizer_config.json";

/// As transformers writes it: tokens that are not special also match after the normalizer.
ordered_json token_object(const NewToken& token) {
  return {{"content", token.content}, {"single_word", false},         {"lstrip", false},
          {"rstrip", false},          {"normalized", !token.special}, {"special", token.special}};
}

void write_json(const fs::path& file, const ordered_json& document) {
  write_file_atomically(file, document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n", ExitCode::model);
}

void add_to_tokenizer(const fs::path& file, const std::vector<NewToken>& tokens) {
  ordered_json document = read_ordered_json_file(file, ExitCode::model);
  if (!document.contains("added_tokens") || document["added_tokens"].is_null()) {
    document["added_tokens"] = ordered_json::array();
  }
  for (const NewToken& token : tokens) {
    ordered_json entry = {{"id", token.id}};
    entry.update(token_object(token));
    document["added_tokens"].push_back(std::move(entry));
  }
  write_json(file, document);
}

/// Tokens by id, which transformers 4 reads, and 5 too where there is no tokenizer.json.
void add_to_config(const fs::path& file, const std::vector<NewToken>& tokens, bool only_if_listed) {
  ordered_json document = fs::exists(file) ? read_ordered_json_file(file, ExitCode::model) : ordered_json::object();
  if (!document.contains("added_tokens_decoder") && only_if_listed) {
    return;
  }
  for (const NewToken& token : tokens) {
    document["added_tokens_decoder"][std::to_string(token.id)] = token_object(token);
  }
  write_json(file, document);
}

}  // namespace

NewTokens choose_new_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& tokens,
                            const std::vector<std::string>& special) {
  NewTokens chosen;
  std::set<std::string> seen;
  std::int32_t next = tokenizer.vocab_size;
  const auto add = [&](const std::string& key, const std::string& content, bool is_special) {
    if (content.empty()) {
      throw Error(ExitCode::usage, fmt::format("{} has an empty text; a token needs at least one character", key));
    }
    if (!seen.insert(content).second) {
      throw Error(ExitCode::usage,
                  fmt::format("{}: \"{}\" is given twice in tokenizer.add_tokens and add_special_tokens; give it "
                              "once",
                              key, content));
    }
    if (const auto id = token_id(tokenizer, content)) {
      chosen.notes.push_back(fmt::format("{}: \"{}\" is a token already (id {}), and stays as it is", key, content, *id));
      return;
    }
    chosen.tokens.push_back({content, next++, is_special});
  };
  for (const std::string& token : tokens) {
    add("tokenizer.add_tokens", token, false);
  }
  for (const std::string& token : special) {
    add("tokenizer.add_special_tokens", token, true);
  }
  return chosen;
}

void write_tokenizer_with(const fs::path& from, const fs::path& to, const std::vector<NewToken>& tokens) {
  if (find_gguf(from)) {
    throw Error(ExitCode::usage,
                fmt::format("tokenizer.add_tokens: {} is a GGUF file, whose tokenizer cannot be changed; give the "
                            "model as a Hugging Face folder",
                            from.string()));
  }
  std::error_code problem;
  fs::remove_all(to, problem);  // an earlier run's
  copy_tokenizer_files(from, to);
  const bool has_json = fs::exists(to / kTokenizerFile);
  if (has_json) {
    add_to_tokenizer(to / kTokenizerFile, tokens);
  }
  add_to_config(to / kConfigFile, tokens, has_json);
}

}  // namespace lora_dist
