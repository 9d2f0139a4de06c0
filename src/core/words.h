// Tables of words: each word that users write, with its value.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

template <class Value>
struct Word {
  std::string_view word;
  Value value;
};

template <class Value, std::size_t count>
using Words = std::array<Word<Value>, count>;

/// The value of `word`; nullopt if it is not in the table.
template <class Value, std::size_t count>
constexpr std::optional<Value> value_of_word(const Words<Value, count>& words, std::string_view word) {
  const auto found = std::find_if(words.begin(), words.end(), [&](const auto& each) { return each.word == word; });
  return found == words.end() ? std::nullopt : std::optional<Value>(found->value);
}

/// The first word of `value`, which must be in the table.
template <class Value, std::size_t count>
constexpr std::string_view word_of(const Words<Value, count>& words, const Value& value) {
  const auto found = std::find_if(words.begin(), words.end(), [&](const auto& each) { return each.value == value; });
  return found == words.end() ? std::string_view("?") : found->word;
}

/// All words in table order, for messages.
template <class Value, std::size_t count>
std::vector<std::string_view> all_words(const Words<Value, count>& words) {
  std::vector<std::string_view> all;
  std::transform(words.begin(), words.end(), std::back_inserter(all), [](const auto& each) { return each.word; });
  return all;
}

/// "a", "a and b", "a, b and c".
inline std::string joined_words(const std::vector<std::string_view>& words, std::string_view last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += i == 0 ? "" : i + 1 < words.size() ? ", " : " " + std::string(last) + " ";
    text += words[i];
  }
  return text;
}

}  // namespace lora_dist
