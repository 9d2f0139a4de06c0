// Writes to a partial file, and renames it at the end.
#include "src/inference/output_lines.h"

#include <system_error>
#include <utility>

#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {

OutputLines::OutputLines(std::filesystem::path path, const std::filesystem::path& input)
    : path_(std::move(path)), partial_(path_.string() + ".part") {
  std::error_code ignored;
  if (std::filesystem::equivalent(path_, input, ignored) || std::filesystem::equivalent(partial_, input, ignored)) {
    throw Error(ExitCode::usage, path_.string() + " would be written over --input; name another file with --output");
  }
  if (std::filesystem::exists(path_, ignored) && !std::filesystem::is_regular_file(path_, ignored)) {
    throw Error(ExitCode::usage, "cannot write " + path_.string() + ": it is not a regular file; name another with --output");
  }
  std::filesystem::remove(partial_, ignored);  // left by a killed job
  file_ = std::make_unique<AppendFile>(partial_, "--output");
}

void OutputLines::finish() {
  file_->sync();
  file_.reset();
  std::error_code problem;
  std::filesystem::rename(partial_, path_, problem);
  if (problem) {
    throw Error(exit_code_of(problem.value(), ExitCode::usage),
                system_error_text("write", path_, problem.value()) + " (--output says where it is)");
  }
}

}  // namespace lora_dist
