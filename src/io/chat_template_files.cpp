// The names that transformers looks for (utils/hub.py).
#include "src/io/chat_template_files.h"

#include <algorithm>
#include <system_error>

namespace lora_dist {

namespace fs = std::filesystem;

std::vector<fs::path> chat_template_files(const fs::path& model_folder) {
  std::vector<fs::path> out;
  std::error_code problem;
  fs::directory_iterator at(model_folder / "additional_chat_templates", problem);
  for (const fs::directory_iterator end; !problem && at != end; at.increment(problem)) {
    std::error_code ignored;
    if (at->path().extension() == ".jinja" && at->is_regular_file(ignored)) {
      out.push_back(at->path());
    }
  }
  std::sort(out.begin(), out.end());
  if (fs::exists(model_folder / "chat_template.jinja", problem)) {
    out.insert(out.begin(), model_folder / "chat_template.jinja");
  }
  return out;
}

}  // namespace lora_dist
