// The tokens come from the opened tokenizer, merges and steps from its document, and scores from tokenizer.model where there is
// one.
#include "src/tokenizer/gguf_vocabulary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <variant>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/io/file.h"
#include "src/io/gguf_pre_tokenizer.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/tokenizer_document.h"
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

enum TokenType : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

constexpr float kListedScore = -1000.0F;  // of tokens that files list, as the converter has it
constexpr float kHoleScore = -10000.0F;

/// The parts of a folder's tokenizer.
struct Source {
  fs::path file;
  std::string class_name;
  TokenizerDocument document;               // in tokenizer.json's form
  std::optional<SentencePieceFile> pieces;  // tokenizer.model, also where tokenizer.json is what counts
  std::set<std::string> listed;             // tokens that a file lists as added
};

Source read_source(const fs::path& folder) {
  std::vector<std::string> ignored;
  const FolderFiles files = read_folder_files(folder, find_vocabulary(folder).value());
  const TokenizerClass& tokenizer_class = choose_tokenizer_class(files, ignored);
  VocabularyFile vocabulary = read_vocabulary_file(files, tokenizer_class);
  FolderTokens tokens = collect_folder_tokens(files, tokenizer_class, vocabulary.added, vocabulary.pad, ignored);
  Source out{files.vocabulary_file(), std::string(tokenizer_class.name), {}, vocabulary.pieces, {}};
  if (vocabulary.pieces) {
    add_tokens_of_pieces(*vocabulary.pieces, files, tokenizer_class, tokens, ignored);
  }
  const bool unigram = vocabulary.document.lists.vocab_shape == ModelLists::Shape::list;
  if (needs_sentencepiece(vocabulary, tokenizer_class) || unigram) {
    throw Error(ExitCode::model, out.file.string() +
                                     " is no BPE, or has a table of normal forms, which this program does not "
                                     "write to GGUF files; use llama.cpp's converter on the merged folder");
  }
  out.document = make_tokenizer_document(vocabulary, files, tokenizer_class, tokens, ignored);
  if (const fs::path model = folder / "tokenizer.model"; !out.pieces && !files.gguf && fs::exists(model)) {
    try {
      out.pieces = read_sentencepiece_file(read_text_file(model, ExitCode::model));
    } catch (const std::runtime_error&) {
      // Llama 3's tokenizer.model is another format; tokenizer.json counts.
    }
  }
  for (const ListedToken& token : tokens.listed) {
    if (!out.pieces ||
        token.location != "added_tokens of tokenizer.json") {  // beside tokenizer.model the converter ignores those
      out.listed.insert(token.token.content);
    }
  }
  return out;
}

/// Steps without what does not affect ids, for comparison.
json plain_steps(const json& component, const char* list, const JsonLocation& location) {
  json out = json::array();
  for (json step : steps_of(component, list, location)) {
    step.erase("trim_offsets");
    if (step["type"] == "Split") {
      // What the pattern matches is kept and the rest removed, of which these patterns leave nothing: the same cuts.
      const bool inverted = step.value("invert", false) && step.value("behavior", "") == "Removed";
      step["invert"] = inverted ? false : step.value("invert", false);
      step["behavior"] = inverted ? "Isolated" : step.value("behavior", "");
    }
    if (step["type"] == "ByteLevel") {
      step["use_regex"] = bool_member(step, "use_regex", true, location);
      step["add_prefix_space"] = bool_member(step, "add_prefix_space", true, location);
    }
    out.push_back(std::move(step));
  }
  return out;
}

bool is_byte_level(const Source& source) {
  const json steps =
      plain_steps(member(source.document.rest, "pre_tokenizer", {source.file, ""}), "pretokenizers", {source.file, ""});
  return std::ranges::any_of(steps, [](const json& step) { return step["type"] == "ByteLevel"; });
}

/// The name of the folder's pre-tokenizer: its steps are those of a known one.
std::string pre_tokenizer_name(const Source& source, std::string_view model_type) {
  const JsonLocation location{source.file, ""};
  const auto steps = [&](const json& pre, const json& normalizer) {
    return json::array({plain_steps(pre, "pretokenizers", location), plain_steps(normalizer, "normalizers", location)});
  };
  const json own =
      steps(member(source.document.rest, "pre_tokenizer", location), member(source.document.rest, "normalizer", location));
  const bool ignores_merges =
      bool_member(member(source.document.rest, "model", location), "ignore_merges", false, location.at("model"));
  std::vector<std::string_view> names;
  std::string_view of_family = model_type;
  for (const GgufPreTokenizer& known : gguf_pre_tokenizers()) {
    if (known.name != "default" && known.ignores_merges == ignores_merges &&
        own == steps(steps_of(known), normalizer_of(known))) {
      names.push_back(known.name);
      of_family = known.model_type == model_type ? known.name : of_family;
    }
  }
  if (const auto same = std::ranges::find(names, of_family); same != names.end()) {
    return std::string(*same);
  }
  if (names.empty()) {
    std::vector<std::string_view> known;
    std::ranges::transform(gguf_pre_tokenizers(), std::back_inserter(known), &GgufPreTokenizer::name);
    throw Error(
        ExitCode::model,
        fmt::format("{}: the pre-tokenizer of {} ({}) has no name in GGUF files that this program knows ({}); export the "
                    "adapter alone, or merge and use llama.cpp's own converter",
                    source.file.string(), source.class_name, own[0].dump(-1, ' ', true).substr(0, 200), fmt::join(known, ", ")));
  }
  return std::string(names.front());
}

/// Tokens that are matched before anything else and look like marks, which the converter makes control tokens even if no file
/// says so.
bool looks_special(std::string_view token) {
  constexpr std::string_view kWideOpen = "<\xEF\xBD\x9C";
  constexpr std::string_view kWideClose = "\xEF\xBD\x9C>";
  return token == "<pad>" || token == "<mask>" || token == "<2mass>" || token == "[@BOS@]" ||
         (token.starts_with("<|") && token.ends_with("|>")) || (token.starts_with(kWideOpen) && token.ends_with(kWideClose)) ||
         (token.starts_with("<unused") && token.ends_with(">"));
}

std::string with_plain_spaces(std::string token) {
  for (std::size_t at = token.find(kUnderline); at != std::string::npos; at = token.find(kUnderline, at)) {
    token.replace(at, kUnderline.size(), " ");
  }
  return token;
}

struct Lists {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
};

bool is_byte_token(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') &&
         token.find_first_not_of("0123456789ABCDEFabcdef", 3) == 5;
}

Lists lists_of(const JsonTokenizer& tokenizer, const Source& source, std::optional<std::int32_t> unk, std::int64_t rows) {
  const bool of_bytes = is_byte_level(source);
  std::map<std::int32_t, const AddedToken*> added;
  for (const AddedToken& token : tokenizer.added.tokens) {
    added[token.id] = &token;
  }
  Lists out;
  for (std::int32_t id = 0; id < rows; ++id) {
    const std::optional<std::string_view> text = token_text(tokenizer, id);
    std::string token = text ? std::string(*text) : fmt::format("[PAD{}]", id);
    const auto found = added.find(id);
    TokenType type = !text ? unused : !of_bytes && is_byte_token(token) ? byte : normal;
    if (!of_bytes && unk == id && !source.listed.contains(token)) {
      type = unknown;
    } else if (found != added.end()) {
      type = found->second->special || looks_special(token) ? control : user_defined;
      token = type == user_defined ? with_plain_spaces(token) : token;
    }
    out.tokens.push_back(std::move(token));
    out.types.push_back(type);
  }
  return out;
}

/// Gemma 3's smaller models have a token of images without a row, which the converter leaves out.
void check_size(const Source& source, const Tokenizer& tokenizer, std::int64_t rows, std::string_view model_type) {
  if (tokenizer.vocab_size > rows && model_type != "gemma3_text") {
    std::int32_t first = static_cast<std::int32_t>(rows);
    while (first < tokenizer.vocab_size - 1 && !has_token(tokenizer, first)) {
      ++first;
    }
    throw Error(ExitCode::model,
                fmt::format("{}: token {} ({}) has no row in the embedding of {} rows, and a GGUF file has a row for each token; "
                            "take it out of the tokenizer's files, or give the model that was trained with it",
                            source.file.string(), first, token_text(tokenizer, first), rows));
  }
}

std::string with_alphabet_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c == ' ' ? std::string("\xC4\xA0") : std::string(1, c);
  }
  return out;
}

/// "a b"; spaces in a piece become what GPT-2's alphabet has for a space.
std::vector<std::string> merges_of(const Source& source) {
  const MergeTexts& merges = source.document.lists.merges;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    out.push_back(with_alphabet_spaces(merges.left(i)) + " " + with_alphabet_spaces(merges.right(i)));
  }
  return out;
}

/// The rank of the first merge that makes a piece, negated: what joins first has the best score.
std::vector<float> scores_of_merges(const Source& source, const Lists& lists) {
  std::map<std::string, float, std::less<>> made;
  float rank = 0.0F;
  for (const std::string& merge : merges_of(source)) {
    const std::size_t space = merge.find(' ');
    if (made.emplace(merge.substr(0, space) + merge.substr(space + 1), -rank).second) {
      rank += 1.0F;
    }
  }
  std::vector<float> out;
  for (std::size_t id = 0; id < lists.tokens.size(); ++id) {
    const auto found = made.find(lists.tokens[id]);
    out.push_back(found != made.end() ? found->second : lists.types[id] == normal ? -rank : 0.0F);
  }
  return out;
}

/// Those of tokenizer.model where it is that of these tokens, else in the order of the merges.
std::vector<float> scores_of(const Source& source, const Lists& lists) {
  const auto same = [&](std::size_t id) {
    return lists.types[id] != normal || source.pieces->pieces[id].text == lists.tokens[id];
  };
  bool from_pieces = source.pieces && source.pieces->is_bpe && source.pieces->pieces.size() <= lists.tokens.size();
  for (std::size_t id = 0; from_pieces && id < source.pieces->pieces.size(); ++id) {
    from_pieces = same(id);
  }
  std::vector<float> out = from_pieces ? std::vector<float>(lists.tokens.size(), kHoleScore) : scores_of_merges(source, lists);
  for (std::size_t id = 0; from_pieces && id < source.pieces->pieces.size(); ++id) {
    out[id] = source.pieces->pieces[id].score;
  }
  for (std::size_t id = 0; id < out.size(); ++id) {
    if (source.listed.contains(lists.tokens[id]) || lists.types[id] == user_defined) {
      out[id] = kListedScore;
    } else if (lists.types[id] == unused) {
      out[id] = kHoleScore;
    }
  }
  return out;
}

/// True if a token stands before (or after) each text. It must be `token`, which it becomes if no file names one.
bool take_affix(const std::vector<std::int32_t>& ids, std::optional<std::int32_t>& token, const char* name,
                const Source& source) {
  if (ids.size() == 1 && !token) {
    token = ids[0];
  }
  if (!ids.empty() && (ids.size() > 1 || ids[0] != *token)) {
    throw Error(ExitCode::model, fmt::format("{}: the tokens {} stand around each text, and a GGUF file can only say whether {} "
                                             "does; use a tokenizer that adds no others",
                                             source.file.string(), fmt::join(ids, ", "), name));
  }
  return !ids.empty();
}

constexpr std::array<const char*, 3> kEnds = {"eos", "eot", "eom"};

std::string id_key(const char* name) { return fmt::format("tokenizer.ggml.{}_token_id", name); }

/// BOS, EOS and the other ends of an answer (stop_ids_left_out() names those that have no place).
void add_special_ids(const Tokenizer& tokenizer, std::span<const std::int64_t> stop_ids, std::int64_t rows,
                     std::vector<GgufKey>& keys) {
  const auto put = [&](const char* name, std::int64_t id) { keys.push_back({id_key(name), static_cast<std::uint32_t>(id)}); };
  if (tokenizer.bos) {
    put("bos", *tokenizer.bos);
  }
  std::vector<std::int64_t> ends;
  if (tokenizer.eos) {
    ends.push_back(*tokenizer.eos);
  }
  for (const std::int64_t id : stop_ids) {
    if (id >= 0 && id < rows && std::ranges::find(ends, id) == ends.end()) {
      ends.push_back(id);
    }
  }
  for (std::size_t i = 0; i < std::min(ends.size(), kEnds.size()); ++i) {
    put(kEnds[i], ends[i]);
  }
  if (tokenizer.unk) {
    put("unknown", *tokenizer.unk);
  }
  if (tokenizer.pad) {
    put("padding", *tokenizer.pad);
  }
}

}  // namespace

std::vector<std::int64_t> stop_ids_left_out(std::span<const GgufKey> keys, std::span<const std::int64_t> stop_ids) {
  std::set<std::int64_t> written;
  for (const char* end : kEnds) {
    for (const GgufKey& key : keys) {
      if (const auto* id = std::get_if<std::uint32_t>(&key.value); id != nullptr && key.name == id_key(end)) {
        written.insert(*id);
      }
    }
  }
  std::vector<std::int64_t> out;
  for (const std::int64_t id : stop_ids) {
    if (written.insert(id).second) {
      out.push_back(id);
    }
  }
  return out;
}

std::vector<GgufKey> gguf_vocabulary(const fs::path& folder, std::string_view model_type, std::int64_t rows,
                                     std::span<const std::int64_t> stop_ids) {
  if (!has_tokenizer(folder)) {
    return {{"tokenizer.ggml.model", std::string("none")}};
  }
  const Source source = read_source(folder);
  Tokenizer tokenizer = open_tokenizer(folder);
  check_size(source, tokenizer, rows, model_type);
  const bool of_bytes = is_byte_level(source);
  const Lists lists = lists_of(std::get<JsonTokenizer>(tokenizer.kind), source, tokenizer.unk, rows);
  std::vector<GgufKey> keys = {{"tokenizer.ggml.model", std::string(of_bytes ? "gpt2" : "llama")},
                               {"tokenizer.ggml.pre", of_bytes ? pre_tokenizer_name(source, model_type) : "default"},
                               {"tokenizer.ggml.tokens", lists.tokens}};
  if (!of_bytes) {
    keys.push_back({"tokenizer.ggml.scores", scores_of(source, lists)});
  }
  keys.push_back({"tokenizer.ggml.token_type", lists.types});
  if (of_bytes) {
    keys.push_back({"tokenizer.ggml.merges", merges_of(source)});
  }
  const bool adds_bos = take_affix(tokenizer.prefix, tokenizer.bos, "BOS", source);
  const bool adds_eos = take_affix(tokenizer.suffix, tokenizer.eos, "EOS", source);
  add_special_ids(tokenizer, stop_ids, rows, keys);
  keys.push_back({"tokenizer.ggml.add_bos_token", adds_bos});
  keys.push_back({"tokenizer.ggml.add_eos_token", adds_eos});
  if (!of_bytes) {
    const std::vector<std::int32_t> letter = encode(tokenizer, "a", false);
    keys.push_back(
        {"tokenizer.ggml.add_space_prefix", !letter.empty() && token_text(tokenizer, letter[0]).starts_with(kUnderline)});
  }
  return keys;
}

}  // namespace lora_dist
