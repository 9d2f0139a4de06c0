// Folders of several methods are named by them.
#include "src/adapter/adapter_folders.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

namespace lora_dist {

namespace fs = std::filesystem;

namespace {

bool holds_adapter(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "adapter_config.json", ignored);
}

}  // namespace

fs::path folder_of_method(const fs::path& folder, const MethodChoice& methods, Method method) {
  return methods.beside.empty() ? folder : folder / word_of(kMethods, method);
}

std::vector<fs::path> adapter_folders(const fs::path& folder) {
  if (holds_adapter(folder)) {
    return {folder};
  }
  std::vector<Method> methods;
  for (const auto& [word, method] : kMethods) {
    if (holds_adapter(folder / word)) {
      methods.push_back(method);
    }
  }
  if (methods.empty()) {
    return {folder};
  }
  std::ranges::stable_sort(methods, {}, part_of);
  std::vector<fs::path> folders;
  for (const Method method : methods) {
    folders.push_back(folder / word_of(kMethods, method));
  }
  return folders;
}

std::string why_no_adapter(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::path& each : adapter_folders(folder)) {
    names.push_back(each.filename().string());
  }
  if (holds_adapter(folder / names.front())) {
    return fmt::format("{} holds the adapters of several methods; give one of its folders ({})", folder.string(),
                       fmt::join(names, ", "));
  }
  return fmt::format("{} has no adapter_config.json; give the folder of a PEFT adapter", folder.string());
}

}  // namespace lora_dist
