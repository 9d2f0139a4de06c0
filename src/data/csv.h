// Comma-separated values (RFC 4180), or values with another separator: quoted fields may hold it, line ends and doubled quotes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

struct CsvRecord {
  std::int64_t line = 0;  // first line, from 1
  std::vector<std::string> fields;
};

/// All records; empty lines are skipped. A line ends in LF, CR LF or CR. Throws std::runtime_error("line N: reason") for an
/// unterminated quote or text after a closing quote.
std::vector<CsvRecord> parse_csv(std::string_view text, char separator = ',');

/// The fields of the first record; nullopt if it is malformed with this separator.
std::vector<std::string> csv_header(std::string_view text, char separator);

}  // namespace lora_dist
