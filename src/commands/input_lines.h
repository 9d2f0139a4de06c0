// The JSON lines that score and generate read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/train/open_model.h"

namespace lora_dist {

/// One line of the input, tokenized.
struct InputLine {
  nlohmann::json id;                 // as given; the line's number (from 1) where it has none
  std::string text;                  // empty when the line gave input_ids
  std::vector<std::int32_t> ids;     // never empty
  std::vector<std::int32_t> labels;  // as long as ids; -100 where not counted
};

/// What a command takes a line's text for.
struct LineFormat {
  std::vector<std::string> text_keys;  // the names that it may have
  bool to_continue = false;            // a prompt (no EOS behind it, BOS never twice) rather than a whole text
};

/// Reads {"id", "text"} or {"id", "input_ids"[, "labels"]} lines. A text gets the tokenizer's BOS.
/// Throws Error(data) with file and line: not JSON, no text and no ids, ids outside the vocabulary, labels of another length; a
/// text where the model has no tokenizer.
std::vector<InputLine> read_input_lines(const std::filesystem::path& file, const LineFormat& format, const OpenModel& model);

/// The longest line, in tokens.
std::int64_t longest_of(const std::vector<InputLine>& lines);

}  // namespace lora_dist
