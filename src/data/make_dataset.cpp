// Makes samples from tokens: views, split, report.
#include <algorithm>
#include <array>
#include <utility>

#include "src/core/error.h"
#include "src/data/bad_rows.h"
#include "src/data/chat_sample.h"
#include "src/data/dataset.h"
#include "src/data/repeated_files.h"
#include "src/data/shown_sample.h"
#include "src/data/split.h"
#include "src/data/turn_frame.h"

namespace lora_dist {
namespace {

/// Throws if a set has no samples left.
void check_not_empty(const std::vector<Sample>& samples, const std::vector<FileReport>& files, bool validation) {
  if (!samples.empty()) {
    return;
  }
  std::string why;
  for (const FileReport& file : files) {
    if (file.validation == validation && !file.bad_rows.empty()) {
      why += (why.empty() ? "" : "; ") + file.path + ": " + std::to_string(file.bad_rows.size()) +
             (file.bad_rows.size() == 1 ? " row" : " rows") + " skipped";
    }
    for (const auto& [reason, count] : file.dropped) {
      if (file.validation == validation) {
        why += (why.empty() ? "" : "; ") + file.path + ": " + std::to_string(count) + " x " + reason;
      }
    }
  }
  throw Error(ExitCode::data,
              std::string("no ") + (validation ? "validation" : "training") + " sample has a token to train on (" + why +
                  "). Check the labels, data.template, data.max_length and data.train_on; the label at a sample's "
                  "first position never trains, because nothing comes before it");
}

SetReport report_of(const std::vector<Sample>& samples) {
  SetReport out;
  std::vector<std::int64_t> lengths;
  for (const Sample& sample : samples) {
    lengths.push_back(static_cast<std::int64_t>(sample.input_ids.size()));
    out.tokens += lengths.back();
    out.trained_tokens += trained_tokens(sample.labels);
  }
  out.samples = static_cast<std::int64_t>(samples.size());
  std::sort(lengths.begin(), lengths.end());
  constexpr std::array<std::int64_t, 4> kPercents = {50, 90, 99, 100};
  for (std::size_t i = 0; i < kPercents.size() && !lengths.empty(); ++i) {
    const std::int64_t rank = (kPercents[i] * out.samples + 99) / 100;  // nearest rank, from 1
    out.length_percentiles[i] = lengths[static_cast<std::size_t>(rank - 1)];
  }
  return out;
}

/// Adds paths and notes to the report.
void name_files(DatasetReport& report, const DataOptions& options) {
  std::vector<std::filesystem::path> paths = options.train;
  paths.insert(paths.end(), options.validation.begin(), options.validation.end());
  for (std::size_t i = 0; i < report.files.size(); ++i) {
    report.files[i].path = paths.at(i).string();
    for (const auto& notes : {report.files[i].notes, notes_on_columns(report.files[i])}) {
      for (const std::string& note : notes) {
        report.notes.push_back(report.files[i].path + ": " + note);
      }
    }
  }
}

/// The day passed to the chat template, if it uses the date.
void note_day(DatasetReport& report, const DataOptions& options, const Tokenizer* tokenizer) {
  const bool has_chats = std::any_of(report.files.begin(), report.files.end(), [](const FileReport& file) {
    return file.template_name().find("tokenizer") != std::string::npos;
  });
  if (has_chats && tokenizer != nullptr && asks_for_date(require_chat_template(*tokenizer))) {
    report.template_day = day_of_templates(options);
    report.notes.push_back("the model's chat template prints the date: " + report.template_day +
                           " here, and whenever this run is resumed");
  }
}

/// Samples of training and of validation files.
void take_samples(const TokenImage& image, Dataset& out) {
  std::size_t first = 0;
  for (const SampleRecord& record : image.samples) {
    const auto n = static_cast<std::size_t>(record.tokens);
    auto& set = image.files[static_cast<std::size_t>(record.file)].validation ? out.validation : out.train;
    set.push_back({record.id, image.input_ids.subspan(first, n), image.labels.subspan(first, n), record.file, record.row});
    first += n;
  }
}

}  // namespace

Dataset make_dataset(TokenStore tokens, const DataOptions& options, const Tokenizer* tokenizer) {
  Dataset out{std::move(tokens), {}, {}, {}};
  TokenImage image = read_token_image(bytes_of(out.tokens));
  take_samples(image, out);
  out.report.files = std::move(image.files);
  name_files(out.report, options);
  const std::vector<std::string> repeated = notes_on_repeated_files(options.train, options.validation);
  out.report.notes.insert(out.report.notes.end(), repeated.begin(), repeated.end());
  note_day(out.report, options, tokenizer);
  out.report.special_tokens = tokenizer == nullptr ? std::string() : describe_special_tokens(*tokenizer);
  check_bad_rows(out.report.files, options.max_bad_rows);
  check_not_empty(out.train, out.report.files, false);
  if (!options.validation.empty()) {
    check_not_empty(out.validation, out.report.files, true);
  } else if (options.validation_split > 0.0) {
    const std::size_t n = out.train.size();
    out.validation = take_validation(out.train, options.validation_split, options.seed);
    if (out.validation.empty()) {
      out.report.notes.push_back("data.validation_split leaves none of " + std::to_string(n) +
                                 " samples to validate on; there will be no evaluation");
    }
  }
  out.report.train = report_of(out.train);
  out.report.validation = report_of(out.validation);
  if (options.show_text) {
    out.report.shown_sample = show_text_of(out.train.front(), tokenizer);
  } else {
    out.report.notes.emplace_back("samples are not shown: output.show_text = false");
  }
  return out;
}

}  // namespace lora_dist
