// Reads and checks the lines of an input file.
#include "src/commands/input_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "src/core/error.h"
#include "src/data/chat_rows.h"
#include "src/data/chat_sample.h"
#include "src/data/sample.h"
#include "src/data/tokenize.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"

namespace lora_dist {

namespace {

using nlohmann::ordered_json;

struct LineLocation {
  const std::filesystem::path& file;
  std::size_t line;

  std::string name() const { return fmt::format("{}:{}", file.string(), line); }
  [[noreturn]] void fail(const std::string& what) const { throw Error(ExitCode::data, name() + ": " + what); }
};

std::vector<std::int32_t> read_ids(const ordered_json& list, const char* name, std::int64_t vocab, bool labels,
                                   const LineLocation& location) {
  if (!list.is_array()) {
    location.fail(fmt::format("\"{}\" must be a list of token ids", name));
  }
  std::vector<std::int32_t> ids;
  for (const ordered_json& item : list) {
    const bool whole =
        item.is_number_integer() && (!item.is_number_unsigned() || item.get<std::uint64_t>() < (std::uint64_t{1} << 62));
    const std::int64_t id = whole ? item.get<std::int64_t>() : -1;
    if (!whole || ((id < 0 || id >= vocab) && !(labels && id == kNotTrained))) {
      location.fail(fmt::format("\"{}\" holds {}, which is no id of this model's vocabulary of {}{}", name,
                                item.is_structured() ? "something else" : item.dump(), vocab, labels ? " and not -100" : ""));
    }
    ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

const Tokenizer& tokenizer_for_text(const OpenModel& model, const LineLocation& location) {
  if (!model.tokenizer) {
    location.fail("has text, but the model folder has no tokenizer.json or tokenizer.model; give input_ids");
  }
  return *model.tokenizer;
}

/// State shared by the lines of a file.
struct LineReader {
  const LineFormat& format;
  const OpenModel& model;
  std::optional<ChatTemplate> chat_template{};  // opened on demand
};

InputLine conversation_line(const ChatRow& row, const Tokenizer& tokenizer, std::optional<ChatTemplate>& chat_template,
                            const std::string& where) {
  if (!chat_template) {
    chat_template = require_chat_template(tokenizer);
  }
  ChatPrompt prompt = chat_prompt(*chat_template, row, tokenizer, where);
  InputLine line;
  line.text = std::move(prompt.text);
  line.ids = std::move(prompt.ids);
  line.chat = true;
  return line;
}

ChatRow question_row(const std::string& message) { return {ordered_json::array({{{"role", "user"}, {"content", message}}}), {}}; }

/// A line with text, tokenized.
InputLine text_line(const ordered_json& row, LineReader& reader, const LineLocation& location) {
  const LineFormat& format = reader.format;
  if (format.messages && row.contains("messages")) {
    const ChatRow chat = read_chat_row(row, location.name());
    return conversation_line(chat, tokenizer_for_text(reader.model, location), reader.chat_template, location.name());
  }
  const auto key =
      std::find_if(format.text_keys.begin(), format.text_keys.end(), [&](const std::string& name) { return row.contains(name); });
  if (key == format.text_keys.end() || !row[*key].is_string()) {
    location.fail(fmt::format("needs \"{}\" (a string) or \"input_ids\" (a list)", format.text_keys.front()));
  }
  const Tokenizer& tokenizer = tokenizer_for_text(reader.model, location);
  const std::string text = row[*key].get<std::string>();
  if (format.chat) {
    return conversation_line(question_row(text), tokenizer, reader.chat_template, location.name());
  }
  InputLine line;
  line.text = text;
  line.ids = format.to_continue ? encode_prompt(tokenizer, text) : encode(tokenizer, text, true);
  return line;
}

InputLine read_line(std::string_view text, LineReader& reader, const LineLocation& location) {
  const OpenModel& model = reader.model;
  ordered_json row;
  try {
    row = parse_ordered_json(text);
  } catch (const JsonError& error) {
    location.fail(fmt::format("is not a JSON object ({})", error.what()));
  }
  if (!row.is_object()) {
    location.fail("is not a JSON object");
  }
  InputLine line;
  if (row.contains("input_ids")) {
    line.ids = read_ids(row["input_ids"], "input_ids", model.spec.vocab, false, location);
  } else {
    line = text_line(row, reader, location);
    check_ids(line.ids, model.spec.vocab, location.name());
  }
  line.id = row.contains("id") ? row["id"] : ordered_json(location.line);
  line.number = location.line;
  if (line.ids.empty()) {
    location.fail("has no tokens");
  }
  line.labels = row.contains("labels") ? read_ids(row["labels"], "labels", model.spec.vocab, true, location) : line.ids;
  if (line.labels.size() != line.ids.size()) {
    location.fail(fmt::format("has {} labels for {} input_ids; they must be as many", line.labels.size(), line.ids.size()));
  }
  return line;
}

}  // namespace

std::vector<InputLine> read_input_lines(const std::filesystem::path& file, const LineFormat& format, const OpenModel& model) {
  const std::string content = read_text_file(file, ExitCode::data);
  LineReader reader{format, model};
  std::vector<InputLine> lines;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string_view text = std::string_view(content).substr(begin, end - begin);
    ++number;
    if (text.find_first_not_of(" \t\r") != std::string_view::npos) {
      lines.push_back(read_line(text, reader, {file, number}));
    }
    begin = end + 1;
  }
  if (lines.empty()) {
    throw Error(ExitCode::data, fmt::format("{}: holds no lines", file.string()));
  }
  return lines;
}

InputLine chat_line(const std::string& message, const Tokenizer& tokenizer, const std::string& where) {
  std::optional<ChatTemplate> chat_template;
  return conversation_line(question_row(message), tokenizer, chat_template, where);
}

const InputLine& longest_of(const std::vector<InputLine>& lines) {
  return *std::max_element(lines.begin(), lines.end(),
                           [](const InputLine& a, const InputLine& b) { return a.tokens() < b.tokens(); });
}

std::string location_of(const InputLine& line, const std::string& file) {
  return line.number == 0 ? "--prompt" : fmt::format("{}:{}", file, line.number);
}

}  // namespace lora_dist
