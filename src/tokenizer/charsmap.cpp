// Units of the double array are those of darts-clone: bits 0 to 7 and 31 are a label, bit 8 says that the unit's child 0 holds a
// value, bits 10 to 30 (shifted by 8 if bit 9 is set) lead to the children; a unit with bit 31 is a value.
#include "src/tokenizer/charsmap.h"

#include <utf8proc.h>

#include "src/core/utf8.h"

namespace lora_dist {
namespace {

constexpr std::size_t kLongestCluster = 5;  // bytes; longer clusters are looked up character by character

bool has_value(std::uint32_t unit) { return ((unit >> 8) & 1U) != 0; }
std::uint32_t label(std::uint32_t unit) { return unit & ((1U << 31) | 0xFFU); }
std::uint32_t value_of(std::uint32_t unit) { return unit & ((1U << 31) - 1U); }
std::size_t offset(std::uint32_t unit) { return std::size_t{unit >> 10} << ((unit & (1U << 9)) >> 6); }

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    out |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return out;
}

/// Throws unless the value is the offset of a text, and not within a character.
void check_value(const Charsmap& map, std::uint32_t value) {
  if (value > map.texts.size() || (static_cast<unsigned char>(map.texts.c_str()[value]) & 0xC0U) == 0x80U) {
    throw CharsmapError("has an entry that points to no text");
  }
}

/// Looks at all children of all units that can be reached, each unit once.
void check_units(const Charsmap& map) {
  std::vector<bool> seen(map.units.size());
  std::vector<std::size_t> open = {0};  // units whose children are looked at
  seen[0] = true;
  while (!open.empty()) {
    const std::size_t unit = open.back();
    open.pop_back();
    const std::size_t base = unit ^ offset(map.units[unit]);
    if ((base | 0xFFU) >= map.units.size()) {
      throw CharsmapError("has an entry that points beyond its end");
    }
    if (unit != 0 && has_value(map.units[unit])) {
      check_value(map, value_of(map.units[base]));
    }
    for (std::size_t byte = 1; byte < 256; ++byte) {
      const std::size_t child = base ^ byte;
      if (label(map.units[child]) == byte && !seen[child]) {
        seen[child] = true;
        open.push_back(child);
      }
    }
  }
}

std::size_t cluster_length(std::string_view text) {
  std::size_t end = utf8_maximal_subpart(text);
  utf8proc_int32_t state = 0;
  auto before = static_cast<utf8proc_int32_t>(code_point(text.substr(0, end)));
  while (end < text.size()) {
    const std::size_t n = utf8_maximal_subpart(text.substr(end));
    const auto next = static_cast<utf8proc_int32_t>(code_point(text.substr(end, n)));
    if (utf8proc_grapheme_break_stateful(before, next, &state)) {
      break;
    }
    before = next;
    end += n;
  }
  return end;
}

void append_characters(const Charsmap& map, std::string_view cluster, std::string& out) {
  while (!cluster.empty()) {
    const std::string_view character = cluster.substr(0, utf8_maximal_subpart(cluster));
    out += replacement(map, character).value_or(character);
    cluster.remove_prefix(character.size());
  }
}

/// The start of `text` in which every ASCII character is a cluster of its own and has no replacement.
std::size_t unchanged_start(const Charsmap& map, std::string_view text) {
  std::size_t n = 0;
  const auto byte_at = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  while (n < text.size() && byte_at(n) < 0x80 && !map.changes_ascii[byte_at(n)] && text[n] != '\r') {
    ++n;
  }
  const bool joins = n > 0 && n < text.size() && byte_at(n) >= 0x80;  // the last one may have an accent
  return joins ? n - 1 : n;
}

}  // namespace

std::shared_ptr<const Charsmap> read_charsmap(std::string_view bytes) {
  auto out = std::make_shared<Charsmap>();
  const std::size_t units = bytes.size() < 4 ? 0 : u32_at(bytes, 0);
  if (bytes.size() < 4 || units % 4 != 0 || units > bytes.size() - 4) {
    throw CharsmapError("is cut short");
  }
  if (units == 0) {
    throw CharsmapError("has no entries");
  }
  out->units.resize(units / 4);
  for (std::size_t i = 0; i < out->units.size(); ++i) {
    out->units[i] = u32_at(bytes, 4 + 4 * i);
  }
  out->texts = bytes.substr(4 + units);
  if (!is_utf8(out->texts)) {
    throw CharsmapError("has replacements that are not UTF-8");
  }
  check_units(*out);
  for (std::size_t c = 0; c < out->changes_ascii.size(); ++c) {
    const char byte = static_cast<char>(c);
    out->changes_ascii[c] = replacement(*out, {&byte, 1}).has_value();
  }
  return out;
}

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve(text.size() / 4 * 3);
  const std::size_t end = text.find_last_not_of('=') + 1;  // 0 if there is none
  if (text.size() % 4 != 0 || text.size() - end > 2) {
    throw CharsmapError("is not base64");
  }
  std::uint32_t held = 0;
  int bits = 0;
  for (const char c : text.substr(0, end)) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) {
      throw CharsmapError("is not base64");
    }
    held = (held << 6 | static_cast<std::uint32_t>(digit)) & 0xFFFFU;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>(held >> bits & 0xFFU));
    }
  }
  return out;
}

std::optional<std::string_view> replacement(const Charsmap& map, std::string_view chunk) {
  std::size_t at = offset(map.units[0]);
  for (const char c : chunk) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) {
      break;
    }
    at ^= byte;
    const std::uint32_t unit = map.units[at];
    if (label(unit) != byte) {
      break;
    }
    at ^= offset(unit);
    if (has_value(unit)) {
      return map.texts.c_str() + value_of(map.units[at]);
    }
  }
  return std::nullopt;
}

std::string apply_charsmap(const Charsmap& map, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t same = unchanged_start(map, text);
    out += text.substr(0, same);
    text.remove_prefix(same);
    if (text.empty()) {
      break;
    }
    const std::string_view cluster = text.substr(0, cluster_length(text));
    if (const auto whole = cluster.size() <= kLongestCluster ? replacement(map, cluster) : std::nullopt) {
      out += *whole;
    } else {
      append_characters(map, cluster, out);
    }
    text.remove_prefix(cluster.size());
  }
  return out;
}

}  // namespace lora_dist
