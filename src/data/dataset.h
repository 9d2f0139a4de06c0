// Everything from dataset files to checked samples; the same on every rank.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "src/data/options.h"
#include "src/data/report.h"
#include "src/data/sample.h"
#include "src/data/token_image.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

struct Dataset {
  TokenStore tokens;                      // where the samples' ids and labels lie
  std::vector<Sample> train, validation;  // in file order; no sample is in both
  DatasetReport report;
};

/// A function of its arguments and the files alone (the tokenizer's chat template, read from its folder when rows need it, is
/// one), and of the day where options.template_day is empty. tokenizer may be null when all rows are input_ids; vocab_size is the
/// model's. Throws Error(data) naming file and row: see formats.h; ids outside [0, vocab_size); labels of another length, or
/// neither -100 nor an id; an overlong sample with overlong = "error"; no sample left that trains anything. Throws Error(usage)
/// for an option that is not one of its values, Error(model) for a tokenizer without EOS or absent, and what chat_sample.h says
/// of chat templates.
Dataset load_dataset(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size);

/// How far the work is, all shares together if they keep pace.
struct TokenizingFigures {
  std::int64_t rows_done = 0, rows = 0;  // of the file at hand
  double bytes_done = 0.0, bytes = 0.0;  // of all files
};

/// Rows in turn: those whose place in their file, counted from 0, leaves `rank` when divided by `ranks`.
struct RowShare {
  int rank = 0;
  int ranks = 1;
  std::function<void(const TokenizingFigures&)> on_row{};  // after each row of the share
  /// Rises with every step of the work; after an error it says where that was. Of the errors of all shares the one with the least
  /// is what a single share would have met first.
  std::int64_t reached = 0;
};

/// DataOptions::template_day, or today.
std::string day_of_templates(const DataOptions& options);

/// Throws Error(usage) for an option that is not one of its values, Error(data) where no file is named.
void check_data_options(const DataOptions& options);

/// The first half of load_dataset, for a share of the rows; throws the same errors about them.
TokenizedRows tokenize_rows(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size, RowShare& share);

/// The second half: the samples of an image of all rows, and the report, with the files' paths as `options` names them.
Dataset make_dataset(TokenStore tokens, const DataOptions& options, const Tokenizer* tokenizer);

}  // namespace lora_dist
