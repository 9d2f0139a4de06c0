// Encoding and decoding in the order of tokenizers/src/tokenizer/mod.rs.
#include "src/tokenizer/json_tokenizer.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/tokenizer/byte_alphabet.h"

namespace lora_dist {
namespace {

/// The state of one call of encode().
struct Work {
  WordCache& cache;
  Pieces pieces;  // reused between parts to avoid allocations
};

/// Encodes a part without plain added tokens: normalises, splits at normalised added tokens, pre-tokenises, merges.
void encode_part(const JsonTokenizer& t, std::string_view part, bool at_start, bool prepend, Work& work,
                 std::vector<std::int32_t>& out) {
  std::string room;
  std::string_view normal = part;
  at_start = at_start && !(t.asks_for_front && loses_front(t.normalizer, part));
  if (!is_plainly_normal(t.normalizer, part)) {
    room = normalize(t.normalizer, part, prepend);
    normal = room;
  }
  for (const TextPart& inner : split_at_tokens(t.added, t.added.normalized, normal)) {
    if (inner.id) {
      out.push_back(*inner.id);
      continue;
    }
    const std::string_view text = normal.substr(inner.begin, inner.end - inner.begin);
    const bool front = inner.begin == 0;
    pre_tokenize(t.pre_tokenizer, text, at_start && front, prepend || !front, work.pieces);
    std::visit(
        [&](const auto& model) {
          for (const Range& range : work.pieces.ranges) {
            encode_piece(model, work.cache, work.pieces.text.substr(range.begin, range.end - range.begin), out);
          }
        },
        t.model);
  }
}

}  // namespace

const TokenTable& vocab_of(const JsonTokenizer& tokenizer) {
  return std::visit([](const auto& model) -> const TokenTable& { return model.vocab; }, tokenizer.model);
}

std::vector<std::int32_t> encode(const JsonTokenizer& tokenizer, std::string_view text, bool continuation) {
  std::vector<std::int32_t> out;
  std::unique_ptr<WordCache> cache = tokenizer.caches->take();
  Work work{*cache, {}};
  try {
    for (const TextPart& part : split_at_tokens(tokenizer.added, tokenizer.added.plain, text)) {
      if (part.id) {
        out.push_back(*part.id);
      } else {
        const bool at_start = part.begin == 0;
        encode_part(tokenizer, text.substr(part.begin, part.end - part.begin), at_start, !(continuation && at_start), work, out);
      }
    }
  } catch (const RegexError& e) {
    throw Error(ExitCode::model, std::string("a regular expression of the tokenizer ") + e.what());
  }
  tokenizer.caches->put_back(std::move(cache));
  return out;
}

std::string decode(const JsonTokenizer& tokenizer, std::span<const std::int32_t> ids, bool skip_special) {
  std::vector<std::string> tokens;
  for (const std::int32_t id : ids) {
    const auto added = tokenizer.added.by_id.find(id);
    if (added == tokenizer.added.by_id.end()) {
      if (const auto text = token_text(tokenizer, id)) {
        tokens.emplace_back(*text);
      }
    } else if (const AddedToken& token = tokenizer.added.tokens[added->second]; !skip_special || !is_hidden(token)) {
      tokens.push_back(token.shown);
    }
  }
  if (tokenizer.has_decoder) {
    return decode_tokens(tokenizer.decoder, std::move(tokens));
  }
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    out += (i == 0 ? "" : " ") + tokens[i];
  }
  return out;
}

std::optional<std::string_view> token_text(const JsonTokenizer& tokenizer, std::int32_t id) {
  if (const auto added = tokenizer.added.by_id.find(id); added != tokenizer.added.by_id.end()) {
    return tokenizer.added.tokens[added->second].content;
  }
  return vocab_of(tokenizer).text_of(id);
}

std::optional<std::int32_t> token_id(const JsonTokenizer& tokenizer, std::string_view token) {
  for (const AddedToken& added : tokenizer.added.tokens) {
    if (added.content == token) {
      return added.id;
    }
  }
  return vocab_of(tokenizer).id_of(token);
}

bool is_byte_level(const JsonTokenizer& tokenizer) {
  return tokenizer.decoder.size() == 1 && std::holds_alternative<FromByteLevelStep>(tokenizer.decoder[0]);
}

bool has_byte_alphabet(const JsonTokenizer& tokenizer) {
  const auto& steps = tokenizer.pre_tokenizer;
  return is_byte_level(tokenizer) || std::any_of(steps.begin(), steps.end(), [](const PreTokenizeStep& step) {
           return std::holds_alternative<ByteLevelStep>(step);
         });
}

bool decodes_late(const JsonTokenizer& tokenizer) {
  bool falls_back = false, late = false;
  for (const DecodeStep& step : tokenizer.decoder) {
    falls_back = falls_back || std::holds_alternative<ByteFallbackStep>(step);
    late = late || std::holds_alternative<FromByteLevelStep>(step) || std::holds_alternative<SuffixStep>(step);
  }
  return !is_byte_level(tokenizer) && (late || !falls_back);
}

std::string token_bytes(const JsonTokenizer& tokenizer, std::int32_t id) {
  if (const auto added = tokenizer.added.by_id.find(id); added != tokenizer.added.by_id.end()) {
    return from_byte_alphabet(tokenizer.added.tokens[added->second].shown);
  }
  const auto text = token_text(tokenizer, id);
  return text ? from_byte_alphabet(*text) : std::string();
}

bool is_special(const JsonTokenizer& tokenizer, std::int32_t id) {
  const auto added = tokenizer.added.by_id.find(id);
  return added != tokenizer.added.by_id.end() && tokenizer.added.tokens[added->second].special;
}

}  // namespace lora_dist
