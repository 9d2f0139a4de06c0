// Finds the file of --cfg.
#include <fmt/format.h>

#include <algorithm>

#include "src/config/load_config.h"
#include "src/config/nearest_name.h"
#include "src/core/error.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// The preset with a name similar to `name`, or "".
std::string similar_preset(const std::string& name, const std::vector<fs::path>& folders) {
  std::vector<std::string> presets;
  for (const fs::path& folder : folders) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (entry.path().extension() == ".toml") {
        presets.push_back(entry.path().filename().string());
      }
    }
  }
  std::sort(presets.begin(), presets.end());
  if (presets.empty()) {
    return "";
  }
  const std::string wanted = fs::path(name).filename().string();
  const std::string nearest(nearest_name(wanted, {presets.begin(), presets.end()}));
  return edit_distance(wanted, nearest) <= 5 ? nearest : "";
}

}  // namespace

std::vector<fs::path> config_folders(const fs::path& program) {
  const fs::path home = program.parent_path().parent_path();
  return {home / "share/lora_dist/configs", home / "configs"};
}

fs::path find_config_file(const std::string& name, const fs::path& program) {
  const fs::path given(name);
  if (name.empty()) {
    throw Error(ExitCode::usage, "--cfg needs the name of a TOML file");
  }
  if (is_there(given)) {
    return given;
  }
  const std::vector<fs::path> folders = config_folders(program);
  if (given.is_relative()) {
    for (const fs::path& folder : folders) {
      if (is_there(folder / given)) {
        return folder / given;
      }
    }
  }
  const std::string similar = similar_preset(name, folders);
  throw Error(ExitCode::usage,
              fmt::format("--cfg {}: there is no such file, neither here nor in {} or {}{}", name, folders[0].string(),
                          folders[1].string(), similar.empty() ? "" : "; the nearest there is " + similar));
}

}  // namespace lora_dist
