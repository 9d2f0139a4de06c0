// Finds and removes checkpoint folders; foreign files are never removed.
#include "src/checkpoint/folders.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "src/checkpoint/checkpoint.h"
#include "src/io/file.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step_";
constexpr std::string_view kTemporary = ".tmp-";

bool all_digits(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

bool is_shard_name(std::string_view name) {
  constexpr std::string_view kEnding = ".h5";
  for (const std::string_view begin : {"shard_", "matrices_"}) {
    if (name.starts_with(begin) && name.ends_with(kEnding)) {
      return all_digits(name.substr(begin.size(), name.size() - begin.size() - kEnding.size()));
    }
  }
  return false;
}

/// True for a real folder (no link) that contains only files of this program.
bool recognised(const fs::path& folder) {
  std::error_code problem;
  if (!fs::is_directory(fs::symlink_status(folder, problem))) {
    return false;
  }
  fs::directory_iterator at(folder, problem);
  for (const fs::directory_iterator end; !problem && at != end; at.increment(problem)) {
    const std::string name = at->path().filename().string();
    if (!fs::is_regular_file(at->symlink_status(problem)) || (name != "MANIFEST.json" && !is_shard_name(name))) {
      return false;
    }
  }
  return !problem;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code problem;
  fs::directory_iterator at(folder, problem);
  for (const fs::directory_iterator end; !problem && at != end; at.increment(problem)) {
    entries.push_back(at->path());
  }
  if (problem && problem != std::errc::no_such_file_or_directory) {
    throw Error(ExitCode::model, system_error_text("read the folder", folder, problem.value()));
  }
  return entries;
}

/// Renamed first, so that an interrupted removal does not look like a damaged checkpoint.
void remove_checkpoint(const fs::path& folder, std::vector<std::string>& warnings) {
  const fs::path doomed = folder.parent_path() / (std::string(kTemporary) + folder.filename().string());
  std::error_code problem;
  fs::rename(folder, doomed, problem);
  if (!problem) {
    fs::remove_all(doomed, problem);
  }
  if (problem) {
    warnings.push_back(system_error_text("remove the old checkpoint", folder, problem.value()));
  }
}

}  // namespace

std::string checkpoint_name(std::int64_t step) { return fmt::format("step_{:08}", step); }

std::optional<std::int64_t> step_of(const std::string& name) {
  const std::string_view digits = std::string_view(name).substr(std::min(kPrefix.size(), name.size()));
  if (!name.starts_with(kPrefix) || !all_digits(digits) || digits.size() > 18) {
    return std::nullopt;
  }
  const std::int64_t step = std::stoll(std::string(digits));
  return checkpoint_name(step) == name ? std::optional(step) : std::nullopt;
}

std::vector<fs::path> find_checkpoints(const fs::path& checkpoints_dir) {
  std::vector<fs::path> found;
  for (const fs::path& entry : entries_of(checkpoints_dir)) {
    std::error_code problem;
    if (step_of(entry.filename().string()) && fs::is_directory(entry, problem)) {
      found.push_back(entry);
    }
  }
  std::ranges::sort(found, std::ranges::greater{}, [](const fs::path& p) { return *step_of(p.filename().string()); });
  return found;
}

void remove_leftovers(const fs::path& checkpoints_dir) {
  for (const fs::path& entry : entries_of(checkpoints_dir)) {
    const std::string name = entry.filename().string();
    std::error_code problem;
    if (name.starts_with(kTemporary) && step_of(name.substr(kTemporary.size())) && recognised(entry)) {
      fs::remove_all(entry, problem);  // leftovers are harmless
    }
  }
}

std::vector<std::string> prune_checkpoints(const fs::path& checkpoints_dir, std::int64_t newest, std::int64_t keep) {
  std::vector<std::string> warnings;
  std::int64_t kept = 1;
  for (const fs::path& checkpoint : find_checkpoints(checkpoints_dir)) {
    if (keep == 0 || *step_of(checkpoint.filename().string()) >= newest) {
      continue;
    }
    if (kept < keep) {
      ++kept;
    } else if (recognised(checkpoint)) {
      remove_checkpoint(checkpoint, warnings);
    }
  }
  return warnings;
}

}  // namespace lora_dist
