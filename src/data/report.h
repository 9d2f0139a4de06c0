// What loading found, for the user to read before training starts.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace lora_dist {

/// A row that was left out because it cannot be read (data.bad_rows = "skip").
struct BadRow {
  std::int64_t row = 0;  // as Sample::row
  std::string reason;    // never with the row's text
};

struct FileReport {
  std::string path, container;
  bool validation = false;
  std::int64_t rows = 0;
  std::map<std::string, std::int64_t> kinds{};     // kind of row to count, rows that were dropped among them
  std::map<std::string, std::string> templates{};  // kind of row to template; without those that need none
  std::map<std::string, std::string> turns{};      // kind of row to what stands around its texts (turn_frame.h)
  std::vector<BadRow> bad_rows{};                  // in the order of the file
  std::set<std::string> unused_columns{}, unknown_flags{};
  std::int64_t truncated = 0;
  std::int64_t empty_answers = 0;                 // of samples, not trained
  std::map<std::string, std::int64_t> dropped{};  // reason to count
  std::vector<std::string> notes{};               // about the file as a whole, sorted

  std::string kind() const;           // "chat", "text (3) and chat (1)", or "none"
  std::string template_name() const;  // "alpaca and tokenizer", or "none"
};

/// What the names of columns and flags in the reports of a file say, as notes.
std::vector<std::string> notes_on_columns(const FileReport& file);

struct SetReport {
  std::int64_t samples = 0, tokens = 0, trained_tokens = 0;
  std::array<std::int64_t, 4> length_percentiles{};  // 50, 90, 99, 100 (nearest rank)
};

struct DatasetReport {
  std::vector<FileReport> files;
  SetReport train, validation;
  std::vector<std::string> notes;
  std::string special_tokens;             // what the tokenizer puts around a text, and why; empty without a tokenizer
  std::string template_day;               // that the chat template was told, where it asks
  std::vector<std::string> shown_sample;  // one sample, token by token with its label
};

/// Lines to print, without colour or line ends.
std::vector<std::string> render_report(const DatasetReport& report);

}  // namespace lora_dist
