// A data file as UTF-8, whatever it was stored as.
#pragma once

#include <filesystem>
#include <string>

namespace lora_dist {

/// The whole file: unpacked where it is gzip, UTF-8 where a byte order mark says that it is UTF-16, without a mark. Throws
/// Error(data) naming the file: what read_text_file says, a folder, damaged or oversized gzip, broken UTF-16, and files that are
/// no text, with how to make them JSONL.
std::string read_data_text(const std::filesystem::path& file);

/// The name that says how the content is read: without ".gz".
std::filesystem::path name_of_content(const std::filesystem::path& file);

}  // namespace lora_dist
