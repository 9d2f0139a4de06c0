// Expands ~ (HOME) and patterns (glob(3)).
#include "src/io/user_path.h"

#include <glob.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "src/core/error.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

std::string home_folder() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return home;
  }
  const passwd* user = ::getpwuid(::getuid());
  return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "~";
}

/// Frees the result of glob(3).
struct Matches {
  glob_t found{};
  Matches() = default;
  Matches(const Matches&) = delete;
  Matches& operator=(const Matches&) = delete;
  ~Matches() { ::globfree(&found); }
};

/// Excludes folders.
std::vector<std::string> files_like(const std::string& pattern) {
  Matches matches;
  if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches.found) == GLOB_NOSPACE) {
    throw std::bad_alloc();
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < matches.found.gl_pathc; ++i) {
    std::error_code ignored;
    if (!fs::is_directory(matches.found.gl_pathv[i], ignored)) {
      out.emplace_back(matches.found.gl_pathv[i]);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::string expand_home(const std::string& path) {
  return path == "~" || path.starts_with("~/") ? home_folder() + path.substr(1) : path;
}

std::vector<std::string> expand_files(const std::vector<std::string>& texts, const std::string& key) {
  std::vector<std::string> out;
  for (const std::string& text : texts) {
    std::error_code ignored;
    if (text.find_first_of("*?[") == std::string::npos || fs::exists(text, ignored)) {
      out.push_back(text);
      continue;
    }
    const std::vector<std::string> files = files_like(text);
    if (files.empty()) {
      throw Error(ExitCode::data, key + ": no file matches the pattern " + text +
                                      (text.find('[') == std::string::npos ? "" : " ([ in a name is written [[])"));
    }
    out.insert(out.end(), files.begin(), files.end());
  }
  return out;
}

}  // namespace lora_dist
