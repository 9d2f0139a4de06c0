// JSON, JSONL, CSV and plain text to rows.
#include "src/data/containers.h"

#include <algorithm>
#include <string_view>

#include "src/core/error.h"
#include "src/data/csv.h"
#include "src/data/row_fields.h"
#include "src/io/strict_json.h"
#include "src/tokenizer/utf8.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;
using RowFunction = std::function<void(std::int64_t, json)>;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_mark(std::string_view text) {
  return text.starts_with(kByteOrderMark) ? text.substr(kByteOrderMark.size()) : text;
}

/// The parser's reason without the text it quotes (a row may hold what must not be in a log), and for a single line without "line
/// 1".
std::string reason(const JsonError& error, bool one_line) {
  std::string what = error.what();
  if (what.ends_with("is given twice")) {
    return "a key is given twice";
  }
  what = what.substr(0, std::min(what.find("; last read"), std::size_t{160}));
  const std::string first_line = "parse error at line 1, ";
  return one_line && what.starts_with(first_line) ? "at " + what.substr(first_line.size()) : what;
}

/// Calls line(number, text) for every line that is not blank.
template <class Line>
void for_each_line(std::string_view text, Line line) {
  std::int64_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view one = text.substr(0, end);
    ++number;
    if (!is_blank(one)) {
      line(number, one);
    }
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
}

void json_lines(const std::filesystem::path& file, std::string_view text, const WantedRow& wanted, const RowFunction& row) {
  std::int64_t index = 0;
  for_each_line(text, [&](std::int64_t number, std::string_view line) {
    if (!wanted(index++)) {
      return;
    }
    json value;
    try {
      value = parse_ordered_json(line);
    } catch (const JsonError& e) {
      throw Error(ExitCode::data, place_in(file, Container::jsonl, number) + ": the line is not JSON (" + reason(e, true) +
                                      "); a dataset has one object per line, or is a list of objects");
    }
    row(number, std::move(value));
  });
}

void json_array(const std::filesystem::path& file, std::string_view text, const WantedRow& wanted, const RowFunction& row) {
  json rows;
  try {
    rows = parse_ordered_json(text);
  } catch (const JsonError& e) {
    throw Error(ExitCode::data, file.string() + " begins like a JSON list but is not JSON (" + reason(e, false) + ")");
  }
  std::int64_t index = 0;
  for (json& one : rows) {
    if (wanted(index++)) {
      row(index, std::move(one));
    }
  }
}

void csv_rows(const std::filesystem::path& file, std::string_view text, const WantedRow& wanted, const RowFunction& row) {
  std::vector<CsvRecord> records;
  try {
    records = parse_csv(text);
  } catch (const std::runtime_error& e) {
    throw Error(ExitCode::data, file.string() + ": " + e.what());
  }
  for (std::size_t i = 1; i < records.size(); ++i) {
    if (!wanted(static_cast<std::int64_t>(i) - 1)) {
      continue;
    }
    const auto& columns = records[0].fields;
    const auto& fields = records[i].fields;
    const std::string place = place_in(file, Container::csv, records[i].line);
    if (fields.size() != columns.size()) {
      throw Error(ExitCode::data, place + ": " + std::to_string(fields.size()) + " fields, but the header has " +
                                      std::to_string(columns.size()) + " columns");
    }
    json object = json::object();
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (!is_utf8(fields[c]) || !is_utf8(columns[c])) {
        throw Error(ExitCode::data, place + ": not UTF-8; save the file as UTF-8");
      }
      object[columns[c]] = fields[c];
    }
    row(records[i].line, std::move(object));
  }
}

void paragraphs(const std::filesystem::path& file, std::string_view text, const WantedRow& wanted, const RowFunction& row) {
  std::int64_t number = 0;
  std::string paragraph;
  const auto end_paragraph = [&] {
    if (paragraph.empty()) {
      return;
    }
    if (wanted(number++)) {
      if (!is_utf8(paragraph)) {
        throw Error(ExitCode::data, place_in(file, Container::text, number) + ": not UTF-8; save the file as UTF-8");
      }
      row(number, json{{"text", paragraph}});
    }
    paragraph.clear();
  };
  std::int64_t last_line = 0;
  for_each_line(text, [&](std::int64_t line_number, std::string_view line) {
    if (line_number != last_line + 1) {
      end_paragraph();
    }
    last_line = line_number;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    paragraph += (paragraph.empty() ? "" : "\n") + std::string(line);
  });
  end_paragraph();
}

}  // namespace

std::string name_of(Container container) {
  switch (container) {
    case Container::json:
      return "JSON";
    case Container::jsonl:
      return "JSONL";
    case Container::csv:
      return "CSV";
    case Container::text:
      return "text";
  }
  return "?";
}

std::string place_in(const std::filesystem::path& file, Container container, std::int64_t number) {
  const std::string n = std::to_string(number);
  switch (container) {
    case Container::json:
      return file.string() + ", row " + n;
    case Container::text:
      return file.string() + ", paragraph " + n;
    default:
      return file.string() + ":" + n;
  }
}

Container find_container(const std::filesystem::path& file, const std::string& content) {
  if (file.extension() == ".csv") {
    return Container::csv;
  }
  if (file.extension() == ".txt") {
    return Container::text;
  }
  const std::string_view text = without_mark(content);
  const std::size_t first = text.find_first_not_of(kBlank);
  return first != std::string_view::npos && text[first] == '[' ? Container::json : Container::jsonl;
}

void for_each_row(const std::filesystem::path& file, Container container, const std::string& content, const WantedRow& wanted,
                  const RowFunction& row) {
  const std::string_view text = without_mark(content);
  switch (container) {
    case Container::json:
      return json_array(file, text, wanted, row);
    case Container::jsonl:
      return json_lines(file, text, wanted, row);
    case Container::csv:
      return csv_rows(file, text, wanted, row);
    case Container::text:
      return paragraphs(file, text, wanted, row);
  }
}

}  // namespace lora_dist
