// Loads dataset files into checked samples; the same on every rank.
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
  TokenStore tokens;                      // storage of the samples' ids and labels
  std::vector<Sample> train, validation;  // in file order, disjoint
  DatasetReport report;
};

/// The result depends only on the arguments, the files (including the tokenizer's chat template), and the day if
/// options.template_day is empty. tokenizer may be null if all rows are input_ids; vocab_size is the model's. Throws Error(data)
/// naming file and row: see formats.h; ids outside [0, vocab_size); labels of another length, or neither -100 nor an id; an
/// overlong sample with overlong = "error"; no trainable sample left. Throws Error(usage) for an invalid option, Error(model) for
/// a missing tokenizer or EOS, and the errors of chat_sample.h.
Dataset load_dataset(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size);

/// Progress, scaled to all shares on the assumption of equal speed.
struct TokenizingFigures {
  std::int64_t rows_done = 0, rows = 0;  // of the current file
  double bytes_done = 0.0, bytes = 0.0;  // of all files
};

/// Round-robin rows: those whose index in their file is `rank` modulo `ranks`.
struct RowShare {
  int rank = 0;
  int ranks = 1;
  std::function<void(const TokenizingFigures&)> on_row{};  // called after each row of the share
  /// Increases with every step; after an error, the position of the error. The smallest one of all shares is the error that a
  /// single share would meet first.
  std::int64_t reached = 0;
};

/// DataOptions::template_day, or today.
std::string day_of_templates(const DataOptions& options);

/// Throws Error(usage) for an invalid option, Error(data) without files.
void check_data_options(const DataOptions& options);

/// The first half of load_dataset, for a share of the rows; throws the same errors.
TokenizedRows tokenize_rows(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size, RowShare& share);

/// The second half: samples and report from an image of all rows, with the paths of `options`.
Dataset make_dataset(TokenStore tokens, const DataOptions& options, const Tokenizer* tokenizer);

}  // namespace lora_dist
