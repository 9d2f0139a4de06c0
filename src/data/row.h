// A row of a dataset: one of a few kinds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/core/choices.h"

namespace lora_dist {

struct QaRow {
  std::string question, answer;
  bool to_join = false;  // given as prompt and completion, to be joined verbatim
};
struct AlpacaRow {
  std::string instruction, input, output;  // input may be empty
  std::string system{};                    // empty: none
  std::vector<QaRow> history{};            // earlier exchanges
};
/// A row's setting for training a message.
enum class MessageTraining : std::int8_t {
  by_role,  // unset: the assistant's messages are trained
  no,       // with data.train_on = "all" neither
  yes,      // for any role
  prompt,   // no, but with data.train_on = "all"
};
/// A byte range of a trained message's content that is not trained.
struct UntrainedPart {
  std::size_t message = 0, begin = 0, end = 0;
};
struct ChatRow {
  nlohmann::ordered_json messages;          // a list of objects, each with a role; content is text, a list of parts, or absent
  nlohmann::ordered_json tools{};           // a list, or null
  std::vector<MessageTraining> training{};  // one for each message; empty: all by role
  std::vector<UntrainedPart> untrained_parts{};

  MessageTraining training_of(std::size_t message) const {
    return training.empty() ? MessageTraining::by_role : training[message];
  }
};
struct TextRow {
  std::string text;
};
struct IdsRow {
  std::vector<std::int64_t> input_ids, labels;  // labels default to input_ids
};
/// A text with its own speaker marks: see find_answers.
struct MarkedRow {  // RowKind::marked_text and qa_text
  std::string text;
};

using RowContent = std::variant<AlpacaRow, ChatRow, QaRow, TextRow, IdsRow, MarkedRow>;

struct Row {
  std::int64_t number = 0;  // as Sample::row
  RowContent content;       // AlpacaRow for a qa row with a system prompt or earlier exchanges
  std::int64_t index = 0;   // among the rows of its file, from 0
  RowKind kind = RowKind::text;
  bool trained = true;  // false: flagged as not trained
};

std::string_view name_of(RowKind kind);  // as in data.format

}  // namespace lora_dist
