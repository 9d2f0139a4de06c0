// Reads the files only; the tokenizer class defines the pipeline.
#include "src/tokenizer/vocabulary_files.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/json_events.h"

namespace lora_dist {
namespace {

/// The lines except "#version" and empty ones. A merge may begin with #.
MergeTexts read_merges_txt(const std::filesystem::path& file) {
  const std::string text = read_text_file(file, ExitCode::model);
  MergeTexts merges;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    ++number;
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (!line.empty() && !line.starts_with("#version")) {
      add_merge(merges, line, {file, "line " + std::to_string(number)});
    }
    at = end + 1;
  }
  return merges;
}

}  // namespace

ModelLists read_vocabulary_files(const std::filesystem::path& model_folder) {
  ModelLists out;
  const JsonLocation location{model_folder / "vocab.json", "model"};
  read_json_file_around(location.file, ExitCode::model, {{"", vocab_sink(out, location.at("vocab"))}});
  out.take_merges(read_merges_txt(model_folder / "merges.txt"));
  return out;
}

}  // namespace lora_dist
