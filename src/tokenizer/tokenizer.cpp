// Chooses the vocabulary file of a model folder and collects the special tokens' ids.
#include "src/tokenizer/tokenizer.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/tokenizer/assign_token_ids.h"
#include "src/tokenizer/special_affixes.h"
#include "src/tokenizer/tokenizer_document.h"
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

std::optional<std::int32_t> special_id(const Tokenizer& tokenizer, const FolderTokens& tokens, const char* key) {
  const auto content = named_content(tokens, key);
  return content ? token_id(tokenizer, *content) : std::nullopt;
}

/// Fallback without a configured EOS: a well-known name, since texts are trained to end in EOS.
void guess_eos(Tokenizer& tokenizer, const FolderFiles& files) {
  for (const char* name : {"</s>", "<|endoftext|>", "<|end_of_text|>"}) {
    if (!tokenizer.eos && !mentions_token(files, "eos_token")) {
      tokenizer.eos = token_id(tokenizer, name);
    }
  }
}

ModelVocabulary vocabulary_of(const SentencePieceTokenizer& pieces) {
  return {piece_count(pieces), [&pieces](std::string_view content) { return piece_id(pieces, content); },
          [&pieces](std::int32_t id) { return piece_text(pieces, id); }};
}

/// Opens the model, its steps and all tokens.
void open_kind(Tokenizer& out, const FolderFiles& files, const TokenizerClass& tokenizer_class, VocabularyFile& vocabulary,
               FolderTokens& tokens) {
  const bool split_special = config_flag(files, "split_special_tokens").value_or(false);
  if (needs_sentencepiece(vocabulary, tokenizer_class)) {
    const bool legacy = class_arguments(files, tokenizer_class).legacy;
    const SentencePieceTokenizer bare = read_tokenizer_model(out.file, {}, legacy);
    const AddedVocabulary added = assign_token_ids(vocabulary_of(bare), {}, tokens, tokenizer_class, files, out.notes);
    out.model_size = piece_count(bare);
    SentencePieceTokenizer pieces = read_tokenizer_model(out.file, added.tokens(), legacy);
    pieces.added.split_special = split_special;
    if (split_special) {
      out.notes.emplace_back(
          "split_special_tokens: control tokens of tokenizer.model (<s>, </s>) that stand in a text are cut like other "
          "text; transformers 5 still finds them");
    }
    out.kind = std::move(pieces);
    return;
  }
  JsonTokenizer json =
      read_tokenizer_steps(make_tokenizer_document(vocabulary, files, tokenizer_class, tokens, out.notes), out.file);
  out.model_size = json.largest_id + 1;
  set_added_tokens(json, assign_token_ids(vocabulary_of(json), vocabulary.added, tokens, tokenizer_class, files, out.notes),
                   out.file);
  json.added.split_special = split_special;
  out.kind = std::move(json);
}

std::vector<std::int32_t> plain_ids(const Tokenizer& tokenizer, std::string_view text, bool continuation) {
  const auto ids = [&](std::string_view utf8) {
    return std::visit([&](const auto& kind) { return encode(kind, utf8, continuation); }, tokenizer.kind);
  };
  return is_utf8(text) ? ids(text) : ids(to_utf8(text));
}

}  // namespace

bool has_tokenizer(const std::filesystem::path& model_folder) { return find_vocabulary(model_folder).has_value(); }

Tokenizer open_tokenizer(const std::filesystem::path& folder, const std::filesystem::path& model) {
  const auto source = find_vocabulary(folder);
  if (!source) {
    throw Error(ExitCode::model,
                folder.string() +
                    " has no tokenizer.json and no tokenizer.model, nor vocab.json with merges.txt; copy one into "
                    "it, or give all data as input_ids");
  }
  const FolderFiles files = read_folder_files(folder, *source, model);
  Tokenizer out;
  out.has_chat_template = files.has_chat_template;
  out.file = files.vocabulary_file();
  const TokenizerClass& tokenizer_class = choose_tokenizer_class(files, out.notes);
  VocabularyFile vocabulary = read_vocabulary_file(files, tokenizer_class);
  FolderTokens tokens = collect_folder_tokens(files, tokenizer_class, vocabulary.added, vocabulary.pad, out.notes);
  if (vocabulary.pieces) {
    add_tokens_of_pieces(*vocabulary.pieces, files, tokenizer_class, tokens, out.notes);
  }
  const nlohmann::json& rest = vocabulary.document.rest;
  const bool has_template = rest.is_object() && rest.contains("post_processor") && !rest["post_processor"].is_null();
  open_kind(out, files, tokenizer_class, vocabulary, tokens);
  out.vocab_size = std::visit([](const auto& kind) { return kind.largest_id; }, out.kind) + 1;
  out.bos = special_id(out, tokens, "bos_token");
  out.eos = special_id(out, tokens, "eos_token");
  out.unk = special_id(out, tokens, "unk_token");
  out.pad = special_id(out, tokens, "pad_token");
  set_affixes(out, files, tokenizer_class, has_template);
  guess_eos(out, files);
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

bool has_token(const Tokenizer& tokenizer, std::int32_t id) {
  return std::visit([&](const auto& kind) { return token_text(kind, id).has_value(); }, tokenizer.kind);
}

std::optional<std::int32_t> token_id(const Tokenizer& tokenizer, std::string_view token) {
  return std::visit([&](const auto& kind) { return token_id(kind, token); }, tokenizer.kind);
}

}  // namespace lora_dist
