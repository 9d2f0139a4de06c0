// Unpacks, recognises and decodes data files.
#include "src/data/data_text.h"

#include <stdexcept>
#include <string_view>
#include <utility>

#include "src/core/error.h"
#include "src/data/decompress.h"
#include "src/data/file_kind.h"
#include "src/io/file.h"

namespace lora_dist {
namespace {

using std::string_view_literals::operator""sv;

void append_utf8(std::string& out, std::uint32_t point) {
  const auto tail = [&](unsigned shift) { out.push_back(static_cast<char>(0x80U | ((point >> shift) & 0x3FU))); };
  if (point < 0x80U) {
    out.push_back(static_cast<char>(point));
  } else if (point < 0x800U) {
    out.push_back(static_cast<char>(0xC0U | (point >> 6U)));
    tail(0);
  } else if (point < 0x10000U) {
    out.push_back(static_cast<char>(0xE0U | (point >> 12U)));
    tail(6);
    tail(0);
  } else {
    out.push_back(static_cast<char>(0xF0U | (point >> 18U)));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// Throws std::runtime_error for an incomplete character.
std::string utf8_of_utf16(std::string_view bytes, bool big_endian) {
  const auto unit = [&](std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
    return big_endian ? byte(at) << 8U | byte(at + 1) : byte(at + 1) << 8U | byte(at);
  };
  const auto refuse = [] { throw std::runtime_error("is UTF-16 with a broken character; save the file as UTF-8"); };
  if (bytes.size() % 2 != 0) {
    refuse();
  }
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 2) {
    std::uint32_t point = unit(at);
    if (point >= 0xDC00U && point < 0xE000U) {
      refuse();
    }
    if (point >= 0xD800U && point < 0xDC00U) {  // the first half of a surrogate pair
      at += 2;
      const std::uint32_t low = at < bytes.size() ? unit(at) : 0;
      if (low < 0xDC00U || low >= 0xE000U) {
        refuse();
      }
      point = 0x10000U + ((point - 0xD800U) << 10U) + (low - 0xDC00U);
    }
    append_utf8(out, point);
  }
  return out;
}

std::string decoded(std::string content) {
  if (content.starts_with("\xFF\xFE\0\0"sv) || content.starts_with("\0\0\xFE\xFF"sv)) {
    throw std::runtime_error("is UTF-32; save the file as UTF-8");
  }
  if (content.starts_with("\xFF\xFE") || content.starts_with("\xFE\xFF")) {
    return utf8_of_utf16(std::string_view(content).substr(2), content[0] == '\xFE');
  }
  if (content.starts_with("\xEF\xBB\xBF")) {
    content.erase(0, 3);
  }
  return content;
}

}  // namespace

std::filesystem::path name_of_content(const std::filesystem::path& file) {
  return file.extension() == ".gz" || file.extension() == ".GZ" ? file.parent_path() / file.stem() : file;
}

std::string read_data_text(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw Error(ExitCode::data,
                file.string() + " is a folder; name its files, or a pattern for them: " + file.string() + "/*.jsonl");
  }
  std::string content = read_text_file(file, ExitCode::data);
  const bool packed = is_gzip(content);
  if (packed) {
    try {
      content = gunzip(content, most_unpacked_bytes(content));
    } catch (const std::runtime_error& e) {
      throw Error(ExitCode::data, file.string() + " cannot be unpacked: " + e.what());
    }
  }
  std::string text;
  try {
    text = decoded(std::move(content));
  } catch (const std::runtime_error& e) {
    throw Error(ExitCode::data, file.string() + " " + e.what());
  }
  if (const std::string what = foreign_content(name_of_content(file), text); !what.empty()) {
    throw Error(ExitCode::data, file.string() + (packed ? " (unpacked) " : " ") + what);
  }
  return text;
}

}  // namespace lora_dist
