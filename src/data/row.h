// A row of a dataset, whatever file it came from: one of five kinds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lora_dist {

struct AlpacaRow {
  std::string instruction, input, output;  // input may be empty
};
struct QaRow {
  std::string question, answer;
};
struct ChatMessage {
  std::string role, content;  // system, user or assistant
};
struct ChatRow {
  std::vector<ChatMessage> messages;
};
struct TextRow {
  std::string text;
};
struct IdsRow {
  std::vector<std::int64_t> input_ids, labels;  // labels as input_ids where the row has none
};

using RowContent = std::variant<AlpacaRow, ChatRow, QaRow, TextRow, IdsRow>;

struct Row {
  std::int64_t number = 0;  // as Sample::row
  RowContent content;
};

enum class RowKind : std::uint8_t { alpaca, chat, qa, text, ids };  // in the order of RowContent

std::string_view name_of(RowKind kind);  // as in data.format

}  // namespace lora_dist
