// Reads JSON, JSONL, tables and plain text into rows.
#include "src/data/containers.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/data/csv.h"
#include "src/data/data_text.h"
#include "src/data/json_document.h"
#include "src/data/row_fields.h"
#include "src/data/row_kind.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

/// The parser's reason without quoted text (rows may be confidential), and without "line 1" for a single line.
std::string reason(const JsonError& error, bool one_line) {
  std::string what = error.what();
  if (what.ends_with("is given twice")) {
    return "a key is given twice";
  }
  what = what.substr(0, std::min(what.find("; last read"), std::size_t{160}));
  const std::string first_line = "parse error at line 1, ";
  return one_line && what.starts_with(first_line) ? "at " + what.substr(first_line.size()) : what;
}

/// Calls line(number, text) for every non-blank line. Lines may end in CR alone (old Macintosh files).
template <class Line>
void for_each_line(std::string_view text, Line line) {
  const char line_end = text.find('\n') == std::string_view::npos ? '\r' : '\n';
  std::int64_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find(line_end);
    const std::string_view one = text.substr(0, end);
    ++number;
    if (!is_blank(one)) {
      line(number, one);
    }
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = std::min(text.find_first_not_of(kBlank), text.size());
  return text.substr(first, text.find_last_not_of(kBlank) + 1 - first);
}

void json_lines(std::string_view text, const RowReader& reader) {
  std::int64_t index = 0;
  for_each_line(text, [&](std::int64_t number, std::string_view line) {
    if (!reader.wanted(index++)) {
      return;
    }
    json value;
    try {
      value = parse_python_row(line);
    } catch (const JsonError& e) {
      const bool opened = trimmed(line) == "{" || trimmed(line) == "[";
      return reader.bad_row(
          number, "the line is not JSON (" + reason(e, true) + "); a dataset has one object per line" +
                      (opened ? ", the whole object on that line, or is a list of objects" : ", or is a list of objects"));
    }
    reader.row(number, std::move(value));
  });
}

void json_document(const std::filesystem::path& file, std::string_view text, const RowReader& reader) {
  json document;
  try {
    document = parse_python_row(text);
  } catch (const JsonError& e) {
    throw Error(ExitCode::data, file.string() + " begins like a JSON list but is not JSON (" + reason(e, false) + ")");
  }
  json rows = rows_of_document(file, std::move(document));
  std::int64_t index = 0;
  for (json& one : rows) {
    if (reader.wanted(index++)) {
      reader.row(index, std::move(one));
    }
  }
}

/// The separator in Excel's first line "sep=;"; nullopt if absent.
std::optional<char> written_separator(std::string_view text) {
  const bool there = text.starts_with("sep=") && text.size() > 5 && (text[5] == '\r' || text[5] == '\n');
  return there ? std::optional(text[4]) : std::nullopt;
}

/// The separator that gives the header the most known keys.
char find_separator(Container container, std::string_view text) {
  char best = container == Container::tsv ? '\t' : ',';
  std::ptrdiff_t most = 0;
  for (const char separator : {best, ',', ';', '\t', '|'}) {
    const std::vector<std::string> header = csv_header(text, separator);
    const auto known =
        std::count_if(header.begin(), header.end(), [](const std::string& name) { return is_known_key(trimmed(name)); });
    if (known > most) {
      most = known;
      best = separator;
    }
  }
  return best;
}

/// True if the first line has at least two known column names of one kind of rows.
bool begins_like_table(std::string_view text) {
  json row = json::object();
  for (const std::string& name : csv_header(text, find_separator(Container::csv, text))) {
    row[to_utf8(trimmed(name))] = "";
  }
  return row.size() > 1 && kind_of(row).has_value();
}

/// The fields by column name, or the reason of a mismatch.
std::string object_of(const std::vector<std::string>& columns, const std::vector<std::string>& fields, json& object) {
  if (fields.size() != columns.size()) {
    return std::to_string(fields.size()) + " fields, but the header has " + std::to_string(columns.size()) + " columns";
  }
  object = json::object();
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (!is_utf8(fields[c]) || !is_utf8(columns[c])) {
      return "not UTF-8; save the file as UTF-8";
    }
    object[std::string(trimmed(columns[c]))] = fields[c];
  }
  return "";
}

void csv_rows(const std::filesystem::path& file, Container container, std::string_view text, const RowReader& reader) {
  std::vector<CsvRecord> records;
  try {
    const std::optional<char> written = written_separator(text);
    records = parse_csv(text, written ? *written : find_separator(container, text));
    records.erase(records.begin(), records.begin() + (written ? 1 : 0));
  } catch (const std::runtime_error& e) {
    throw Error(ExitCode::data, file.string() + ": " + e.what());
  }
  for (std::size_t i = 1; i < records.size(); ++i) {
    if (!reader.wanted(static_cast<std::int64_t>(i) - 1)) {
      continue;
    }
    json object;
    const std::string problem = object_of(records[0].fields, records[i].fields, object);
    if (problem.empty()) {
      reader.row(records[i].line, std::move(object));
    } else {
      reader.bad_row(records[i].line, problem);
    }
  }
}

void paragraphs(std::string_view text, const RowReader& reader) {
  std::int64_t number = 0;
  std::string paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty() && reader.wanted(number++)) {
      if (is_utf8(paragraph)) {
        reader.row(number, json{{"text", paragraph}});
      } else {
        reader.bad_row(number, "not UTF-8; save the file as UTF-8");
      }
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

/// True if a text that begins with an object is one JSON document instead of JSONL.
bool is_one_object(std::string_view text) {
  const std::string_view whole = trimmed(text);
  const std::string_view line = whole.substr(0, whole.find_first_of("\r\n"));
  try {
    return holds_rows(parse_python_row(line)) && line.size() == whole.size();
  } catch (const JsonError&) {
  }
  try {
    return line.size() < whole.size() && parse_python_row(whole).is_object();
  } catch (const JsonError&) {
    return false;
  }
}

bool begins_with_row(std::string_view text) {
  const std::string_view whole = trimmed(text);
  try {
    const json first = parse_python_row(whole.substr(0, whole.find_first_of("\r\n")));
    return first.is_object() && kind_of(first).has_value();
  } catch (const JsonError&) {
    return false;
  }
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
    case Container::tsv:
      return "TSV";
    case Container::text:
      return "text";
  }
  return "?";
}

std::string location_in(const std::filesystem::path& file, Container container, std::int64_t number) {
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

std::string location_in(const std::filesystem::path& file, const std::string& container, std::int64_t number) {
  for (const Container one : {Container::json, Container::text}) {
    if (container == name_of(one)) {
      return location_in(file, one, number);
    }
  }
  return location_in(file, Container::jsonl, number);
}

Container find_container(const std::filesystem::path& file, const std::string& text) {
  const std::string suffix = ascii_lower(name_of_content(file).extension().string());
  if (suffix == ".csv") {
    return Container::csv;
  }
  if (suffix == ".tsv" || suffix == ".tab") {
    return Container::tsv;
  }
  const std::size_t first = text.find_first_not_of(kBlank);
  const char opening = first == std::string::npos ? ' ' : text[first];
  if (suffix == ".txt" && !(opening == '{' && begins_with_row(text))) {  // Excel saves tables as .txt
    return find_separator(Container::tsv, text) == '\t' && begins_like_table(text) ? Container::tsv : Container::text;
  }
  if (opening == '[' || (opening == '{' && is_one_object(text))) {
    return Container::json;
  }
  return opening != '{' && begins_like_table(text) ? Container::csv : Container::jsonl;
}

void for_each_row(const std::filesystem::path& file, Container container, const std::string& text, const RowReader& reader) {
  switch (container) {
    case Container::json:
      return json_document(file, text, reader);
    case Container::jsonl:
      return json_lines(text, reader);
    case Container::csv:
    case Container::tsv:
      return csv_rows(file, container, text, reader);
    case Container::text:
      return paragraphs(text, reader);
  }
}

}  // namespace lora_dist
