// TOML text -> toml::table.
#include "src/config/read_toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "src/core/error.h"

namespace lora_dist {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;
constexpr int kMostDots = 16;

/// Counts dots outside of quotes and comments. Each may nest a table deeper, and tables are destroyed by recursion: a line of
/// 100,000 dots would overflow the stack.
int dots_outside_quotes(std::string_view line) {
  int dots = 0;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if (c == '#') {
      break;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '.') {
      ++dots;
    }
  }
  return dots;
}

/// The first line (from 1) that nests too deep, or 0.
std::size_t line_of_too_many_dots(std::string_view text) {
  std::size_t number = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (dots_outside_quotes(text.substr(0, end)) > kMostDots) {
      return number;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
  }
  return 0;
}

std::string read_text(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw Error(ExitCode::usage, fmt::format("{}: is a folder; a configuration is a TOML file", file.string()));
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw Error(ExitCode::usage, fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno)));
  }
  std::string text(kLargestFile + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kLargestFile) {
    throw Error(ExitCode::usage, fmt::format("{}: is longer than 1 MiB; is this a configuration?", file.string()));
  }
  return text;
}

}  // namespace

toml::table read_toml_file(const std::filesystem::path& file) {
  const std::string text = read_text(file);
  if (const std::size_t line = line_of_too_many_dots(text); line != 0) {
    throw Error(ExitCode::usage,
                fmt::format("{}:{}: a key has more than {} dots; keys are written section.key", file.string(), line, kMostDots));
  }
  try {
    return toml::parse(text, file.string());
  } catch (const toml::parse_error& error) {
    throw Error(ExitCode::usage,
                fmt::format("{}:{}: not valid TOML: {}", file.string(), error.source().begin.line, error.description()));
  }
}

toml::table parse_toml_value(std::string_view text) {
  if (line_of_too_many_dots(text) != 0) {
    return {};
  }
  try {
    toml::table table = toml::parse(fmt::format("value = {}", text));
    return table.size() == 1 ? std::move(table) : toml::table();
  } catch (const toml::parse_error&) {
    return {};
  }
}

}  // namespace lora_dist
