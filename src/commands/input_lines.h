// Reads the JSON lines of score and generate.
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
  nlohmann::json id;                 // as given; else the line's number (from 1)
  std::string text;                  // empty if the line has input_ids
  std::vector<std::int32_t> ids;     // never empty
  std::vector<std::int32_t> labels;  // same length as ids; -100: not counted
  bool chat = false;                 // text is a conversation in the model's chat template
  std::size_t number = 0;            // line number in the file, from 1; 0: not from a file

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
};

/// How a command uses a line's text.
struct LineFormat {
  std::vector<std::string> text_keys;  // accepted keys
  bool to_continue = false;            // a prompt (no EOS, a single BOS) rather than a whole text
  bool messages = false;               // {"messages"[, "tools"]} lines are taken too, and answered
  bool chat = false;                   // a text is a user's message
};

/// Reads {"id", "text"} or {"id", "input_ids"[, "labels"]} lines. A text gets the tokenizer's BOS; a conversation is rendered by
/// its template with the generation prompt, without additions. Throws Error(data) with file and line: not JSON, no text and no
/// ids, ids outside the vocabulary, labels of another length; a text without a tokenizer; the errors of chat_sample.h. Throws
/// Error(model) for a conversation without a chat template.
std::vector<InputLine> read_input_lines(const std::filesystem::path& file, const LineFormat& format, const OpenModel& model);

/// A user's message as a line, rendered by the model's chat template. Messages begin with `where`.
InputLine chat_line(const std::string& message, const Tokenizer& tokenizer, const std::string& where);

/// The first line with the most tokens. `lines` must not be empty.
const InputLine& longest_of(const std::vector<InputLine>& lines);
/// "FILE:LINE", or "--prompt".
std::string location_of(const InputLine& line, const std::string& file);

}  // namespace lora_dist
