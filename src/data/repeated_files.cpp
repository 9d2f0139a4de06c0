// Repeated files change training or validation without visible effect.
#include "src/data/repeated_files.h"

#include <fmt/format.h>

#include <algorithm>

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

fs::path without_links(const fs::path& path) {
  std::error_code ignored;
  const fs::path real = fs::weakly_canonical(path, ignored);
  return ignored ? path.lexically_normal() : real;
}

std::vector<fs::path> without_links(std::vector<fs::path> paths) {
  std::transform(paths.begin(), paths.end(), paths.begin(), [](const fs::path& path) { return without_links(path); });
  return paths;
}

}  // namespace

std::vector<std::string> notes_on_repeated_files(const std::vector<fs::path>& train, const std::vector<fs::path>& validation) {
  const std::vector<fs::path> trained = without_links(train);
  const std::vector<fs::path> validated = without_links(validation);
  std::vector<std::string> notes;
  for (auto at = trained.begin(); at != trained.end(); ++at) {
    if (std::find(trained.begin(), at, *at) != at) {
      continue;  // already reported
    }
    const std::string name = train[static_cast<std::size_t>(at - trained.begin())].string();
    if (const auto times = std::count(at, trained.end(), *at); times > 1) {
      notes.push_back(fmt::format("data.train names {} {} times; each of its rows trains {} times an epoch", name, times, times));
    }
    if (std::find(validated.begin(), validated.end(), *at) != validated.end()) {
      notes.push_back(fmt::format(
          "{} is in data.train and in data.validation; the validation loss is that of rows that are trained on", name));
    }
  }
  return notes;
}

}  // namespace lora_dist
