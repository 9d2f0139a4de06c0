// Finds and copies the tokenizer's files.
#include "src/io/tokenizer_files.h"

#include <system_error>

#include "src/core/error.h"
#include "src/io/chat_template_files.h"
#include "src/io/file.h"

namespace lora_dist {

namespace fs = std::filesystem;

std::vector<fs::path> tokenizer_file_names(const fs::path& folder) {
  std::vector<fs::path> names;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt",
                           "added_tokens.json", "special_tokens_map.json"}) {
    if (fs::exists(folder / name)) {
      names.emplace_back(name);
    }
  }
  for (const fs::path& file : chat_template_files(folder)) {
    names.push_back(file.lexically_relative(folder));
  }
  return names;
}

void copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  for (const fs::path& name : tokenizer_file_names(from)) {
    std::error_code problem;
    fs::create_directories((to / name).parent_path(), problem);
    if (!fs::copy_file(from / name, to / name, problem)) {
      throw Error(ExitCode::model, system_error_text("copy to " + to.string(), from / name, problem.value()));
    }
  }
}

}  // namespace lora_dist
