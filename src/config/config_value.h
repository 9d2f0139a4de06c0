// Values of each type: read from a TOML node, checked by a rule, printed as TOML text.
#pragma once

#include <fmt/format.h>
#include <toml++/toml.h>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/nearest_name.h"
#include "src/core/by_path.h"
#include "src/core/choices.h"

namespace lora_dist {

// Rules for values. A table of words (src/core/words.h) is a rule too.
struct Flag {};
struct Whole {
  std::int64_t low;
  std::int64_t high = std::numeric_limits<int>::max();
};
struct Real {
  double low;
  double high;
  bool low_open = false;  // excludes low itself
  bool high_open = false;
};
struct Text {
  bool may_be_empty = false;
};
struct Texts {  // a list; one string counts as a list of one
  bool may_be_empty = false;
  bool may_repeat = false;
};
struct Wholes {  // a list without repetitions; one number counts as a list of one
  std::int64_t low;
  std::int64_t high;
};
struct WholeByPath {  // a table from regular expressions of module paths to numbers
  Whole of;
};
struct RealByPath {
  Real of;
};
template <class Kind, std::size_t count>
struct OrPath {  // one of the words, else a path; empty if the path is a word
  Words<Kind, count> words;
};
template <class Kind, std::size_t count>
OrPath(Words<Kind, count>) -> OrPath<Kind, count>;
struct MethodList {};  // kMethods: one, or several that are trained together
struct ShardCount {};  // "auto", "all", "node" or a number of ranks

// read_value: returns the problem of `node` as the rest of a sentence ("must be at least 1 (got 0)"), or an empty string; only
// then `value` is valid.
std::string read_value(bool& value, const Flag& rule, const toml::node& node);
std::string read_value(int& value, const Whole& rule, const toml::node& node);
std::string read_value(std::int64_t& value, const Whole& rule, const toml::node& node);
std::string read_value(double& value, const Real& rule, const toml::node& node);
std::string read_value(std::string& value, const Text& rule, const toml::node& node);
std::string read_value(std::vector<std::string>& values, const Texts& rule, const toml::node& node);
std::string read_value(std::vector<std::int64_t>& values, const Wholes& rule, const toml::node& node);
std::string read_value(PathPattern<std::int64_t>& values, const WholeByPath& rule, const toml::node& node);
std::string read_value(PathPattern<double>& values, const RealByPath& rule, const toml::node& node);
std::string read_value(MethodChoice& value, const MethodList& rule, const toml::node& node);
std::string read_value(BaseShards& value, const ShardCount& rule, const toml::node& node);

/// The value as TOML text.
std::string value_text(bool value);
std::string value_text(int value);
std::string value_text(std::int64_t value);
std::string value_text(double value);
std::string value_text(const std::string& value);
std::string value_text(const std::vector<std::string>& values);
std::string value_text(const std::vector<std::int64_t>& values);
std::string value_text(const PathPattern<std::int64_t>& values);
std::string value_text(const PathPattern<double>& values);
std::string value_text(const MethodChoice& value);
std::string value_text(const BaseShards& value);

/// `text` as a TOML string in quotes.
std::string quoted(const std::string& text);

/// "a, b, c".
std::string list_of(const std::vector<std::string_view>& words);
std::string problem_with_word(const std::string& word, const std::vector<std::string_view>& known);

/// The strings of a list, or a single string; else a problem.
std::string read_strings(std::vector<std::string>& values, const toml::node& node);
std::string read_string(std::string& value, const toml::node& node);

template <class Value, std::size_t count>
std::string read_value(Value& value, const Words<Value, count>& words, const toml::node& node) {
  std::string text;
  if (std::string problem = read_string(text, node); !problem.empty()) {
    return problem;
  }
  const std::optional<Value> found = value_of_word(words, text);
  if (!found) {
    return problem_with_word(text, all_words(words));
  }
  value = *found;
  return "";
}

template <class Value, std::size_t count>
std::string read_value(std::vector<Value>& values, const Words<Value, count>& words, const toml::node& node) {
  std::vector<std::string> texts;
  if (std::string problem = read_strings(texts, node); !problem.empty()) {
    return problem;
  }
  for (const std::string& text : texts) {
    const std::optional<Value> found = value_of_word(words, text);
    if (!found) {
      return problem_with_word(text, all_words(words));
    }
    if (std::find(values.begin(), values.end(), *found) != values.end()) {
      return fmt::format("names {} twice", quoted(text));
    }
    values.push_back(*found);
  }
  return values.empty() ? "must name at least one" : "";
}

template <class Kind, std::size_t count>
std::string read_value(WordOrPath<Kind>& value, const OrPath<Kind, count>& rule, const toml::node& node) {
  std::string text;
  const Text of_rule{value_of_word(rule.words, "").has_value()};
  if (std::string problem = read_value(text, of_rule, node); !problem.empty()) {
    return problem;
  }
  const std::optional<Kind> word = value_of_word(rule.words, text);
  value = word ? WordOrPath<Kind>{*word} : WordOrPath<Kind>{Kind::path, text};
  return "";
}

template <class Value, class Rule>
std::string value_text(const Value& value, const Rule& /*rule*/) {
  return value_text(value);
}
template <class Kind, std::size_t count>
std::string value_text(const WordOrPath<Kind>& value, const OrPath<Kind, count>& rule) {
  return quoted(value.kind == Kind::path ? value.path : std::string(word_of(rule.words, value.kind)));
}
template <class Value, std::size_t count>
std::string value_text(const Value& value, const Words<Value, count>& words) {
  return quoted(std::string(word_of(words, value)));
}
template <class Value, std::size_t count>
std::string value_text(const std::vector<Value>& values, const Words<Value, count>& words) {
  std::vector<std::string> texts;
  for (const Value& value : values) {
    texts.emplace_back(word_of(words, value));
  }
  return value_text(texts);
}

}  // namespace lora_dist
