// One pass over the text, a field at a time.
#include "src/data/csv.h"

#include <stdexcept>
#include <utility>

namespace lora_dist {
namespace {

struct Reader {
  std::string_view text;
  char separator;
  std::size_t at = 0;
  std::int64_t line = 1;

  bool at_end() const { return at >= text.size(); }
  bool at_line_end() const { return at_end() || text[at] == '\n' || text[at] == '\r'; }

  void skip_line_end() {
    if (!at_end()) {
      at += text.substr(at, 2) == "\r\n" ? 2 : 1;
      ++line;
    }
  }
};

[[noreturn]] void fail_at(std::int64_t line, const std::string& what) {
  throw std::runtime_error("line " + std::to_string(line) + ": " + what);
}

std::string quoted_field(Reader& in) {
  const std::int64_t first = in.line;
  std::string field;
  for (++in.at; !in.at_end(); ++in.at) {
    if (in.text[in.at] != '"') {
      in.line += in.text[in.at] == '\n' || (in.text[in.at] == '\r' && in.text.substr(in.at, 2) != "\r\n") ? 1 : 0;
      field.push_back(in.text[in.at]);
    } else if (in.text.substr(in.at, 2) == "\"\"") {
      field.push_back('"');
      ++in.at;
    } else {
      ++in.at;
      if (!in.at_line_end() && in.text[in.at] != in.separator) {
        fail_at(in.line, "text after the closing quote of a field; a quote inside a quoted field is written twice");
      }
      return field;
    }
  }
  fail_at(first, "a quoted field never ends");
}

std::string plain_field(Reader& in) {
  const std::size_t begin = in.at;
  while (!in.at_line_end() && in.text[in.at] != in.separator) {
    ++in.at;
  }
  return std::string(in.text.substr(begin, in.at - begin));
}

/// Reads the next record and its line end.
CsvRecord read_record(Reader& in) {
  CsvRecord record{in.line, {}};
  for (;;) {
    record.fields.push_back(!in.at_end() && in.text[in.at] == '"' ? quoted_field(in) : plain_field(in));
    if (in.at_line_end()) {
      break;
    }
    ++in.at;  // skips the separator
  }
  in.skip_line_end();
  return record;
}

bool is_empty(const CsvRecord& record) { return record.fields.size() == 1 && record.fields[0].empty(); }

}  // namespace

std::vector<CsvRecord> parse_csv(std::string_view text, char separator) {
  Reader in{text, separator};
  std::vector<CsvRecord> records;
  while (!in.at_end()) {
    CsvRecord record = read_record(in);
    if (!is_empty(record)) {
      records.push_back(std::move(record));
    }
  }
  return records;
}

std::vector<std::string> csv_header(std::string_view text, char separator) {
  Reader in{text, separator};
  try {
    while (!in.at_end()) {
      CsvRecord record = read_record(in);
      if (!is_empty(record)) {
        return record.fields;
      }
    }
  } catch (const std::runtime_error&) {  // parse_csv reports the error
  }
  return {};
}

}  // namespace lora_dist
