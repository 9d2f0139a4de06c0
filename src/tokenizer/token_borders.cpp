// The text is first made what the vocabulary sees, each byte of it with the bytes of the text that it came from; then the tokens
// are found in it from left to right.
#include "src/tokenizer/token_borders.h"

#include <algorithm>
#include <string>

#include "src/core/error.h"
#include "src/tokenizer/decoder.h"
#include "src/tokenizer/utf8.h"

namespace lora_dist {
namespace {

constexpr std::size_t kLongRun = 4096;  // bytes; beyond, the square of it is too much work

/// What the vocabulary sees, spaces as spaces, and per byte where it came from.
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

/// Text between added tokens as the vocabulary sees it, without what is put in front of it.
std::string seen(const Tokenizer& tokenizer, std::string_view text) {
  const auto* json = std::get_if<JsonTokenizer>(&tokenizer.kind);
  return with_spaces(tokenizer, json == nullptr ? text : normalize(json->normalizer, text, /*prepend=*/false));
}

/// Bytes of one origin.
void append(SeenText& out, std::string_view bytes, Range origin) {
  out.bytes += bytes;
  out.origin.insert(out.origin.end(), bytes.size(), origin);
}

/// Unchanged text: each byte is its own origin.
void append_as_it_is(SeenText& out, std::string_view text, std::size_t begin) {
  out.bytes += text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out.origin.push_back({begin + i, begin + i + 1});
  }
}

/// A few characters that do change: what the first n of them become is a start of what they all become, or those n and the next
/// belong together.
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

/// `text` becomes `whole`, nobody knows which part by which: equal ends stand for themselves, what is between them for what is
/// between.
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

/// Nothing composes with an ASCII character before it, so a text changes piece by piece between those.
void append_part(const Tokenizer& tokenizer, SeenText& out, std::string_view text, std::size_t begin) {
  const std::string whole = seen(tokenizer, text);
  if (whole == text) {
    return append_as_it_is(out, text, begin);
  }
  const std::size_t before = out.bytes.size();
  for (std::size_t from = 0, to = 0; from < text.size(); from = to) {
    for (to = from + 1; to < text.size() && static_cast<unsigned char>(text[to]) >= 0x80; ++to) {
    }
    const std::string_view run = text.substr(from, to - from);
    if (run.size() > kLongRun) {
      append_between_equal_ends(out, run, seen(tokenizer, run), begin + from);
    } else {
      append_changed(tokenizer, out, run, begin + from);
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
    if (part.id) {  // with the white space that it takes along
      append(out, added.tokens[added.by_id.at(*part.id)].content, {part.begin, part.end});
    } else {
      append_part(tokenizer, out, text.substr(part.begin, part.end - part.begin), part.begin);
    }
  }
  return out;
}

/// A token's own text in the spelling of SeenText.
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

/// Where a token stands in the seen text, from `at` on; its dummy space, if it has one, stands nowhere.
struct Place {
  bool found = false;
  Range range{};
};

Place place_of(std::string_view bytes, std::string_view token, std::size_t at) {
  const std::string_view rest = bytes.substr(at);
  if (rest.starts_with(token)) {
    return {true, {at, at + token.size()}};
  }
  const std::string_view bare = token.starts_with(' ') ? token.substr(1) : token;
  if (bare.size() < token.size() && rest.starts_with(bare)) {
    return {true, {at, at + bare.size()}};
  }
  const std::size_t later = token.empty() ? std::string_view::npos : bytes.find(token, at);
  return later == std::string_view::npos ? Place{} : Place{true, {later, later + token.size()}};
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
  std::vector<Range> places;  // in the seen text
  std::size_t at = 0;
  bool lost = false;  // the last token was not found, and reaches to the next
  for (const std::int32_t id : out.ids) {
    const Place place = place_of(all.bytes, text_of_token(tokenizer, id), at);
    const Range range = place.found ? place.range : Range{at, at};
    if (lost) {
      places.back().end = range.begin;
    }
    lost = !place.found;
    places.push_back(range);
    at = range.end;
  }
  if (lost) {
    places.back().end = all.bytes.size();
  }
  for (const Range& place : places) {
    const std::size_t begin = place.begin < all.origin.size() ? all.origin[place.begin].begin : text.size();
    out.ranges.push_back({begin, place.begin < place.end ? all.origin[place.end - 1].end : begin});
  }
  return out;
}

bool is_special_id(const Tokenizer& tokenizer, std::int32_t id) {
  return id == tokenizer.eos || std::visit([&](const auto& kind) { return is_special(kind, id); }, tokenizer.kind);
}

}  // namespace lora_dist
