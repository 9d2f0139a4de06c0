// Finds the file, and writes its documents as a folder has them.
#include "src/io/gguf_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "src/io/base_store.h"
#include "src/io/file.h"
#include "src/io/safetensors.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

/// The GGUF files of a folder, of split ones the first part; where there are later parts alone, one of them, which is refused by
/// the name of the missing one. None where the folder has weights of another kind.
std::vector<std::string> gguf_files_in(const fs::path& folder) {
  std::vector<std::string> found;
  std::vector<std::string> later_parts;
  std::error_code problem;
  fs::directory_iterator at(folder, problem);
  for (const fs::directory_iterator end; !problem && at != end; at.increment(problem)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".safetensors") || name == kIndexName || name == kBaseStoreFile) {
      return {};
    }
    if (has_gguf_ending(name)) {
      const auto part = gguf_part_name(name);
      (part && part->number != 1 ? later_parts : found).push_back(name);
    }
  }
  if (found.empty() && !later_parts.empty()) {
    return {*std::ranges::min_element(later_parts)};
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

std::optional<fs::path> find_gguf(const fs::path& model) {
  std::error_code ignored;
  if (has_gguf_ending(model) && fs::is_regular_file(model, ignored)) {
    return model;
  }
  const std::vector<std::string> found = gguf_files_in(model);
  if (found.size() > 1) {
    throw Error(ExitCode::model, fmt::format("{} holds several GGUF files ({}); name the one that is meant", model.string(),
                                             fmt::join(found, ", ")));
  }
  return found.empty() ? std::nullopt : std::optional(model / found.front());
}

std::map<std::string, std::string> gguf_folder_files(const fs::path& gguf) {
  const GgufFile file = read_gguf(gguf);
  std::map<std::string, std::string> out = {{"config.json", gguf_config(file).dump(2) + "\n"}};
  if (has_gguf_tokenizer(file)) {
    out["tokenizer.json"] = gguf_tokenizer(file).dump() + "\n";
    out["tokenizer_config.json"] = gguf_tokenizer_config(file).dump(2) + "\n";
  }
  return out;
}

std::string model_config_text(const fs::path& model) {
  const std::optional<fs::path> gguf = find_gguf(model);
  return gguf ? gguf_config(read_gguf(*gguf)).dump() : read_text_file(model / "config.json", ExitCode::model);
}

}  // namespace lora_dist
