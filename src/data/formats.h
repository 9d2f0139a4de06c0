// Dataset files to rows. The container is found from the content or the name (containers.h), the kind of a row from the keys of
// it that have a value; a file may hold rows of several kinds.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "src/data/containers.h"
#include "src/data/report.h"
#include "src/data/row.h"
#include "src/data/train_flags.h"

namespace lora_dist {

struct DatasetFile {
  std::filesystem::path path;
  Container container = Container::jsonl;
  RowKind kind = RowKind::text;  // of the first row
  std::vector<Row> rows;         // those that are wanted
  std::int64_t row_count = 0;    // of the file
  std::vector<BadRow> bad_rows;  // of the wanted ones, where they are skipped
  UnknownFlags unknown_flags;    // of the wanted ones
  std::set<std::string> unused_columns;
};

/// Keys of a row, other keys being left alone; a member that is null is absent, and so is an empty field of a table while the
/// kind is looked for:
///   alpaca  instruction (with a query beside it: prompt), input (or context, query; may be absent), output (or response);
///   perhaps
///           system (or system_prompt), and history: a list of [question, answer]
///   chat    messages or conversations, or prompt and completion as lists of messages, or data as alternating texts; perhaps
///           tools: see chat_rows.h
///   qa      question and answer, prompt and completion, prompt and response, query and response, question and response, or input
///           and output; perhaps system and history
///   text    text; each paragraph (between blank lines) of a .txt file
///   ids     input_ids, labels (may be absent), masks (may be absent)
///   marked_text, qa_text   text with marks of its own: see marked_text.h; "auto" takes them when the texts among the first rows
///   all have the marks
/// format: "auto", or the kind that every row must have. Throws Error(data) with file and line or row: a missing or empty file, a
/// row that is not JSON, a row that does not fit (with what was expected, never with its text). With skip_bad_rows a row that
/// cannot be read is put into bad_rows instead. Rows that are not wanted are looked at only where the kind of the rows depends on
/// them.
DatasetFile read_dataset_file(
    const std::filesystem::path& path, const std::string& format, const WantedRow& wanted = [](std::int64_t) { return true; },
    bool skip_bad_rows = false);

}  // namespace lora_dist
