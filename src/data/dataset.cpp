// Converts files to tokens: reads, renders, tokenises and checks rows.
#include "src/data/dataset.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "src/chat_template/template_date.h"
#include "src/core/error.h"
#include "src/core/fault_point.h"
#include "src/core/stop_request.h"
#include "src/data/bad_rows.h"
#include "src/data/chat_sample.h"
#include "src/data/formats.h"
#include "src/data/row_fields.h"
#include "src/data/row_samples.h"

namespace lora_dist {
namespace {

/// State of reading the files one after another.
struct Loader {
  const DataOptions& options;
  RowShare& share;
  SampleMaker maker;
  TokenizedRows out{};
  TokenizingFigures figures{};
  std::int64_t first_id = 0;  // of the current file

  bool skips() const { return options.bad_rows == BadRows::skip; }
};

/// The files' total size, as far as known.
double bytes_in(const std::vector<std::filesystem::path>& files) {
  double bytes = 0.0;
  for (const auto& file : files) {
    std::error_code problem;
    const std::uintmax_t size = std::filesystem::file_size(file, problem);
    bytes += problem ? 0.0 : static_cast<double>(size);
  }
  return bytes;
}

void keep(Loader& loader, const TokenizedRow& sample, const Row& row) {
  TokenizedRows& out = loader.out;
  out.samples.push_back({loader.first_id + row.index, row.number, static_cast<std::int32_t>(out.files.size()),
                         static_cast<std::int32_t>(sample.input_ids.size())});
  out.input_ids.insert(out.input_ids.end(), sample.input_ids.begin(), sample.input_ids.end());
  out.labels.insert(out.labels.end(), sample.labels.begin(), sample.labels.end());
}

/// The position in the work: files are first read, then tokenized row by row.
enum class Stage : std::uint8_t { read, tokenize };
void reach(Loader& loader, Stage stage, std::int64_t index) {
  const auto file = static_cast<std::int64_t>(loader.out.files.size());
  loader.share.reached = (2 * file + (stage == Stage::tokenize ? 1 : 0)) * (std::int64_t{1} << 32) + index;
}

DatasetFile read_share(Loader& loader, const std::filesystem::path& path) {
  reach(loader, Stage::read, 0);
  const auto wanted = [&](std::int64_t index) {
    reach(loader, Stage::read, index);
    return index % loader.share.ranks == loader.share.rank;
  };
  std::optional<std::int64_t> most_bad_rows;
  if (loader.skips()) {
    const std::int64_t most = loader.options.max_bad_rows;
    most_bad_rows = most == 0 ? INT64_MAX : most - count_bad_rows(loader.out.files);
  }
  return read_dataset_file(path, loader.options.format, wanted, most_bad_rows);
}

void show_progress(Loader& loader, double bytes_before, double file_bytes, std::int64_t rows_done, std::int64_t rows) {
  loader.figures.rows_done = rows_done;
  loader.figures.rows = rows;
  loader.figures.bytes_done = bytes_before + file_bytes * static_cast<double>(rows_done) / static_cast<double>(rows);
  if (loader.share.on_row) {
    loader.share.on_row(loader.figures);
  }
}

/// Too many bad rows in this share are an immediate error.
void check_bad_rows_with(const Loader& loader, const FileReport& report) {
  const std::int64_t most = loader.options.max_bad_rows;
  const std::int64_t bad = static_cast<std::int64_t>(report.bad_rows.size()) + count_bad_rows(loader.out.files);
  if (most > 0 && bad > most) {
    std::vector<FileReport> files = loader.out.files;
    files.push_back(report);
    check_bad_rows(files, most);
  }
}

/// Adds a row's sample, or reports why there is none.
void load_row(Loader& loader, const Row& row, const std::string& where, const std::filesystem::path& path, FileReport& report) {
  ++report.kinds[std::string(name_of(row.kind))];
  const std::optional<RowTemplate> row_template = template_of(loader.maker, row.kind, path, report);
  if (!row.trained) {
    ++report.dropped[kMarkedAsNotTrained];
    return;
  }
  if (has_empty_completion(row.content)) {
    ++report.dropped["nothing to learn: the completion is empty"];
    return;
  }
  note_row(loader.maker, row, row_template, report);
  TokenizedRow whole;
  try {
    whole = whole_sample_of(loader.maker, row, row_template, where);
  } catch (const Error& e) {
    if (!loader.skips() || e.code() != ExitCode::data) {
      throw;
    }
    const auto* refused = dynamic_cast<const RefusedConversation*>(&e);
    report.bad_rows.push_back({row.number, reason_without(where, refused != nullptr ? refused->without_words() : e.what())});
    check_bad_rows_with(loader, report);
    return;
  }
  if (whole.quoted_arguments) {
    add_note(
        report,
        "arguments of calls are given as a text that is JSON, and the chat template prints them in quotes; give them as objects "
        "where the model is to print objects");
  }
  const auto [sample, reason] = cut_sample(loader.maker, row, std::move(whole), where, report);
  if (sample) {
    report.empty_answers += sample->empty_answers;
    keep(loader, *sample, row);
  } else {
    ++report.dropped[reason];
  }
}

void load_file(Loader& loader, const std::filesystem::path& path, bool validation) {
  const DatasetFile file = read_share(loader, path);
  const double bytes_before = loader.figures.bytes_done;
  const double file_bytes = bytes_in({path});
  FileReport report{path.string(), name_of(file.container), validation, file.row_count};
  report.bad_rows = file.bad_rows;
  report.unknown_flags = file.unknown_flags;
  report.unused_columns = file.unused_columns;
  check_bad_rows_with(loader, report);
  reach(loader, Stage::tokenize, 0);
  for (const Row& row : file.rows) {
    stop_if_requested();
    fault_point("tokenize");
    const std::string where = location_in(path, file.container, row.number);
    reach(loader, Stage::tokenize, row.index);
    if (loader.first_id + row.index >= INT32_MAX) {
      throw Error(ExitCode::data, where + ": more than 2,147,483,647 rows");
    }
    load_row(loader, row, where, path, report);
    show_progress(loader, bytes_before, file_bytes, row.index + 1, file.row_count);
  }
  loader.figures.bytes_done = bytes_before + file_bytes;
  loader.first_id += file.row_count;
  loader.out.files.push_back(std::move(report));
}

}  // namespace

std::string day_of_templates(const DataOptions& options) {
  return options.template_day.empty() ? chat_template_today() : options.template_day;
}

void check_data_options(const DataOptions& options) {
  if (options.max_length < 2) {
    throw Error(ExitCode::usage, "data.max_length must be at least 2 (got " + std::to_string(options.max_length) + ")");
  }
  if (!(options.validation_split >= 0.0 && options.validation_split < 1.0)) {
    throw Error(ExitCode::usage, "data.validation_split must be at least 0 and less than 1");
  }
  if (options.train.empty()) {
    throw Error(ExitCode::data, "data.train names no file");
  }
}

TokenizedRows tokenize_rows(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size, RowShare& share) {
  check_data_options(options);
  Loader loader{options, share, {options, tokenizer, vocab_size}};
  loader.figures.bytes = bytes_in(options.train) + bytes_in(options.validation);
  for (const auto& path : options.train) {
    load_file(loader, path, false);
  }
  for (const auto& path : options.validation) {
    load_file(loader, path, true);
  }
  return std::move(loader.out);
}

Dataset load_dataset(const DataOptions& options, const Tokenizer* tokenizer, std::int64_t vocab_size) {
  RowShare all;
  const TokenizedRows rows = tokenize_rows(options, tokenizer, vocab_size, all);
  const TokenImage part = view_of(rows);
  return make_dataset(make_token_image(std::span(&part, 1), ""), options, tokenizer);
}

}  // namespace lora_dist
