// Converts values from TOML and to TOML.
#include "src/config/config_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "src/config/read_toml.h"

namespace lora_dist {
namespace {

/// The user's value, shortened for a message.
std::string shown(const toml::node& value) {
  std::ostringstream text;
  value.visit([&](const auto& concrete) { text << concrete; });
  std::string line = text.str();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line.size() <= 80 ? line : line.substr(0, 77) + "...";
}

constexpr Words<BaseShards::Of, 3> kBaseShards = {
    {{"auto", BaseShards::Of::automatic}, {"all", BaseShards::Of::all}, {"node", BaseShards::Of::node}}};

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

std::string check_text(const std::string& text, bool may_be_empty) {
  if (text.empty() && !may_be_empty) {
    return "must not be empty";
  }
  // Values are printed and compared as lines of text, so each must be one line.
  const bool control =
      std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (control) {
    return fmt::format("must not contain control characters (got {})", quoted(text));
  }
  return parse_toml_value(quoted(text)).empty() ? "must be UTF-8 text" : "";
}

/// Sorted by path, as PEFT saves patterns: the first match decides.
template <class Value, class Rule>
std::string read_by_path(PathPattern<Value>& values, const Rule& rule, const toml::node& node) {
  const toml::table* table = node.as_table();
  if (table == nullptr) {
    return fmt::format("must be a table from module names to numbers, as {{q_proj = 8}} (got {})", shown(node));
  }
  for (const auto& [path, entry] : *table) {
    if (std::string problem = check_text(std::string(path.str()), false); !problem.empty()) {
      return "has a name that " + problem;
    }
    Value value{};
    if (const std::string problem = read_value(value, rule, entry); !problem.empty()) {
      return fmt::format("of {} {}", quoted(std::string(path.str())), problem);
    }
    values.emplace_back(path.str(), value);
  }
  return "";
}

template <class Value>
std::string text_by_path(const PathPattern<Value>& values) {
  std::vector<std::string> parts;
  for (const auto& [path, value] : values) {
    parts.push_back(quoted(path) + " = " + value_text(value));
  }
  return "{" + list_of({parts.begin(), parts.end()}) + "}";
}

}  // namespace

std::string read_value(bool& value, const Flag& /*rule*/, const toml::node& node) {
  if (!node.is_boolean()) {
    return fmt::format("must be true or false (got {})", shown(node));
  }
  value = node.as_boolean()->get();
  return "";
}

std::string read_value(std::int64_t& value, const Whole& rule, const toml::node& node) {
  if (!node.is_integer()) {
    return fmt::format("must be a whole number (got {})", shown(node));
  }
  value = node.as_integer()->get();
  return check_whole(rule, value);
}

std::string read_value(int& value, const Whole& rule, const toml::node& node) {
  std::int64_t wide = 0;
  const Whole within_int{rule.low, std::min<std::int64_t>(rule.high, std::numeric_limits<int>::max())};
  std::string problem = read_value(wide, within_int, node);
  if (problem.empty()) {
    value = static_cast<int>(wide);
  }
  return problem;
}

std::string read_value(double& value, const Real& rule, const toml::node& node) {
  if (!node.is_number()) {
    return fmt::format("must be a number (got {})", shown(node));
  }
  value = node.is_integer() ? static_cast<double>(node.as_integer()->get()) : node.as_floating_point()->get();
  return check_real(rule, value);
}

std::string read_string(std::string& value, const toml::node& node) {
  if (!node.is_string()) {
    return fmt::format("must be a string in quotes (got {})", shown(node));
  }
  value = node.as_string()->get();
  return "";
}

std::string read_value(std::string& value, const Text& rule, const toml::node& node) {
  std::string problem = read_string(value, node);
  return problem.empty() ? check_text(value, rule.may_be_empty) : problem;
}

std::string read_value(MethodChoice& value, const MethodList& /*rule*/, const toml::node& node) {
  std::vector<Method> methods;
  if (std::string problem = read_value(methods, kMethods, node); !problem.empty()) {
    return problem;
  }
  std::ranges::stable_sort(methods, {}, part_of);
  MethodChoice chosen{methods.front()};
  for (std::size_t i = 1; i < methods.size(); ++i) {
    if (part_of(methods[i]) == part_of(methods[i - 1])) {
      return fmt::format("names {} and {}, which both train {}; name one of them", word_of(kMethods, methods[i - 1]),
                         word_of(kMethods, methods[i]), word_of(kMethodParts, part_of(methods[i])));
    }
    chosen.beside.push_back(methods[i]);
  }
  value = chosen;
  return "";
}

std::string read_value(BaseShards& value, const ShardCount& /*rule*/, const toml::node& node) {
  std::string text;
  if (node.is_integer()) {
    text = std::to_string(node.as_integer()->get());
  } else if (std::string problem = read_string(text, node); !problem.empty()) {
    return problem;
  }
  const bool number =
      !text.empty() && text.size() <= 6 && text.find_first_not_of("0123456789") == std::string::npos && text[0] != '0';
  if (number) {
    value.of = BaseShards::Of::count;
    std::from_chars(text.data(), text.data() + text.size(), value.count);
    return "";
  }
  const std::optional<BaseShards::Of> word = value_of_word(kBaseShards, text);
  value = {word.value_or(BaseShards::Of::automatic)};
  return word ? "" : fmt::format("must be \"auto\", \"all\", \"node\" or a number of ranks (got {})", value_text(text));
}

std::string read_strings(std::vector<std::string>& values, const toml::node& node) {
  if (node.is_string()) {
    values.push_back(node.as_string()->get());
    return "";
  }
  const toml::array* array = node.as_array();
  if (array == nullptr || std::any_of(array->begin(), array->end(), [](const auto& each) { return !each.is_string(); })) {
    return fmt::format("must be a list of strings (got {})", shown(node));
  }
  for (const toml::node& element : *array) {
    values.push_back(element.as_string()->get());
  }
  return "";
}

std::string read_value(std::vector<std::string>& values, const Texts& rule, const toml::node& node) {
  if (std::string problem = read_strings(values, node); !problem.empty()) {
    return problem;
  }
  if (values.empty() && !rule.may_be_empty) {
    return "must name at least one";
  }
  std::set<std::string> seen;
  for (const std::string& value : values) {
    if (std::string problem = check_text(value, false); !problem.empty()) {
      return problem;
    }
    if (!rule.may_repeat && !seen.insert(value).second) {
      return fmt::format("names {} twice", quoted(value));
    }
  }
  return "";
}

std::string read_value(std::vector<std::int64_t>& values, const Wholes& rule, const toml::node& node) {
  const toml::array of_one{node};
  for (const toml::node& element : node.is_array() ? *node.as_array() : of_one) {
    std::int64_t value = 0;
    if (std::string problem = read_value(value, Whole{rule.low, rule.high}, element); !problem.empty()) {
      return problem;
    }
    if (std::find(values.begin(), values.end(), value) != values.end()) {
      return fmt::format("names {} twice", value);
    }
    values.push_back(value);
  }
  return "";
}

std::string read_value(PathPattern<std::int64_t>& values, const WholeByPath& rule, const toml::node& node) {
  return read_by_path(values, rule.of, node);
}
std::string read_value(PathPattern<double>& values, const RealByPath& rule, const toml::node& node) {
  return read_by_path(values, rule.of, node);
}

std::string value_text(bool value) { return value ? "true" : "false"; }
std::string value_text(int value) { return std::to_string(value); }
std::string value_text(std::int64_t value) { return std::to_string(value); }
std::string value_text(const std::string& value) { return quoted(value); }
std::string value_text(double value) {
  std::string text = fmt::format("{}", value);  // the shortest text that reads back to the same bits
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}
std::string value_text(const std::vector<std::string>& values) {
  if (values == std::vector<std::string>{"all-linear"}) {
    return quoted("all-linear");
  }
  std::vector<std::string> parts;
  std::transform(values.begin(), values.end(), std::back_inserter(parts), quoted);
  return "[" + list_of({parts.begin(), parts.end()}) + "]";
}
std::string value_text(const std::vector<std::int64_t>& values) { return fmt::format("[{}]", fmt::join(values, ", ")); }
std::string value_text(const PathPattern<std::int64_t>& values) { return text_by_path(values); }
std::string value_text(const PathPattern<double>& values) { return text_by_path(values); }
std::string value_text(const MethodChoice& value) {
  return value.beside.empty() ? value_text(value.first, kMethods) : value_text(value.all(), kMethods);
}

std::string value_text(const BaseShards& value) {
  return quoted(value.of == BaseShards::Of::count ? std::to_string(value.count) : std::string(word_of(kBaseShards, value.of)));
}

std::string list_of(const std::vector<std::string_view>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

std::string problem_with_word(const std::string& word, const std::vector<std::string_view>& known) {
  return fmt::format("must be one of {} (got {}; the nearest is {})", list_of(known), quoted(word), nearest_name(word, known));
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
