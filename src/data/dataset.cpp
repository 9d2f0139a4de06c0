// Files to tokens: read, render, tokenise, check.
#include "src/data/dataset.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "src/chat_template/template_date.h"
#include "src/core/error.h"
#include "src/core/fault_point.h"
#include "src/core/stop_request.h"
#include "src/data/chat_rows.h"
#include "src/data/chat_sample.h"
#include "src/data/formats.h"
#include "src/data/row_fields.h"
#include "src/data/templates.h"
#include "src/data/tokenize.h"

namespace lora_dist {
namespace {

/// What the steps below share while files are read one after another.
struct Loader {
  const DataOptions& options;
  const Tokenizer* tokenizer;
  std::int64_t vocab_size;
  RowShare& share;
  TokenizedRows out{};
  TokenizingFigures figures{};
  std::int64_t first_id = 0;                    // of the file at hand
  std::optional<ChatTemplate> chat_template{};  // opened when a file's rows need it
};

void check_choice(const char* key, const std::string& value, std::initializer_list<std::string_view> choices) {
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    std::string names;
    for (const std::string_view choice : choices) {
      names += (names.empty() ? "" : ", ") + std::string(choice);
    }
    throw Error(ExitCode::usage, std::string("data.") + key + " = \"" + value.substr(0, 40) + "\" is none of " + names);
  }
}

/// As far as that is known.
double bytes_in(const std::vector<std::filesystem::path>& files) {
  double bytes = 0.0;
  for (const auto& file : files) {
    std::error_code problem;
    const std::uintmax_t size = std::filesystem::file_size(file, problem);
    bytes += problem ? 0.0 : static_cast<double>(size);
  }
  return bytes;
}

const Tokenizer& tokenizer_for_text(const Loader& loader, const std::filesystem::path& file) {
  if (loader.tokenizer == nullptr) {
    throw Error(ExitCode::model,
                file.string() +
                    " holds text, but the model folder has no tokenizer; copy its tokenizer.json (or tokenizer.model) "
                    "into the folder, or give all data as input_ids");
  }
  return *loader.tokenizer;
}

/// Opens what the template needs. A text, and a chat template, bring their own ends.
void prepare_template(Loader& loader, RowKind kind, const std::string& template_name) {
  if (template_name == "tokenizer") {
    if (!loader.chat_template) {
      loader.chat_template = require_chat_template(*loader.tokenizer);
      loader.chat_template->now = noon_of(day_of_templates(loader.options));
      loader.chat_template->show_text = loader.options.show_text;
    }
  } else if (kind != RowKind::text && !loader.tokenizer->eos) {
    throw Error(ExitCode::model, loader.tokenizer->file.string() +
                                     " has no end-of-text token, without which the model would not learn to stop; "
                                     "name eos_token in tokenizer_config.json");
  }
}

constexpr const char* kEmptyAnswers = "nothing to learn: every answer is empty, or not printed by the chat template";

bool has_empty_completion(const RowContent& content) {
  const auto* alpaca = std::get_if<AlpacaRow>(&content);
  const auto* qa = std::get_if<QaRow>(&content);
  const auto* text = std::get_if<TextRow>(&content);
  const auto* marked = std::get_if<MarkedRow>(&content);
  return (alpaca != nullptr && is_blank(alpaca->output)) || (qa != nullptr && is_blank(qa->answer)) ||
         (text != nullptr && is_blank(text->text)) || (marked != nullptr && is_blank(marked->text));
}

/// Of a row that is not ids.
TokenizedRow sample_of_words(const Loader& loader, const Row& row, RowKind kind, const std::string& template_name,
                             const std::string& where) {
  const bool train_all = loader.options.train_on == "all";
  if (const auto* text = std::get_if<TextRow>(&row.content)) {
    return sample_of_text(*loader.tokenizer, text->text);
  }
  if (const auto* marked = std::get_if<MarkedRow>(&row.content)) {
    return sample_of_marked_text(*loader.tokenizer, kind, marked->text, train_all);
  }
  if (template_name == "tokenizer") {
    return sample_of_chat(*loader.chat_template, conversation_row(row), *loader.tokenizer, train_all, where);
  }
  TokenizedRow sample = tokenize_pieces(*loader.tokenizer, render_row(row, template_name, where), train_all);
  if (const auto* chat = std::get_if<ChatRow>(&row.content); chat != nullptr && !train_all) {
    sample.empty_answers = empty_answers(*chat);
  }
  return sample;
}

/// The sample of a row, or the reason why there is none.
std::pair<std::optional<TokenizedRow>, const char*> sample_of_row(const Loader& loader, const Row& row, RowKind kind,
                                                                  const std::string& template_name, const std::string& where,
                                                                  FileReport& report) {
  const DataOptions& options = loader.options;
  TokenizedRow sample;
  if (const auto* ids = std::get_if<IdsRow>(&row.content)) {
    sample = sample_of_ids(*ids, loader.vocab_size, where);
  } else {
    if (has_empty_completion(row.content)) {
      return {std::nullopt, "nothing to learn: the completion is empty"};
    }
    sample = sample_of_words(loader, row, kind, template_name, where);
    check_ids(sample, loader.vocab_size, where);
  }
  if (trained_tokens(sample.labels) == 0) {
    return {std::nullopt, sample.empty_answers > 0 ? kEmptyAnswers : "no trained token"};
  }
  const auto limit = static_cast<std::size_t>(options.max_length);
  if (sample.input_ids.size() > limit) {
    if (options.overlong == "error") {
      throw Error(ExitCode::data, where + ": " + std::to_string(sample.input_ids.size()) +
                                      " tokens, more than data.max_length = " + std::to_string(limit) +
                                      "; raise it, or set data.overlong to truncate or drop");
    }
    if (options.overlong == "drop") {
      return {std::nullopt, "longer than data.max_length"};
    }
    sample.input_ids.resize(limit);
    sample.labels.resize(limit);
    ++report.truncated;
    if (trained_tokens(sample.labels) == 0) {
      return {std::nullopt, "no trained token within data.max_length"};
    }
  }
  return {std::move(sample), nullptr};
}

/// Whether a row calls tools that its template does not look at.
bool calls_in_vain(const ChatTemplate& chat_template, const Row& row) {
  const auto* chat = std::get_if<ChatRow>(&row.content);
  return chat != nullptr && std::any_of(chat->messages.begin(), chat->messages.end(), has_calls) &&
         template_for(chat_template, chat->tools).source.find("tool_calls") == std::string::npos;
}

std::vector<std::string> notes_on_template(const Loader& loader, const DatasetFile& file, const std::string& template_name) {
  std::vector<std::string> notes;
  const auto in_vain = [&](const Row& row) { return calls_in_vain(*loader.chat_template, row); };
  if (template_name == "tokenizer" && std::any_of(file.rows.begin(), file.rows.end(), in_vain)) {
    notes.emplace_back("there are calls of tools, which the model's chat template does not know");
  }
  if (loader.options.template_name == "auto" && (template_name == "alpaca" || template_name == "qa") &&
      loader.tokenizer->has_chat_template) {
    notes.push_back("the template is \"" + template_name +
                    "\"; the model's own chat template is used with data.template = \"tokenizer\"");
  }
  if (template_name == "chatml" && !token_id(*loader.tokenizer, "<|im_end|>")) {
    notes.emplace_back("the tokenizer has no token <|im_end|>; chatml's marks are spelt out");
  }
  return notes;
}

void keep(Loader& loader, const TokenizedRow& sample, const Row& row) {
  TokenizedRows& out = loader.out;
  out.samples.push_back({loader.first_id + row.index, row.number, static_cast<std::int32_t>(out.files.size()),
                         static_cast<std::int32_t>(sample.input_ids.size())});
  out.input_ids.insert(out.input_ids.end(), sample.input_ids.begin(), sample.input_ids.end());
  out.labels.insert(out.labels.end(), sample.labels.begin(), sample.labels.end());
}

/// Where the work is: files are first read, then tokenized, row by row.
enum class Stage : std::uint8_t { read, tokenize };
void reach(Loader& loader, Stage stage, std::int64_t index) {
  const auto file = static_cast<std::int64_t>(loader.out.files.size());
  loader.share.reached = (2 * file + (stage == Stage::tokenize ? 1 : 0)) * (std::int64_t{1} << 32) + index;
}

DatasetFile read_share(Loader& loader, const std::filesystem::path& path) {
  reach(loader, Stage::read, 0);
  return read_dataset_file(path, loader.options.format, [&](std::int64_t index) {
    reach(loader, Stage::read, index);
    return index % loader.share.ranks == loader.share.rank;
  });
}

void show_progress(Loader& loader, double bytes_before, double file_bytes, std::int64_t rows_done, std::int64_t rows) {
  loader.figures.rows_done = rows_done;
  loader.figures.rows = rows;
  loader.figures.bytes_done = bytes_before + file_bytes * static_cast<double>(rows_done) / static_cast<double>(rows);
  if (loader.share.on_row) {
    loader.share.on_row(loader.figures);
  }
}

void load_file(Loader& loader, const std::filesystem::path& path, bool validation) {
  const DatasetFile file = read_share(loader, path);
  const double bytes_before = loader.figures.bytes_done;
  const double file_bytes = bytes_in({path});
  FileReport report{path.string(), name_of(file.container), std::string(name_of(file.kind)), "none", validation, file.row_count};
  reach(loader, Stage::tokenize, 0);
  if (file.kind != RowKind::ids) {
    report.template_name = choose_template(loader.options.template_name, file.kind, tokenizer_for_text(loader, path));
    prepare_template(loader, file.kind, report.template_name);
    report.notes = notes_on_template(loader, file, report.template_name);
  }
  for (const Row& row : file.rows) {
    stop_if_requested();
    fault_point("tokenize");
    const std::string where = place_in(path, file.container, row.number);
    reach(loader, Stage::tokenize, row.index);
    if (loader.first_id + row.index >= INT32_MAX) {
      throw Error(ExitCode::data, where + ": more than 2,147,483,647 rows");
    }
    const auto [sample, reason] = sample_of_row(loader, row, file.kind, report.template_name, where, report);
    if (sample) {
      report.empty_answers += sample->empty_answers;
      keep(loader, *sample, row);
    } else {
      ++report.dropped[reason];
    }
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
  check_choice("train_on", options.train_on, {"completion", "all"});
  check_choice("overlong", options.overlong, {"truncate", "drop", "error"});
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
  Loader loader{options, tokenizer, vocab_size, share};
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
