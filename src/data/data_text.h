// Reads data files as UTF-8.
#pragma once

#include <filesystem>
#include <string>

namespace lora_dist {

/// The whole file: decompresses gzip, converts UTF-16 with a byte order mark, and drops the mark. Throws Error(data) naming the
/// file: errors of read_text_file, a folder, damaged or oversized gzip, invalid UTF-16, and binary files, with a command that
/// converts them to JSONL.
std::string read_data_text(const std::filesystem::path& file);

/// The file name without ".gz", which determines the format.
std::filesystem::path name_of_content(const std::filesystem::path& file);

}  // namespace lora_dist
