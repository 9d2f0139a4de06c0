// tokenizer.json and tokenizer_config.json from the lists of a GGUF file (contract: llama.cpp, src/llama-vocab.cpp).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <tuple>
#include <unordered_set>

#include "src/core/utf8.h"
#include "src/io/gguf_architecture.h"
#include "src/io/gguf_model.h"
#include "src/io/gguf_pre_tokenizer.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kUnderline = "\xE2\x96\x81";  // how a space stands in sentencepiece's vocabularies

enum TokenType : std::int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// The lists, which must be equally long.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int64_t> types;
  bool is_sentencepiece = false;
  bool is_gemma = false;

  bool is(std::size_t id, TokenType type) const { return types[id] == type; }
};

/// Gemma's tokens of several spaces: files hold them with plain spaces, as user-defined; here they become normal pieces of ▁.
void respell_spaces(Vocabulary& vocabulary) {
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    std::string& token = vocabulary.tokens[id];
    if (!token.empty() && token.find_first_not_of(' ') == std::string::npos) {
      std::string spaces;
      for (std::size_t i = 0; i < token.size(); ++i) {
        spaces += kUnderline;
      }
      token = std::move(spaces);
      vocabulary.types[id] = normal;
    }
  }
}

/// Cutting a piece into two takes time with the square of its length. The limit is this program's.
void check_lengths(const GgufFile& file, const std::vector<std::string>& tokens) {
  constexpr std::size_t kMostBytes = 65536;
  const auto longer = std::ranges::find_if(tokens, [](const std::string& token) { return token.size() > kMostBytes; });
  if (longer != tokens.end()) {
    file.fail(fmt::format("token {} has {} bytes; at most {} are read", std::distance(tokens.begin(), longer), longer->size(),
                          kMostBytes));
  }
}

Vocabulary vocabulary_of(const GgufFile& file) {
  const std::vector<std::string>* tokens = file.texts("tokenizer.ggml.tokens");
  if (tokens == nullptr) {
    file.fail("key tokenizer.ggml.tokens is missing; convert the model again");
  }
  check_lengths(file, *tokens);
  const std::string* model = file.text("tokenizer.ggml.model");
  if (model == nullptr || (*model != "gpt2" && *model != "llama")) {
    file.fail(
        fmt::format("tokenizer.ggml.model is {}, and only gpt2 and llama (BPE of bytes, and sentencepiece's BPE) are supported; "
                    "take a model with one of these",
                    model == nullptr ? "missing" : "\"" + shown_gguf_text(*model) + "\""));
  }
  Vocabulary out{*tokens, {}, *model == "llama"};
  out.is_gemma = out.is_sentencepiece && architecture_of(file).model_type.starts_with("gemma");
  const std::vector<std::int64_t>* types = file.integers("tokenizer.ggml.token_type");
  out.types = types != nullptr ? *types : std::vector<std::int64_t>(out.tokens.size(), normal);
  if (out.types.size() != out.tokens.size()) {
    file.fail(fmt::format("tokenizer.ggml.token_type has {} entries for {} tokens; convert the model again", out.types.size(),
                          out.tokens.size()));
  }
  if (out.is_gemma) {
    respell_spaces(out);
  }
  if (const auto wrong = std::ranges::find_if(out.types, [](std::int64_t type) { return type < normal || type > byte; });
      wrong != out.types.end()) {
    file.fail(fmt::format("tokenizer.ggml.token_type has {}, and must be from 1 to 6; convert the model again", *wrong));
  }
  return out;
}

/// Throws unless all texts are UTF-8.
void check_utf8(const GgufFile& file, const char* key, const std::vector<std::string>& texts) {
  if (const auto wrong = std::ranges::find_if_not(texts, is_utf8); wrong != texts.end()) {
    file.fail(fmt::format("{} has text that is no UTF-8 (entry {}); convert the model again", key,
                          std::distance(texts.begin(), wrong)));
  }
}

std::optional<std::size_t> special_id(const GgufFile& file, const std::string& name, const Vocabulary& vocabulary) {
  const std::string key = "tokenizer.ggml." + name + "_token_id";
  const std::optional<std::int64_t> id = file.integer(key);
  if (id && (*id < 0 || *id >= std::ssize(vocabulary.tokens))) {
    file.fail(fmt::format("{} is {}, outside the vocabulary of {}; convert the model again", key, *id, vocabulary.tokens.size()));
  }
  return id ? std::optional(static_cast<std::size_t>(*id)) : std::nullopt;
}

bool adds_bos(const GgufFile& file, const Vocabulary& vocabulary) {
  return file.flag("tokenizer.ggml.add_bos_token").value_or(vocabulary.is_sentencepiece || pre_tokenizer_of(file).adds_bos);
}

/// Tokens found in a text before it is cut: control tokens, and those that a user defined.
json added_tokens(const GgufFile& file, const Vocabulary& vocabulary) {
  const auto unk = special_id(file, "unknown", vocabulary);
  json out = json::array();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const bool special = vocabulary.is(id, control) || vocabulary.is(id, unknown) || unk == id;
    if ((special || vocabulary.is(id, user_defined)) && !vocabulary.tokens[id].empty()) {
      out.push_back({{"id", id},
                     {"content", vocabulary.tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
    }
  }
  return out;
}

json vocab(const Vocabulary& vocabulary) {
  json out = json::object();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!vocabulary.is(id, unused)) {
      out[vocabulary.tokens[id]] = id;  // of two with one text the later one, as in transformers
    }
  }
  return out;
}

json byte_level_bpe(const GgufFile& file, const Vocabulary& vocabulary) {
  const GgufPreTokenizer& pre = pre_tokenizer_of(file);
  const std::vector<std::string>* merges = file.texts("tokenizer.ggml.merges");
  if (merges == nullptr) {
    file.fail("key tokenizer.ggml.merges is missing; convert the model again");
  }
  check_utf8(file, "tokenizer.ggml.merges", *merges);
  return {{"normalizer", normalizer_of(pre)},
          {"pre_tokenizer", steps_of(pre)},
          {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"model",
           {{"type", "BPE"},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", pre.ignores_merges},
            {"vocab", vocab(vocabulary)},
            {"merges", *merges}}}};
}

/// Bytes of the UTF-8 character that begins there.
std::size_t character_at(std::string_view text, std::size_t at) {
  std::size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    ++end;
  }
  return end - at;
}

/// How good each piece is: as its score says; but Gemma's pieces are joined in the order of their ids.
std::vector<double> scores_of(const GgufFile& file, const Vocabulary& vocabulary) {
  std::vector<double> out(vocabulary.tokens.size());
  if (vocabulary.is_gemma) {
    std::iota(out.rbegin(), out.rend(), 0.0);
    return out;
  }
  const std::vector<double>* scores = file.numbers("tokenizer.ggml.scores");
  if (scores == nullptr || scores->size() != out.size() ||
      !std::ranges::all_of(*scores, [](double score) { return std::isfinite(score); })) {
    file.fail(fmt::format("tokenizer.ggml.scores must be a finite number for each of the {} tokens; convert the model again",
                          out.size()));
  }
  return *scores;
}

/// A cut of a piece into two others.
struct Cut {
  double score = 0.0;
  std::size_t left = 0;  // characters
  std::size_t right = 0;
  std::size_t id = 0;
  std::size_t at = 0;  // bytes
};

std::vector<Cut> cuts_of(const Vocabulary& vocabulary, const std::vector<double>& scores) {
  const std::unordered_set<std::string_view> pieces(vocabulary.tokens.begin(), vocabulary.tokens.end());
  std::vector<Cut> out;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view piece = vocabulary.tokens[id];
    std::size_t characters = 0;
    for (std::size_t at = 0; at < piece.size(); at += character_at(piece, at)) {
      ++characters;
    }
    std::size_t left = 0;
    for (std::size_t at = 0; at < piece.size(); at += character_at(piece, at), ++left) {
      if (at > 0 && pieces.contains(piece.substr(0, at)) && pieces.contains(piece.substr(at))) {
        out.push_back({scores[id], left, characters - left, id, at});
      }
    }
  }
  return out;
}

/// The best piece first, then the cut with the longest left part (generate_merges of transformers 5.24.0).
json merges_by_score(const GgufFile& file, const Vocabulary& vocabulary) {
  std::vector<Cut> cuts = cuts_of(vocabulary, scores_of(file, vocabulary));
  std::ranges::stable_sort(
      cuts, [](const Cut& a, const Cut& b) { return std::tie(a.score, a.left, a.right) > std::tie(b.score, b.left, b.right); });
  json merges = json::array();
  for (const Cut& cut : cuts) {
    const std::string& piece = vocabulary.tokens[cut.id];
    merges.push_back(json::array({piece.substr(0, cut.at), piece.substr(cut.at)}));
  }
  return merges;
}

/// As LlamaTokenizer and GemmaTokenizer of transformers 5.24.0 are built: a space stands before the first word of a text, but for
/// Gemma.
json sentencepiece_bpe(const GgufFile& file, const Vocabulary& vocabulary) {
  const bool prefix = !vocabulary.is_gemma && file.flag("tokenizer.ggml.add_space_prefix").value_or(true);
  json decoders = json::array({{{"type", "Replace"}, {"pattern", {{"String", kUnderline}}}, {"content", " "}},
                               json{{"type", "ByteFallback"}},
                               json{{"type", "Fuse"}}});
  if (prefix) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  json model = {{"type", "BPE"},
                {"fuse_unk", true},
                {"byte_fallback", std::ranges::find(vocabulary.types, byte) != vocabulary.types.end()},
                {"ignore_merges", false}};
  if (const auto unk = special_id(file, "unknown", vocabulary)) {
    model["unk_token"] = vocabulary.tokens[*unk];
  }
  model["merges"] = merges_by_score(file, vocabulary);
  model["vocab"] = vocab(vocabulary);
  return {
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Metaspace"}, {"replacement", kUnderline}, {"prepend_scheme", prefix ? "first" : "never"}, {"split", false}}},
      {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
      {"model", model}};
}

/// BOS and EOS around a text, as the file's flags say.
json post_processor(const GgufFile& file, const Vocabulary& vocabulary) {
  json single = json::array();
  json special = json::object();
  const auto put = [&](const char* name, bool wanted) {
    const auto id = special_id(file, name, vocabulary);
    if (wanted && id) {
      const std::string& token = vocabulary.tokens[*id];
      single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
      special[token] = {{"id", token}, {"ids", json::array({*id})}, {"tokens", json::array({token})}};
    }
  };
  put("bos", adds_bos(file, vocabulary));
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  put("eos", file.flag("tokenizer.ggml.add_eos_token").value_or(false));
  json pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

/// A template, which must be UTF-8. Null: there is no such key.
const std::string* chat_template(const GgufFile& file, const std::string& key) {
  const std::string* text = file.text(key);
  if (text != nullptr && !is_utf8(*text)) {
    file.fail(shown_gguf_text(key) + " is no UTF-8; convert the model again");
  }
  return text;
}

/// One text, or a list of named ones where the file has more than the default.
ordered_json chat_templates(const GgufFile& file) {
  const std::string* plain = chat_template(file, "tokenizer.chat_template");
  const std::vector<std::string> none;
  const std::vector<std::string>* listed = file.texts("tokenizer.chat_templates");
  const std::vector<std::string>& names = listed == nullptr ? none : *listed;
  check_utf8(file, "tokenizer.chat_templates", names);
  ordered_json out = ordered_json::array();
  for (const std::string& name : names) {
    if (const std::string* text = chat_template(file, "tokenizer.chat_template." + name)) {
      out.push_back({{"name", name}, {"template", *text}});
    }
  }
  if (out.empty()) {
    return plain == nullptr ? ordered_json(nullptr) : ordered_json(*plain);
  }
  if (plain != nullptr) {
    out.insert(out.begin(), ordered_json{{"name", "default"}, {"template", *plain}});  // a bare list inserts its items
  }
  return out;
}

}  // namespace

bool has_gguf_tokenizer(const GgufFile& file) { return file.has("tokenizer.ggml.tokens"); }

json gguf_tokenizer(const GgufFile& file) {
  const Vocabulary vocabulary = vocabulary_of(file);
  check_utf8(file, "tokenizer.ggml.tokens", vocabulary.tokens);
  json out = {{"version", "1.0"}, {"added_tokens", added_tokens(file, vocabulary)}};
  out.update(vocabulary.is_sentencepiece ? sentencepiece_bpe(file, vocabulary) : byte_level_bpe(file, vocabulary));
  out["post_processor"] = post_processor(file, vocabulary);
  return out;
}

ordered_json gguf_tokenizer_config(const GgufFile& file) {
  const Vocabulary vocabulary = vocabulary_of(file);
  const char* own = vocabulary.is_sentencepiece ? nullptr : pre_tokenizer_of(file).tokenizer_class;
  ordered_json out = {{"tokenizer_class", own != nullptr ? own : "PreTrainedTokenizerFast"},
                      {"clean_up_tokenization_spaces", false}};
  constexpr std::array<std::pair<const char*, const char*>, 4> kNamed = {
      {{"bos", "bos_token"}, {"eos", "eos_token"}, {"unknown", "unk_token"}, {"padding", "pad_token"}}};
  for (const auto& [gguf_name, hf_name] : kNamed) {
    const auto id = special_id(file, gguf_name, vocabulary);
    out[hf_name] = id ? ordered_json(vocabulary.tokens[*id]) : ordered_json(nullptr);
  }
  if (ordered_json templates = chat_templates(file); !templates.is_null()) {
    out["chat_template"] = std::move(templates);
  }
  return out;
}

}  // namespace lora_dist
