// Readers see only the rename of a commit, which follows the fsync of all files.
#include "src/io/atomic_directory.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "src/io/file.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

/// "runs/x/adapter/" and "runs/x/adapter" are the same folder.
fs::path named(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }
fs::path parent_of(const fs::path& path) { return named(path).has_parent_path() ? named(path).parent_path() : fs::path("."); }
fs::path beside(const fs::path& path, const std::string& prefix) {
  return parent_of(path) / (prefix + named(path).filename().string());
}

void check(const std::error_code& problem, const std::string& act, const fs::path& path) {
  if (problem) {
    throw Error(ExitCode::model, system_error_text(act, path, problem.value()));
  }
}

void remove_tree(const fs::path& path) {
  std::error_code problem;
  fs::remove_all(path, problem);
  check(problem, "remove", path);
}

void rename_path(const fs::path& from, const fs::path& to) {
  std::error_code problem;
  fs::rename(from, to, problem);
  check(problem, "rename " + from.string() + " to", to);
}

void sync_tree(const fs::path& folder) {
  std::error_code problem;
  fs::recursive_directory_iterator at(folder, problem);
  check(problem, "read", folder);
  for (const fs::recursive_directory_iterator end; at != end; at.increment(problem)) {
    if (at->is_regular_file() || at->is_directory()) {
      sync_to_disk(at->path(), ExitCode::model);
    }
  }
  check(problem, "read", folder);
  sync_to_disk(folder, ExitCode::model);
}

/// The older folder's temporary name on file systems that cannot exchange two names.
fs::path aside_name(const fs::path& final_path) { return beside(final_path, ".tmp-old-"); }

void replace_folder(const fs::path& temporary, const fs::path& final_path) {
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, final_path.c_str(), RENAME_EXCHANGE) == 0) {
    sync_to_disk(parent_of(final_path), ExitCode::model);
    remove_tree(temporary);  // now contains the older folder
    return;
  }
  const fs::path aside = aside_name(final_path);
  remove_tree(aside);
  rename_path(final_path, aside);
  rename_path(temporary, final_path);
  sync_to_disk(parent_of(final_path), ExitCode::model);
  remove_tree(aside);
}

}  // namespace

fs::path begin_atomic_directory(const fs::path& given_path) {
  const fs::path final_path = named(given_path);
  const fs::path temporary = beside(final_path, ".tmp-");
  std::error_code problem;
  fs::create_directories(parent_of(final_path), problem);
  check(problem, "make the folder", parent_of(final_path));
  if (const fs::path aside = aside_name(final_path); fs::exists(aside, problem)) {
    if (fs::exists(final_path, problem)) {
      remove_tree(aside);
    } else {
      rename_path(aside, final_path);  // an earlier commit was killed between its two renames
    }
  }
  remove_tree(temporary);
  fs::create_directory(temporary, problem);
  check(problem, "make the folder", temporary);
  return temporary;
}

void commit_atomic_directory(const fs::path& temporary, const fs::path& given_path) {
  const fs::path final_path = named(given_path);
  sync_tree(temporary);
  std::error_code problem;
  if (fs::exists(final_path, problem)) {
    replace_folder(temporary, final_path);
    return;
  }
  rename_path(temporary, final_path);
  sync_to_disk(parent_of(final_path), ExitCode::model);
}

}  // namespace lora_dist
