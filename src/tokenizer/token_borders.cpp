// The text is first converted to the vocabulary's form, with the origin of each byte in the text; then the tokens are located in
// it from left to right.
#include "src/tokenizer/token_borders.h"

#include <algorithm>
#include <string>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/tokenizer/decoder.h"

namespace lora_dist {
namespace {

constexpr std::size_t kLongSpan = 4096;  // bytes; longer spans would take quadratic time

/// The text in the vocabulary's form (with plain spaces), and the origin of each byte.
struct SeenText {
  std::string bytes;
  std::vector<Range> origin;
};

bool is_bytes(const Tokenizer& tokenizer) {
  const auto* json = std::get_if<JsonTokenizer>(&tokenizer.kind);
  return json != nullptr && has_byte_alphabet(*json);
}

const AddedTokens& added_of(const Tokenizer& tokenizer) {
  return std::visit([](const auto& kind) -> const AddedTokens& { return kind.added; }, tokenizer.kind);
}

std::string with_spaces(const Tokenizer& tokenizer, std::string_view text) {
  return is_bytes(tokenizer) ? std::string(text) : replace_all(text, kUnderline, " ");
}

/// Text between added tokens in the vocabulary's form, without prepended characters.
std::string seen(const Tokenizer& tokenizer, std::string_view text) {
  const auto* json = std::get_if<JsonTokenizer>(&tokenizer.kind);
  return with_spaces(tokenizer, json == nullptr ? text : normalize(json->normalizer, text, /*prepend=*/false));
}

/// Bytes of one origin.
void append(SeenText& out, std::string_view bytes, Range origin) {
  out.bytes += bytes;
  out.origin.insert(out.origin.end(), bytes.size(), origin);
}

/// Appends unchanged text: each byte is its own origin.
void append_as_it_is(SeenText& out, std::string_view text, std::size_t begin) {
  out.bytes += text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out.origin.push_back({begin + i, begin + i + 1});
  }
}

/// Appends changed characters one by one where the form of the first n is a prefix of the form of all, else in groups.
void append_changed(const Tokenizer& tokenizer, SeenText& out, std::string_view text, std::size_t begin) {
  const std::string whole = seen(tokenizer, text);
  std::size_t done = 0;
  std::size_t shown = 0;
  const auto append_up_to = [&](std::size_t at, std::size_t end) {
    const std::string_view bytes = std::string_view(whole).substr(shown, end - shown);
    if (bytes == text.substr(done, at - done)) {
      append_as_it_is(out, bytes, begin + done);
    } else {
      append(out, bytes, {begin + done, begin + at});
    }
    done = at;
    shown = end;
  };
  for (std::size_t at = utf8_maximal_subpart(text); at < text.size(); at += utf8_maximal_subpart(text.substr(at))) {
    const std::string start = seen(tokenizer, text.substr(0, at));
    if (start.size() >= shown && std::string_view(whole).starts_with(start)) {
      append_up_to(at, start.size());
    }
  }
  append_up_to(text.size(), whole.size());
}

/// Appends `whole`, the form of `text`, without a finer mapping: equal ends map to themselves, the middle to the middle.
void append_between_equal_ends(SeenText& out, std::string_view text, std::string_view whole, std::size_t begin) {
  const std::size_t shorter = std::min(text.size(), whole.size());
  const auto front = static_cast<std::size_t>(
      std::mismatch(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(shorter), whole.begin()).first - text.begin());
  std::size_t back = 0;
  while (back < shorter - front && text[text.size() - 1 - back] == whole[whole.size() - 1 - back]) {
    ++back;
  }
  append_as_it_is(out, text.substr(0, front), begin);
  append(out, whole.substr(front, whole.size() - front - back), {begin + front, begin + text.size() - back});
  append_as_it_is(out, text.substr(text.size() - back), begin + text.size() - back);
}

/// An ASCII character never composes with the characters before it, so the text from one ASCII character to the next changes
/// independently.
void append_part(const Tokenizer& tokenizer, SeenText& out, std::string_view text, std::size_t begin) {
  const std::string whole = seen(tokenizer, text);
  if (whole == text) {
    return append_as_it_is(out, text, begin);
  }
  const std::size_t before = out.bytes.size();
  for (std::size_t from = 0, to = 0; from < text.size(); from = to) {
    for (to = from + 1; to < text.size() && static_cast<unsigned char>(text[to]) >= 0x80; ++to) {
    }
    const std::string_view span = text.substr(from, to - from);
    if (span.size() > kLongSpan) {
      append_between_equal_ends(out, span, seen(tokenizer, span), begin + from);
    } else {
      append_changed(tokenizer, out, span, begin + from);
    }
  }
  if (std::string_view(out.bytes).substr(before) != whole) {
    out.bytes.resize(before);
    out.origin.resize(before);
    append_between_equal_ends(out, text, whole, begin);
  }
}

SeenText seen_text(const Tokenizer& tokenizer, std::string_view text) {
  const AddedTokens& added = added_of(tokenizer);
  SeenText out;
  for (const TextPart& part : split_at_tokens(added, added.plain, text)) {
    if (part.id) {  // including stripped white space
      append(out, added.tokens[added.by_id.at(*part.id)].content, {part.begin, part.end});
    } else {
      append_part(tokenizer, out, text.substr(part.begin, part.end - part.begin), part.begin);
    }
  }
  return out;
}

/// A token's text in SeenText's form.
std::string text_of_token(const Tokenizer& tokenizer, std::int32_t id) {
  const AddedTokens& added = added_of(tokenizer);
  if (const auto found = added.by_id.find(id); found != added.by_id.end()) {
    const AddedToken& token = added.tokens[found->second];
    return token.normalized ? with_spaces(tokenizer, token.shown) : token.content;
  }
  if (is_bytes(tokenizer)) {
    return token_bytes(std::get<JsonTokenizer>(tokenizer.kind), id);
  }
  const std::string token = token_text(tokenizer, id);
  const int byte = byte_of_token(token);
  return byte >= 0 ? std::string(1, static_cast<char>(byte)) : with_spaces(tokenizer, token);
}

/// The token's range in the seen text from `at` on, without a dummy space.
struct FoundToken {
  bool found = false;
  Range range{};
};

FoundToken find_token(std::string_view bytes, std::string_view token, std::size_t at) {
  const std::string_view rest = bytes.substr(at);
  if (rest.starts_with(token)) {
    return {true, {at, at + token.size()}};
  }
  const std::string_view bare = token.starts_with(' ') ? token.substr(1) : token;
  if (bare.size() < token.size() && rest.starts_with(bare)) {
    return {true, {at, at + bare.size()}};
  }
  const std::size_t later = token.empty() ? std::string_view::npos : bytes.find(token, at);
  return later == std::string_view::npos ? FoundToken{} : FoundToken{true, {later, later + token.size()}};
}

}  // namespace

TokenBorders encode_with_borders(const Tokenizer& tokenizer, std::string_view text) {
  TokenBorders out;
  out.ids = encode(tokenizer, text, false);
  SeenText all;
  try {
    all = seen_text(tokenizer, text);
  } catch (const RegexError& e) {
    throw Error(ExitCode::model, std::string("a regular expression of the tokenizer ") + e.what());
  }
  std::vector<Range> seen_ranges;  // ranges in the seen text
  std::size_t at = 0;
  bool lost = false;  // the previous token was not found, and extends to the next one
  for (const std::int32_t id : out.ids) {
    const FoundToken token = find_token(all.bytes, text_of_token(tokenizer, id), at);
    const Range range = token.found ? token.range : Range{at, at};
    if (lost) {
      seen_ranges.back().end = range.begin;
    }
    lost = !token.found;
    seen_ranges.push_back(range);
    at = range.end;
  }
  if (lost) {
    seen_ranges.back().end = all.bytes.size();
  }
  for (const Range& seen : seen_ranges) {
    const std::size_t begin = seen.begin < all.origin.size() ? all.origin[seen.begin].begin : text.size();
    out.ranges.push_back({begin, seen.begin < seen.end ? all.origin[seen.end - 1].end : begin});
  }
  return out;
}

bool is_special_id(const Tokenizer& tokenizer, std::int32_t id) {
  return id == tokenizer.eos || std::visit([&](const auto& kind) { return is_special(kind, id); }, tokenizer.kind);
}

}  // namespace lora_dist
