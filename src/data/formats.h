// Reads dataset files into rows. The container follows from content or name (containers.h), the kind of a row from its non-null
// keys; a file may have rows of several kinds.
#pragma once

#include <filesystem>
#include <optional>
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
  std::vector<Row> rows;         // the wanted rows
  std::int64_t row_count = 0;    // of the file
  std::vector<BadRow> bad_rows;  // skipped rows among the wanted ones
  UnknownFlags unknown_flags;    // of the parsed rows, like the columns
  std::set<std::string> unused_columns;
};

/// docs/configuration.md (Rows) lists the keys of each kind; other keys are ignored. A null member counts as absent, and so does
/// an empty field of a table if the other fields make a row.
/// format: the kind that every row must have; none ("auto") takes marked_text and qa_text (marked_text.h) if all texts among the
/// first rows have the marks. Throws Error(data) with file and line or row: a missing or empty file, a row that is not JSON or
/// does not fit (with what was expected, never with its text). With most_bad_rows a row that cannot be read is added to bad_rows
/// instead; after more than that, no further row is read. Rows that are not wanted are only read if the kind of the rows depends
/// on them.
DatasetFile read_dataset_file(
    const std::filesystem::path& path, std::optional<RowKind> format, const WantedRow& wanted = [](std::int64_t) { return true; },
    std::optional<std::int64_t> most_bad_rows = std::nullopt);

}  // namespace lora_dist
