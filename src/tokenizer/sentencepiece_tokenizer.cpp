// The library encodes and decodes text between special tokens.
#include "src/tokenizer/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/io/file.h"
#include "src/tokenizer/normalizer.h"

namespace lora_dist {
namespace {

using sentencepiece::SentencePieceProcessor;

constexpr std::string_view kShield = "<unk>";

// ModelProto { normalizer_spec (field 3) { add_dummy_prefix (field 3) = false } }: appended to a serialized model, protobuf
// merges it into the model's own normalizer_spec.
constexpr char kNoDummySpace[] = "\x1a\x02\x18\x00";

std::shared_ptr<const SentencePieceProcessor> load(const std::string& bytes, const std::filesystem::path& file) {
  auto processor = std::make_shared<SentencePieceProcessor>();
  const auto status = bytes.empty() ? sentencepiece::util::Status(sentencepiece::util::StatusCode::kDataLoss, "it is empty")
                                    : processor->LoadFromSerializedProto(bytes);
  if (!status.ok() || processor->GetPieceSize() <= 0) {
    throw Error(ExitCode::model, file.string() + " is not a sentencepiece model (" + status.ToString().substr(0, 200) + ")");
  }
  return processor;
}

/// Lines of a token in base64, a space and its rank: "IQ== 0".
bool is_tiktoken_file(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, std::min<std::size_t>(bytes.find('\n'), 200));
  const std::size_t space = line.find(' ');
  const auto all_of = [](std::string_view text, std::string_view letters) {
    return !text.empty() && text.find_first_not_of(letters) == std::string_view::npos;
  };
  return space != std::string_view::npos && all_of(line.substr(space + 1), "0123456789") &&
         all_of(line.substr(0, space), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
}

std::vector<std::int32_t> ids_of(const SentencePieceProcessor& processor, std::string_view text) {
  std::vector<int> ids;
  if (const auto status = processor.Encode(text, &ids); !status.ok()) {
    throw Error(ExitCode::model, "sentencepiece could not encode a text: " + status.ToString().substr(0, 200));
  }
  return {ids.begin(), ids.end()};
}

/// The model's control tokens, its unknown token and configured tokens are special anywhere in a text.
std::vector<AddedToken> special_tokens(const SentencePieceProcessor& processor, const std::vector<AddedToken>& configured) {
  std::vector<AddedToken> out = configured;
  for (AddedToken& token : out) {
    token.normalized = false;  // matched in the original text; the library normalizes
  }
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const bool named = std::any_of(out.begin(), out.end(), [&](const AddedToken& token) { return token.id == id; });
    if (!named && (processor.IsControl(id) || processor.IsUnknown(id))) {
      out.push_back({.id = id, .content = processor.IdToPiece(id), .special = true});
    }
  }
  return out;
}

/// Ids of a text that is not at the start. The library would drop leading spaces, so, as in Hugging Face's LlamaTokenizer,
/// "<unk>" (ordinary characters to the library) is prepended and its ids are removed.
std::vector<std::int32_t> encode_as_it_stands(const SentencePieceTokenizer& tokenizer, std::string_view text) {
  if (!text.starts_with(' ') && !text.starts_with(kUnderline)) {
    return ids_of(*tokenizer.continuing, text);
  }
  std::vector<std::int32_t> ids = ids_of(*tokenizer.continuing, std::string(kShield) + std::string(text));
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), tokenizer.unk_length)));
  return ids;
}

bool is_piece(const SentencePieceTokenizer& tokenizer, std::int32_t id) {
  return id >= 0 && id < tokenizer.processor->GetPieceSize();
}

std::string decode_pieces(const SentencePieceTokenizer& tokenizer, const std::vector<int>& ids, bool at_start) {
  std::string out;
  // The library drops the first piece's space as a dummy space; later in a text the space is real.
  const auto& processor = at_start ? *tokenizer.processor : *tokenizer.continuing;
  if (const auto status = processor.Decode(ids, &out); !status.ok()) {
    throw Error(ExitCode::model, "sentencepiece could not decode ids: " + status.ToString().substr(0, 200));
  }
  return out;
}

}  // namespace

void check_tokenizer_model(const std::string& bytes, const std::filesystem::path& file) {
  if (is_tiktoken_file(bytes)) {
    throw Error(ExitCode::model, file.string() +
                                     " is a list of tokens for tiktoken, which holds neither the split pattern nor the special "
                                     "tokens; put the model's tokenizer.json beside it");
  }
  load(bytes, file);
}

SentencePieceTokenizer read_tokenizer_model(const std::filesystem::path& file, const std::vector<AddedToken>& added,
                                            bool legacy) {
  const std::string bytes = read_text_file(file, ExitCode::model);
  SentencePieceTokenizer out;
  out.processor = load(bytes, file);
  out.continuing = load(bytes + std::string(kNoDummySpace, 4), file);
  out.legacy = legacy;
  out.unk_length = ids_of(*out.continuing, kShield).size();
  out.added.tokens = special_tokens(*out.processor, added);
  index_added_tokens(out.added, [](std::string_view text) { return std::string(text); });
  out.largest_id = out.processor->GetPieceSize() - 1;
  for (const AddedToken& token : out.added.tokens) {
    out.largest_id = std::max(out.largest_id, token.id);
  }
  return out;
}

std::int32_t piece_count(const SentencePieceTokenizer& tokenizer) { return tokenizer.processor->GetPieceSize(); }

std::optional<std::int32_t> piece_id(const SentencePieceTokenizer& tokenizer, std::string_view piece) {
  const int id = tokenizer.processor->PieceToId(piece);
  return tokenizer.processor->IdToPiece(id) == piece ? std::optional(id) : std::nullopt;
}

std::optional<std::string> piece_text(const SentencePieceTokenizer& tokenizer, std::int32_t id) {
  return is_piece(tokenizer, id) ? std::optional(tokenizer.processor->IdToPiece(id)) : std::nullopt;
}

std::vector<std::int32_t> encode(const SentencePieceTokenizer& tokenizer, std::string_view text, bool continuation) {
  std::string whole(text);
  if (!tokenizer.legacy && !text.empty()) {  // adds the text's only dummy space
    whole = (continuation ? "" : std::string(kUnderline)) + replace_all(text, kUnderline, " ");
  }
  std::vector<std::int32_t> out;
  const std::vector<TextPart> parts = split_at_tokens(tokenizer.added, tokenizer.added.plain, whole);
  for (const TextPart& part : parts) {
    if (part.id) {
      out.push_back(*part.id);
      continue;
    }
    const std::string_view inner = std::string_view(whole).substr(part.begin, part.end - part.begin);
    const bool first = part.begin == 0;
    if (!tokenizer.legacy && !continuation && first && inner == kUnderline && parts.size() > 1 &&
        is_special(tokenizer, *parts[1].id)) {
      continue;  // no dummy space before a special token
    }
    const bool dummy_space = tokenizer.legacy && !(first && continuation);
    const auto ids = dummy_space ? ids_of(*tokenizer.processor, inner) : encode_as_it_stands(tokenizer, inner);
    out.insert(out.end(), ids.begin(), ids.end());
  }
  return out;
}

std::string decode(const SentencePieceTokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special) {
  std::string out;
  std::vector<int> pieces;
  bool at_start = true;
  const auto flush = [&] {
    if (!pieces.empty()) {
      out += decode_pieces(tokenizer, pieces, at_start);
      at_start = false;
      pieces.clear();
    }
  };
  for (const std::int32_t id : ids) {
    const auto added = tokenizer.added.by_id.find(id);
    if (added == tokenizer.added.by_id.end()) {
      if (is_piece(tokenizer, id)) {
        pieces.push_back(id);
      }
    } else if (const AddedToken& token = tokenizer.added.tokens[added->second]; !skip_special || !is_hidden(token)) {
      flush();
      out += token.content;
      at_start = tokenizer.legacy;
    }
  }
  flush();
  return out;
}

std::optional<std::string> token_text(const SentencePieceTokenizer& tokenizer, std::int32_t id) {
  if (const auto added = tokenizer.added.by_id.find(id); added != tokenizer.added.by_id.end()) {
    return tokenizer.added.tokens[added->second].content;
  }
  return piece_text(tokenizer, id);
}

std::optional<std::int32_t> token_id(const SentencePieceTokenizer& tokenizer, std::string_view token) {
  for (const AddedToken& added : tokenizer.added.tokens) {
    if (added.content == token) {
      return added.id;
    }
  }
  return piece_id(tokenizer, token);
}

bool is_special(const SentencePieceTokenizer& tokenizer, std::int32_t id) {
  const auto added = tokenizer.added.by_id.find(id);
  return added != tokenizer.added.by_id.end() && tokenizer.added.tokens[added->second].special;
}

}  // namespace lora_dist
