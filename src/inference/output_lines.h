// The file that --output names, written line by line and whole or not at all.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "src/io/append_file.h"

namespace lora_dist {

/// Lines go to NAME.part beside the file, which finish() renames. Every function throws Error(usage) naming the file, the
/// system's reason and --output; so does the constructor where `input` is the same file. Only the rank that writes makes one.
class OutputLines {
 public:
  OutputLines(std::filesystem::path path, const std::filesystem::path& input);

  void append(std::string_view lines) { file_->append(lines); }
  void finish();

 private:
  std::filesystem::path path_;
  std::filesystem::path partial_;
  std::unique_ptr<AppendFile> file_;
};

}  // namespace lora_dist
