// Decodes a growing list of ids. A token's text depends on earlier tokens only by the leading space and by the bytes of an
// incomplete character, so it suffices to decode one token of context and the pending byte tokens.
#include <algorithm>
#include <utility>

#include "src/core/utf8.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {
namespace {

bool is_hidden(const Tokenizer& tokenizer, std::int32_t id) {
  return std::visit(
      [&](const auto& kind) {
        const auto found = kind.added.by_id.find(id);
        return found != kind.added.by_id.end() && is_hidden(kind.added.tokens[found->second]);
      },
      tokenizer.kind);
}

/// The byte of a byte token, or -1.
int byte_of(const Tokenizer& tokenizer, std::int32_t id) {
  const std::string text = token_text(tokenizer, id);
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') {
    return -1;
  }
  const std::string_view digits = "0123456789ABCDEF";
  const std::size_t high = digits.find(text[3]), low = digits.find(text[4]);
  return high == std::string_view::npos || low == std::string_view::npos ? -1 : static_cast<int>(high * 16 + low);
}

std::string replacements(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kReplacementCharacter;
  }
  return text;
}

/// Removes complete characters, and bytes that cannot become one, from the front of the held bytes.
std::string take_whole(const Tokenizer& tokenizer, std::vector<std::int32_t>& held) {
  std::string bytes;
  for (const std::int32_t id : held) {
    bytes.push_back(static_cast<char>(byte_of(tokenizer, id)));
  }
  std::string text;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const std::size_t whole = utf8_character(rest);
    const std::size_t part = utf8_maximal_subpart(rest);
    if (whole == 0 && part == rest.size()) {
      break;  // the next byte may complete it
    }
    if (whole > 0) {
      text += rest.substr(0, whole);
    } else {
      text += replacements(part);
    }
    rest.remove_prefix(part);
  }
  held.erase(held.begin(), held.end() - static_cast<std::ptrdiff_t>(rest.size()));
  return text;
}

/// The text that `id` adds to the context's.
std::string text_after(const StreamDecoder& decoder, std::int32_t id) {
  std::vector<std::int32_t> ids = decoder.context;
  const std::string context = decode(*decoder.tokenizer, ids, decoder.skip_special);
  ids.push_back(id);
  const std::string both = decode(*decoder.tokenizer, ids, decoder.skip_special);
  return both.substr(std::min(context.size(), both.size()));
}

/// Makes `id` the context. A token without text (a leading space) extends it, since alone it is not enough context.
void go_on(StreamDecoder& decoder, std::int32_t id) {
  if (!decode(*decoder.tokenizer, std::vector{id}, decoder.skip_special).empty()) {
    decoder.context.clear();
  }
  decoder.context.push_back(id);
}

/// True if the bytes can become a character; false for a byte that starts none.
bool may_continue(std::string_view part) {
  const auto lead = static_cast<unsigned char>(part[0]);
  return lead >= 0xC2 && lead <= 0xF4;
}

/// Removes the text that further bytes cannot change: all except an incomplete character at the end.
std::string take_settled(std::string& bytes) {
  std::string text;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const std::size_t part = utf8_maximal_subpart(rest);
    const bool whole = utf8_character(rest) > 0;
    if (!whole && part == rest.size() && may_continue(rest)) {
      break;
    }
    text += whole ? rest.substr(0, part) : kReplacementCharacter;
    rest.remove_prefix(part);
  }
  bytes = rest;
  return text;
}

const JsonTokenizer* byte_level(const Tokenizer& tokenizer) {
  const auto* json = std::get_if<JsonTokenizer>(&tokenizer.kind);
  return json != nullptr && is_byte_level(*json) ? json : nullptr;
}

bool decodes_late(const Tokenizer& tokenizer) {
  const auto* json = std::get_if<JsonTokenizer>(&tokenizer.kind);
  return json != nullptr && decodes_late(*json);
}

/// The text that the held ids add; they become the context.
std::string take_held(StreamDecoder& decoder) {
  std::vector<std::int32_t> ids = decoder.context;
  const std::string context = decode(*decoder.tokenizer, ids, decoder.skip_special);
  ids.insert(ids.end(), decoder.held.begin(), decoder.held.end());
  const std::string both = decode(*decoder.tokenizer, ids, decoder.skip_special);
  if (decode(*decoder.tokenizer, decoder.held, decoder.skip_special).empty()) {
    decoder.context = std::move(ids);  // not enough context alone
  } else {
    decoder.context = decoder.held;
  }
  decoder.held.clear();
  return both.substr(std::min(context.size(), both.size()));
}

/// Holds ids until their text ends in a complete character.
std::string push_late(StreamDecoder& decoder, std::int32_t id) {
  std::vector<std::int32_t> ids = decoder.context;
  ids.insert(ids.end(), decoder.held.begin(), decoder.held.end());
  ids.push_back(id);
  decoder.held.push_back(id);
  return decode(*decoder.tokenizer, ids, decoder.skip_special).ends_with(kReplacementCharacter) ? std::string()
                                                                                                : take_held(decoder);
}

}  // namespace

std::string push(StreamDecoder& decoder, std::int32_t id) {
  const Tokenizer& tokenizer = *decoder.tokenizer;
  if (decoder.skip_special && is_hidden(tokenizer, id)) {
    return {};
  }
  if (const JsonTokenizer* json = byte_level(tokenizer)) {
    decoder.held_bytes += token_bytes(*json, id);
    return take_settled(decoder.held_bytes);
  }
  if (decodes_late(tokenizer)) {
    return push_late(decoder, id);
  }
  if (byte_of(tokenizer, id) < 0) {
    std::string text = finish(decoder);
    text += text_after(decoder, id);
    go_on(decoder, id);
    return text;
  }
  decoder.held.push_back(id);
  std::string text;
  if (decoder.context.empty() && decoder.held.size() == 1 && byte_of(tokenizer, id) < 0x80) {
    text = text_after(decoder, id);  // decoders drop a leading space
    decoder.held.clear();
  } else {
    text = take_whole(tokenizer, decoder.held);
  }
  if (decoder.held.empty()) {
    go_on(decoder, id);
  }
  return text;
}

std::string finish(StreamDecoder& decoder) {
  if (!decoder.held_bytes.empty()) {
    return to_utf8(std::exchange(decoder.held_bytes, {}));
  }
  if (!decoder.held.empty() && decodes_late(*decoder.tokenizer)) {
    return take_held(decoder);
  }
  if (!decoder.held.empty()) {
    go_on(decoder, decoder.held.back());
  }
  std::string text = replacements(decoder.held.size());
  decoder.held.clear();
  return text;
}

}  // namespace lora_dist
