// Dataset files to rows. The container is found from the content (JSON array, JSONL) or the name (.csv, .txt), the kind of
// row from the first row's keys, once per file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/data/containers.h"
#include "src/data/row.h"

namespace lora_dist {

struct DatasetFile {
  std::filesystem::path path;
  Container container = Container::jsonl;
  RowKind kind = RowKind::text;
  std::vector<Row> rows;       // those that are wanted
  std::int64_t row_count = 0;  // of the file
};

/// Keys of a row, other keys being left alone:
///   alpaca  instruction, input (may be absent), output; perhaps system, and history: a list of [question, answer]
///   chat    messages of {role, content}, or conversations of {from, value}; perhaps tools: see chat_rows.h
///   qa      question and answer, or prompt and completion, or prompt and response
///   text    text; each paragraph (between blank lines) of a .txt file
///   ids     input_ids, labels (may be absent)
///   marked_text, qa_text   text with marks of its own: see marked_text.h; "auto" takes them when the first rows all have the
///   marks
/// format: "auto", or the kind that every row must have. Throws Error(data) with file and line or row: a missing or empty file, a
/// row that is not JSON, a row that does not fit (with what was expected, never with its text). Rows that are not wanted are
/// looked at only where the kind of the rows depends on them.
DatasetFile read_dataset_file(
    const std::filesystem::path& path, const std::string& format, const WantedRow& wanted = [](std::int64_t) { return true; });

}  // namespace lora_dist
