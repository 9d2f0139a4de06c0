// A row of a dataset, whatever file it came from: one of a few kinds.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lora_dist {

struct QaRow {
  std::string question, answer;
};
struct AlpacaRow {
  std::string instruction, input, output;  // input may be empty
  std::string system{};                    // empty: none
  std::vector<QaRow> history{};            // exchanges before this one
};
struct ChatRow {
  nlohmann::ordered_json messages;  // a list of objects, each with a role; content is text, a list of parts, or absent
  nlohmann::ordered_json tools{};   // a list, or null
};
struct TextRow {
  std::string text;
};
struct IdsRow {
  std::vector<std::int64_t> input_ids, labels;  // labels as input_ids where the row has none
};
/// A text with marks of its own that say who speaks: see find_answers.
struct MarkedRow {
  std::string text;
};

using RowContent = std::variant<AlpacaRow, ChatRow, QaRow, TextRow, IdsRow, MarkedRow>;

struct Row {
  std::int64_t number = 0;  // as Sample::row
  RowContent content;
  std::int64_t index = 0;  // among the rows of its file, from 0
};

enum class RowKind : std::uint8_t { alpaca, chat, qa, text, ids, marked_text, qa_text };  // the last two: MarkedRow

std::string_view name_of(RowKind kind);  // as in data.format

}  // namespace lora_dist
