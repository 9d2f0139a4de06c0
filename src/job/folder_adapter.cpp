// Joins the adapters of the folders.
#include "src/job/folder_adapter.h"

#include <utility>

#include "src/adapter/adapter_bridge.h"
#include "src/adapter/adapter_folders.h"
#include "src/adapter/initial_factors.h"
#include "src/adapter/joined_layout.h"

namespace lora_dist {

FolderAdapter read_folder_adapter(const std::filesystem::path& folder, const ModelSpec& model, const TensorDirectory& directory,
                                  const FolderRules& rules) {
  std::vector<PeftAdapter> adapters;
  std::vector<AdapterLayout> layouts;
  for (const std::filesystem::path& each : adapter_folders(folder)) {
    PeftAdapter& read = adapters.emplace_back(read_peft_adapter(each));
    if (rules.checks_tables) {
      check_tables(read, model, directory);
    }
    if (rules.to_plain) {
      convert_to_plain(read, model, directory, each.string(), Stream{});
    }
    layouts.push_back(layout_of(read, model, each.string()));
  }
  FolderAdapter out{join_layouts(layouts), {}, adapters.front().config, std::move(adapters.front().shared)};
  out.params.resize(static_cast<std::size_t>(out.layout.count));
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    copy_parameters(adapters[i], layouts[i], out.params);
  }
  return out;
}

}  // namespace lora_dist
