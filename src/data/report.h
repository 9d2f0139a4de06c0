// The report on the loaded data, shown before training.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "src/data/shown_sample.h"

namespace lora_dist {

/// A skipped unreadable row (data.bad_rows = "skip").
struct BadRow {
  std::int64_t row = 0;  // as Sample::row
  std::string reason;    // never quotes the row
};

struct FileReport {
  std::string path, container;
  bool validation = false;
  std::int64_t rows = 0;
  std::map<std::string, std::int64_t> kinds{};     // kind of row to count, including dropped rows
  std::map<std::string, std::string> templates{};  // kind of row to template, for kinds that need one
  std::map<std::string, std::string> turns{};      // kind of row to its turn frame (turn_frame.h)
  std::vector<BadRow> bad_rows{};                  // in file order
  std::set<std::string> unused_columns{}, unknown_flags{};
  std::int64_t truncated = 0;
  std::int64_t empty_answers = 0;                 // not trained
  std::map<std::string, std::int64_t> dropped{};  // reason to count
  std::vector<std::string> notes{};               // about the file as a whole, sorted

  std::string kind() const;           // "chat", "text (3) and chat (1)", or "none"
  std::string template_name() const;  // "alpaca and tokenizer", or "none"
};

/// Notes about the names of columns and flags in a file's report.
std::vector<std::string> notes_on_columns(const FileReport& file);

struct SetReport {
  std::int64_t samples = 0, tokens = 0, trained_tokens = 0;
  std::array<std::int64_t, 4> length_percentiles{};  // 50, 90, 99, 100 (nearest rank)
};

struct DatasetReport {
  std::vector<FileReport> files;
  SetReport train, validation;
  std::vector<std::string> notes;
  std::string special_tokens;           // what the tokenizer puts around a text, and why; empty without a tokenizer
  std::string template_day;             // that the chat template was told, where it asks
  std::vector<ShownLine> shown_sample;  // the first of training; empty: it is not to be shown
};

/// Lines to print, without line ends; without colour but for that of trained text.
std::vector<std::string> render_report(const DatasetReport& report, SetApart how = SetApart::by_marks);

}  // namespace lora_dist
