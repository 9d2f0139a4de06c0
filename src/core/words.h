// Closed lists of words: each word as users write it, beside what it stands for.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
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

/// What `word` stands for; nothing where it is none of the list.
template <class Value, std::size_t count>
constexpr std::optional<Value> value_of_word(const Words<Value, count>& words, std::string_view word) {
  const auto found = std::find_if(words.begin(), words.end(), [&](const auto& each) { return each.word == word; });
  return found == words.end() ? std::nullopt : std::optional<Value>(found->value);
}

/// The word of `value`, which must be one of the list; the first of several.
template <class Value, std::size_t count>
constexpr std::string_view word_of(const Words<Value, count>& words, const Value& value) {
  const auto found = std::find_if(words.begin(), words.end(), [&](const auto& each) { return each.value == value; });
  return found == words.end() ? std::string_view("?") : found->word;
}

/// In the order of the list, for messages.
template <class Value, std::size_t count>
std::vector<std::string_view> all_words(const Words<Value, count>& words) {
  std::vector<std::string_view> all;
  std::transform(words.begin(), words.end(), std::back_inserter(all), [](const auto& each) { return each.word; });
  return all;
}

}  // namespace lora_dist
