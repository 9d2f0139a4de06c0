// The JSON lines that score and generate read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/job/open_model.h"

namespace lora_dist {

/// One line of the input, tokenized.
struct InputLine {
  nlohmann::json id;                 // as given; the line's number (from 1) where it has none
  std::string text;                  // empty when the line gave input_ids
  std::vector<std::int32_t> ids;     // never empty
  std::vector<std::int32_t> labels;  // as long as ids; -100 where not counted
  bool chat = false;                 // text is a conversation in the model's chat template
  std::size_t number = 0;            // of the line in the file, from 1; 0: not of a file

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
};

/// What a command takes a line's text for.
struct LineFormat {
  std::vector<std::string> text_keys;  // the names that it may have
  bool to_continue = false;            // a prompt (no EOS behind it, BOS never twice) rather than a whole text
  bool messages = false;               // {"messages"[, "tools"]} lines are taken too, and answered
  bool chat = false;                   // a text is a user's message
};

/// Reads {"id", "text"} or {"id", "input_ids"[, "labels"]} lines. A text gets the tokenizer's BOS; a conversation what its
/// template prints, with the generation prompt, and nothing else. Throws Error(data) with file and line: not JSON, no text and no
/// ids, ids outside the vocabulary, labels of another length; a text where the model has no tokenizer; what chat_sample.h says of
/// conversations. Throws Error(model) for a conversation where the model has no chat template.
std::vector<InputLine> read_input_lines(const std::filesystem::path& file, const LineFormat& format, const OpenModel& model);

/// A user's message as a line, in the chat template of the model's folder. `where` begins what is said about it.
InputLine chat_line(const std::string& message, const Tokenizer& tokenizer, const std::string& where);

/// The line with most tokens, the first of several. `lines` is not empty.
const InputLine& longest_of(const std::vector<InputLine>& lines);
/// "FILE:LINE", or "--prompt".
std::string place_of(const InputLine& line, const std::string& file);

}  // namespace lora_dist
