// Chooses the file of a model folder and puts the special tokens' ids together.
#include "src/tokenizer/tokenizer.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/tokenizer/tokenizer_config.h"
#include "src/tokenizer/tokenizer_json.h"
#include "src/tokenizer/utf8.h"
#include "src/tokenizer/vocabulary_files.h"

namespace lora_dist {
namespace {

/// The id of a named token; the first of `fallbacks` that exists where the configuration names none. A name that is no token is
/// an error for BOS and EOS. Python would add such an unk or pad to the vocabulary; nothing here needs one.
std::optional<std::int32_t> special_id(const Tokenizer& tokenizer, const std::optional<std::string>& name, const char* key,
                                       std::initializer_list<const char*> fallbacks, bool needed) {
  if (!name) {
    for (const char* fallback : fallbacks) {
      if (const auto id = token_id(tokenizer, fallback)) {
        return id;
      }
    }
    return std::nullopt;
  }
  const auto id = token_id(tokenizer, *name);
  if (!id && needed) {
    throw Error(ExitCode::model, (tokenizer.file.parent_path() / "tokenizer_config.json").string() + ": " + key + " \"" +
                                     name->substr(0, 100) + "\" is not a token of " + tokenizer.file.filename().string());
  }
  return id;
}

/// add_bos_token and add_eos_token, where the configuration has them, rule over the file's own template.
void set_affixes(Tokenizer& tokenizer, const TokenizerConfig& config) {
  const auto* from_json = std::get_if<JsonTokenizer>(&tokenizer.kind);
  const auto set = [&](std::vector<std::int32_t>& affix, std::optional<bool> wanted, bool otherwise,
                       const std::optional<std::int32_t>& id, const char* key) {
    if (from_json != nullptr && !wanted) {
      return;
    }
    affix.clear();
    if (!wanted.value_or(otherwise)) {
      return;
    }
    if (id) {
      affix.push_back(*id);
    } else if (wanted) {
      throw Error(ExitCode::model, (tokenizer.file.parent_path() / "tokenizer_config.json").string() + ": " + key +
                                       " is true, but there is no such token");
    }
  };
  if (from_json != nullptr) {
    tokenizer.prefix = from_json->prefix;
    tokenizer.suffix = from_json->suffix;
  }
  set(tokenizer.prefix, config.add_bos, true, tokenizer.bos, "add_bos_token");
  set(tokenizer.suffix, config.add_eos, false, tokenizer.eos, "add_eos_token");
}

std::vector<std::int32_t> plain_ids(const Tokenizer& tokenizer, std::string_view text, bool continuation) {
  const auto ids = [&](std::string_view utf8) {
    return std::visit([&](const auto& kind) { return encode(kind, utf8, continuation); }, tokenizer.kind);
  };
  return is_utf8(text) ? ids(text) : ids(to_utf8(text));
}

}  // namespace

bool has_tokenizer(const std::filesystem::path& model_folder) {
  return std::filesystem::exists(model_folder / "tokenizer.json") || std::filesystem::exists(model_folder / "tokenizer.model") ||
         has_vocabulary_files(model_folder);
}

Tokenizer open_tokenizer(const std::filesystem::path& model_folder) {
  if (!has_tokenizer(model_folder)) {
    throw Error(ExitCode::model,
                model_folder.string() +
                    " has no tokenizer.json and no tokenizer.model, nor vocab.json with merges.txt; copy one into "
                    "it, or give all data as input_ids");
  }
  const TokenizerConfig config = read_tokenizer_config(model_folder);
  Tokenizer out;
  out.has_chat_template = config.has_chat_template;
  out.file = model_folder / "tokenizer.json";
  if (std::filesystem::exists(out.file)) {
    out.kind = read_tokenizer_json(out.file);
  } else if (has_vocabulary_files(model_folder)) {
    out.file = model_folder / "vocab.json";
    out.kind = read_tokenizer_document(read_vocabulary_files(model_folder, config), out.file);
  } else {
    out.file = model_folder / "tokenizer.model";
    out.kind = read_tokenizer_model(out.file, config.added, config.legacy);
  }
  out.vocab_size = std::visit([](const auto& kind) { return kind.largest_id; }, out.kind) + 1;
  out.bos = special_id(out, config.bos, "bos_token", {"<s>"}, true);
  out.eos = special_id(out, config.eos, "eos_token", {"</s>", "<|endoftext|>", "<|end_of_text|>"}, true);
  out.unk = special_id(out, config.unk, "unk_token", {"<unk>"}, false);
  out.pad = special_id(out, config.pad, "pad_token", {"<pad>"}, false);
  set_affixes(out, config);
  return out;
}

std::vector<std::int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool add_special) {
  std::vector<std::int32_t> ids = plain_ids(tokenizer, text, false);
  if (add_special) {
    ids.insert(ids.begin(), tokenizer.prefix.begin(), tokenizer.prefix.end());
    ids.insert(ids.end(), tokenizer.suffix.begin(), tokenizer.suffix.end());
  }
  return ids;
}

std::vector<std::int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> ids = plain_ids(tokenizer, text, false);
  const std::size_t n = tokenizer.prefix.size();
  if (ids.size() < n || !std::equal(tokenizer.prefix.begin(), tokenizer.prefix.end(), ids.begin())) {
    ids.insert(ids.begin(), tokenizer.prefix.begin(), tokenizer.prefix.end());
  }
  return ids;
}

std::vector<std::int32_t> encode_continuation(const Tokenizer& tokenizer, std::string_view text) {
  return plain_ids(tokenizer, text, true);
}

std::string decode(const Tokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special) {
  return std::visit([&](const auto& kind) { return decode(kind, ids, skip_special); }, tokenizer.kind);
}

std::string token_text(const Tokenizer& tokenizer, std::int32_t id) {
  return std::visit(
      [&](const auto& kind) {
        const auto text = token_text(kind, id);
        return text ? std::string(*text) : "<id " + std::to_string(id) + ">";
      },
      tokenizer.kind);
}

std::optional<std::int32_t> token_id(const Tokenizer& tokenizer, std::string_view token) {
  return std::visit([&](const auto& kind) { return token_id(kind, token); }, tokenizer.kind);
}

}  // namespace lora_dist
