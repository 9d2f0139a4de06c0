// The --output file: written line by line, visible only when complete.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "src/io/append_file.h"

namespace lora_dist {

/// Lines are written to NAME.part, which finish() renames. Every function throws Error(usage) naming the file, the system's
/// reason and --output; the constructor also throws if `input` is the same file. Only the writing rank makes one.
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
