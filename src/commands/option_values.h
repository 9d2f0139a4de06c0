// Stores parsed option values, and reports missing or invalid ones.
#pragma once

#include <fmt/ranges.h>

#include <boost/program_options/value_semantic.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/words.h"

namespace lora_dist {

/// Throws Error(usage, collective): every rank parses the same command line and finds the same error.
[[noreturn]] void fail_usage(const std::string& message);

/// An option that is stored into `member`; `name` stands for its value in --help.
template <class Value>
auto value_of(Value& member, const char* name) {
  return boost::program_options::value(&member)->value_name(name);
}
/// The same; `member` stays empty if the option is not given.
template <class Value>
auto value_of(std::optional<Value>& member, const char* name) {
  return boost::program_options::value<Value>()->value_name(name)->notifier([&member](const Value& value) { member = value; });
}

/// An integer from 1 to `most`; other values are a usage error that names `--option`.
template <class Whole>
auto count_of(Whole& member, const char* option, std::int64_t most) {
  return boost::program_options::value<Whole>()->value_name("N")->notifier([&member, option, most](const Whole& value) {
    if (value < 1 || value > most) {
      fail_usage(fmt::format("--{} must be from 1 to {} (got {})", option, most, value));
    }
    member = value;
  });
}

[[noreturn]] void fail_word(const char* option, const std::string& word, const std::vector<std::string_view>& known);

/// A word of a table, which --help shows; other words are a usage error.
template <class Member, class Value, std::size_t count>
auto word_value(Member& member, const char* option, const Words<Value, count>& words) {
  const auto read = [&member, option, &words](const std::string& word) {
    const std::optional<Value> value = value_of_word(words, word);
    if (!value) {
      fail_word(option, word, all_words(words));
    }
    member = *value;
  };
  return boost::program_options::value<std::string>()
      ->value_name(fmt::format("{}", fmt::join(all_words(words), "|")))
      ->notifier(read);
}

/// A path, or several; "~" at the start is the home folder (a shell leaves it alone in --model=~/x).
boost::program_options::typed_value<std::string>* path_of(std::string& member, const char* name);
boost::program_options::typed_value<std::vector<std::string>>* paths_of(std::vector<std::string>& member, const char* name);

struct Needed {
  bool is_there;
  const char* option;  // "--model DIR"
};
/// Throws one usage error that lists all missing options of `command`.
void check_needed(std::string_view command, std::initializer_list<Needed> all);

}  // namespace lora_dist
