// Reads the files only; the tokenizer class defines the pipeline.
#include "src/tokenizer/vocabulary_files.h"

#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

/// The lines except "#version" and empty ones. A merge may begin with #.
json read_merges(const std::filesystem::path& file) {
  const std::string text = read_text_file(file, ExitCode::model);
  json merges = json::array();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) {
      line.pop_back();
    }
    if (!line.empty() && !line.starts_with("#version")) {
      merges.push_back(std::move(line));
    }
    at = end + 1;
  }
  return merges;
}

}  // namespace

json read_vocabulary_files(const std::filesystem::path& model_folder) {
  return {{"vocab", read_json_file(model_folder / "vocab.json", ExitCode::model)},
          {"merges", read_merges(model_folder / "merges.txt")}};
}

}  // namespace lora_dist
