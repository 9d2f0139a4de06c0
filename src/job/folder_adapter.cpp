// Joins the adapters of the folders.
#include "src/job/folder_adapter.h"

#include <algorithm>
#include <span>
#include <utility>

#include "src/adapter/adapter_bridge.h"
#include "src/adapter/adapter_folders.h"
#include "src/adapter/adapter_origin.h"
#include "src/adapter/initial_factors.h"
#include "src/adapter/joined_layout.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

/// Folders of one run are of different parts of the model, and hold no modules that are trained whole.
void check_can_be_joined(std::span<const PeftAdapter> adapters, const std::filesystem::path& folder) {
  for (std::size_t i = 1; i < adapters.size(); ++i) {
    const Method one = adapters[i - 1].config.method;
    const Method other = adapters[i].config.method;
    if (part_of(one) == part_of(other)) {
      throw Error(ExitCode::model, fmt::format("{} holds folders of {} and {}, which were not trained together; give one of them",
                                               folder.string(), word_of(kMethods, one), word_of(kMethods, other)));
    }
  }
  if (adapters.size() > 1 && std::ranges::any_of(adapters, [](const PeftAdapter& each) { return !each.replaced.empty(); })) {
    throw Error(
        ExitCode::model,
        fmt::format("{}: embeddings, heads, norms or tokens that an adapter trains whole are not read beside the folders of "
                    "other methods; give one folder",
                    folder.string()));
  }
}

}  // namespace

FolderAdapter read_folder_adapter(const std::filesystem::path& folder, const ModelSpec& model, const TensorDirectory& directory,
                                  const FolderRules& rules) {
  std::vector<PeftAdapter> adapters;
  std::vector<AdapterLayout> layouts;
  const std::vector<std::filesystem::path> folders = adapter_folders(folder);
  check_folders_belong_together(folder, folders);
  for (const std::filesystem::path& each : folders) {
    PeftAdapter& read = adapters.emplace_back(read_peft_adapter(each));
    if (rules.checks_tables) {
      check_tables(read, model, directory);
    }
    if (rules.to_plain) {
      convert_to_plain(read, model, directory, each.string(), Stream{});
    }
    layouts.push_back(layout_of(read, model, each.string()));
  }
  check_can_be_joined(adapters, folder);
  FolderAdapter out{join_layouts(layouts), {}, adapters.front().config, std::move(adapters.front().shared)};
  out.params.resize(static_cast<std::size_t>(out.layout.count));
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    copy_parameters(adapters[i], layouts[i], out.params);
  }
  return out;
}

}  // namespace lora_dist
