// One value, from TOML and to TOML.
#include "src/config/config_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "src/config/nearest_name.h"
#include "src/config/read_toml.h"

namespace lora_dist {
namespace {

/// What the user wrote, short enough for a message.
std::string shown(const toml::node& value) {
  std::ostringstream text;
  value.visit([&](const auto& concrete) { text << concrete; });
  std::string line = text.str();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line.size() <= 80 ? line : line.substr(0, 77) + "...";
}

template <class String>
std::string list_of(const std::vector<String>& words) {
  std::string text;
  for (const auto& word : words) {
    text.append(text.empty() ? "" : ", ").append(word);
  }
  return text;
}

std::string check_whole(const Whole& rule, std::int64_t value) {
  if (value < rule.low) {
    return fmt::format("must be at least {} (got {})", rule.low, value);
  }
  return value > rule.high ? fmt::format("must be at most {} (got {})", rule.high, value) : "";
}

std::string check_real(const Real& rule, double value) {
  if (!std::isfinite(value)) {
    return fmt::format("must be a finite number (got {})", value);
  }
  if (value < rule.low || (rule.low_open && value == rule.low)) {
    return fmt::format("must be {} {} (got {})", rule.low_open ? "above" : "at least", rule.low, value);
  }
  if (value > rule.high || (rule.high_open && value == rule.high)) {
    return fmt::format("must be {} {} (got {})", rule.high_open ? "below" : "at most", rule.high, value);
  }
  return "";
}

std::string check_word(const Words& rule, const std::string& word) {
  if (std::find(rule.known.begin(), rule.known.end(), word) != rule.known.end()) {
    return "";
  }
  return fmt::format("must be one of {} (got {}; the nearest is {})", list_of(rule.known), quoted(word),
                     nearest_name(word, rule.known));
}

std::string check_shard_count(const std::string& text) {
  const bool number =
      !text.empty() && text.size() <= 6 && text.find_first_not_of("0123456789") == std::string::npos && text[0] != '0';
  return text == "all" || text == "node" || number
             ? ""
             : fmt::format("must be \"all\", \"node\" or a number of ranks (got {})", quoted(text));
}

std::string check_text(const std::string& text, bool may_be_empty) {
  if (text.empty() && !may_be_empty) {
    return "must not be empty";
  }
  // What is printed and compared as lines of text must be one line of text.
  const bool control =
      std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (control) {
    return fmt::format("must not contain control characters (got {})", quoted(text));
  }
  return parse_toml_value(quoted(text)).empty() ? "must be UTF-8 text" : "";
}

std::string check_string(const Rule& rule, const std::string& value) {
  if (const auto* words = std::get_if<Words>(&rule)) {
    return check_word(*words, value);
  }
  if (std::holds_alternative<ShardCount>(rule)) {
    return check_shard_count(value);
  }
  const auto* text = std::get_if<Text>(&rule);
  return check_text(value, text != nullptr && text->may_be_empty);
}

std::string check_list(const Rule& rule, const std::vector<std::string>& values) {
  const auto* texts = std::get_if<Texts>(&rule);
  if (values.empty() && (texts == nullptr || !texts->may_be_empty)) {
    return "must name at least one";
  }
  std::set<std::string> seen;
  for (const std::string& value : values) {
    if (std::string problem = check_string(rule, value); !problem.empty()) {
      return problem;
    }
    if ((texts == nullptr || !texts->may_repeat) && !seen.insert(value).second) {
      return fmt::format("names {} twice", quoted(value));
    }
  }
  return "";
}

// read_into: TOML node -> a value of the member's type, or the problem.

std::string read_into(bool& value, const Rule& /*rule*/, const toml::node& node) {
  if (!node.is_boolean()) {
    return fmt::format("must be true or false (got {})", shown(node));
  }
  value = node.as_boolean()->get();
  return "";
}

std::string read_into(std::int64_t& value, const Rule& rule, const toml::node& node) {
  if (!node.is_integer()) {
    return fmt::format("must be a whole number (got {})", shown(node));
  }
  value = node.as_integer()->get();
  return check_whole(std::get<Whole>(rule), value);
}

std::string read_into(int& value, const Rule& rule, const toml::node& node) {
  std::int64_t wide = 0;
  std::string problem = read_into(wide, rule, node);
  if (problem.empty()) {
    value = static_cast<int>(wide);  // every rule of an int ends within int
  }
  return problem;
}

std::string read_into(double& value, const Rule& rule, const toml::node& node) {
  if (!node.is_number()) {
    return fmt::format("must be a number (got {})", shown(node));
  }
  value = node.is_integer() ? static_cast<double>(node.as_integer()->get()) : node.as_floating_point()->get();
  return check_real(std::get<Real>(rule), value);
}

std::string read_into(std::string& value, const Rule& rule, const toml::node& node) {
  if (node.is_integer() && std::holds_alternative<ShardCount>(rule)) {
    value = std::to_string(node.as_integer()->get());
  } else if (node.is_string()) {
    value = node.as_string()->get();
  } else {
    return fmt::format("must be a string in quotes (got {})", shown(node));
  }
  return check_string(rule, value);
}

std::string read_into(std::vector<std::string>& values, const Rule& rule, const toml::node& node) {
  if (node.is_string()) {
    values.push_back(node.as_string()->get());
  } else if (const toml::array* array = node.as_array()) {
    for (const toml::node& element : *array) {
      if (!element.is_string()) {
        return fmt::format("must be a list of strings (got {})", shown(node));
      }
      values.push_back(element.as_string()->get());
    }
  } else {
    return fmt::format("must be a list of strings (got {})", shown(node));
  }
  return check_list(rule, values);
}

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(int value) { return std::to_string(value); }
std::string text_of(std::int64_t value) { return std::to_string(value); }
std::string text_of(const std::string& value) { return quoted(value); }
std::string text_of(double value) {
  std::string text = fmt::format("{}", value);  // the shortest that reads back to the same bits
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}
std::string text_of(const std::vector<std::string>& values) {
  if (values == std::vector<std::string>{"all-linear"}) {
    return quoted("all-linear");
  }
  std::vector<std::string> parts;
  std::transform(values.begin(), values.end(), std::back_inserter(parts), quoted);
  return "[" + list_of(parts) + "]";
}

/// The value, or each value of a list, in the spelling of Key::built.
template <class Value>
std::vector<std::string> spellings(const Value& value) {
  return {text_of(value)};
}
std::vector<std::string> spellings(const std::string& value) { return {value}; }
std::vector<std::string> spellings(const std::vector<std::string>& values) { return values; }

template <class Value>
std::string check_built(const Key& key, const Value& value) {
  for (const std::string& spelling : spellings(value)) {
    if (!key.built.empty() && std::find(key.built.begin(), key.built.end(), spelling) == key.built.end()) {
      return fmt::format("= {} is not built yet; what works is {}", spelling, list_of(key.built));
    }
  }
  return "";
}

}  // namespace

std::string set_value(Config& config, const Key& key, const toml::node& node) {
  return std::visit(
      [&](auto* member) {
        std::remove_pointer_t<decltype(member)> value{};
        std::string problem = read_into(value, key.rule, node);
        if (problem.empty()) {
          problem = check_built(key, value);
        }
        if (problem.empty()) {
          *member = std::move(value);
        }
        return problem;
      },
      key.slot(config));
}

std::string value_text(const Config& config, const Key& key) {
  // The table hands out pointers to write through; this one only reads.
  return std::visit([](const auto* member) { return text_of(*member); }, key.slot(const_cast<Config&>(config)));
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

}  // namespace lora_dist
