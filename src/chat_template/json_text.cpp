// json.dumps.
#include <algorithm>
#include <cmath>

#include "src/chat_template/interpreter.h"
#include "src/chat_template/python_text.h"

namespace lora_dist::jinja {
namespace {

void append_unit(std::string& out, std::uint32_t unit) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(unit >> static_cast<unsigned>(shift)) & 15U];
  }
}

std::string json_string(std::string_view text, bool ensure_ascii) {
  constexpr std::string_view kShort = "\"\\\n\r\t\f\b";
  constexpr std::string_view kLetters = "\"\\nrtfb";
  std::string out = "\"";
  for (const std::string_view character : characters_of(text)) {
    const char32_t c = code_point(character);
    const std::size_t found = c < 128 ? kShort.find(static_cast<char>(c)) : std::string_view::npos;
    if (found != std::string_view::npos) {
      out += '\\';
      out += kLetters[found];
    } else if (c < 0x20 || (ensure_ascii && c >= 0x7F && c < 0x10000)) {
      append_unit(out, static_cast<std::uint32_t>(c));
    } else if (ensure_ascii && c >= 0x10000) {
      append_unit(out, static_cast<std::uint32_t>(0xD800 + ((c - 0x10000) >> 10)));
      append_unit(out, static_cast<std::uint32_t>(0xDC00 + ((c - 0x10000) & 0x3FF)));
    } else {
      out += character;
    }
  }
  return out + "\"";
}

struct Writer {
  bool ensure_ascii = false;
  const std::string* indent = nullptr;
  std::string item_separator, key_separator;
  bool sort_keys = false;

  std::string line(int level) const {
    std::string out;
    if (indent != nullptr) {
      out = "\n";
      for (int i = 0; i < level; ++i) {
        out += *indent;
      }
    }
    return out;
  }

  std::string scalar(const Value& value) const {
    if (value.is_none()) {
      return "null";
    }
    if (const bool* flag = value.get<bool>()) {
      return *flag ? "true" : "false";
    }
    if (const auto* whole = value.get<std::int64_t>()) {
      return std::to_string(*whole);
    }
    if (const auto* real = value.get<double>()) {
      return std::isnan(*real) ? "NaN" : std::isinf(*real) ? *real < 0 ? "-Infinity" : "Infinity" : float_text(*real);
    }
    throw TemplateError("Object of type " + type_name(value) + " is not JSON serializable");
  }

  std::string key(const Value& value) const {
    if (value.text() == nullptr && !is_number(value) && !value.is_none()) {
      throw TemplateError("keys must be str, int, float, bool or None, not " + type_name(value));
    }
    return json_string(value.text() != nullptr ? *value.text() : scalar(value), ensure_ascii);
  }

  std::string list(const List& list, int level) const {
    if (list.kind > Sequence::tuple) {
      throw TemplateError("Object of type " + std::string(list.kind == Sequence::range ? "range" : "generator") +
                          " is not JSON serializable");
    }
    std::string out = "[";
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      out += (i == 0 ? "" : item_separator) + line(level + 1) + any(list.items[i], level + 1);
    }
    return out + (list.items.empty() ? "" : line(level)) + "]";
  }

  std::string dict(const Dict& dict, int level) const {
    std::vector<std::pair<Value, Value>> items = dict.items;
    if (sort_keys) {
      std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return less(a.first, b.first); });
    }
    std::string out = "{";
    for (std::size_t i = 0; i < items.size(); ++i) {
      out += (i == 0 ? "" : item_separator) + line(level + 1) + key(items[i].first) + key_separator +
             any(items[i].second, level + 1);
    }
    return out + (items.empty() ? "" : line(level)) + "}";
  }

  std::string any(const Value& value, int level) const {
    if (const std::string* text = value.text()) {
      return json_string(*text, ensure_ascii);
    }
    if (value.list() != nullptr) {
      return list(*value.list(), level);
    }
    return value.dict() != nullptr ? dict(*value.dict(), level) : scalar(value);
  }
};

}  // namespace

std::string json_text(const Value& value, bool ensure_ascii, const std::string* indent, const std::string& item_separator,
                      const std::string& key_separator, bool sort_keys) {
  return Writer{ensure_ascii, indent, item_separator, key_separator, sort_keys}.any(value, 0);
}

}  // namespace lora_dist::jinja
