// The folders of a checkpoint directory: names, order, pruning.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lora_dist {

std::string checkpoint_name(std::int64_t step);  // "step_00000100"
/// The step in such a name; none for any other name.
std::optional<std::int64_t> step_of(const std::string& name);

/// Removes what a killed run left in the middle of a save or a removal (".tmp-step_..."), where it is recognised as such.
void remove_leftovers(const std::filesystem::path& checkpoints_dir);

/// Removes checkpoints older than `newest` so that `keep` remain with it. A folder that holds anything but a manifest and shards
/// is left alone. Returns a sentence for each that could not be removed.
std::vector<std::string> prune_checkpoints(const std::filesystem::path& checkpoints_dir, std::int64_t newest, std::int64_t keep);

}  // namespace lora_dist
