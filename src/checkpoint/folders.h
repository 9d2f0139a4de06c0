// The folders of a checkpoint directory: names, order, pruning.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lora_dist {

std::string checkpoint_name(std::int64_t step);  // "step_00000100"
/// The step in a folder's name; nullopt for other names.
std::optional<std::int64_t> step_of(const std::string& name);

/// Removes leftovers of an interrupted save or removal (".tmp-step_...").
void remove_leftovers(const std::filesystem::path& checkpoints_dir);

/// Removes checkpoints older than `newest` so that `keep` remain with it. A folder with other files than a manifest and shards is
/// kept. Returns a sentence per checkpoint that could not be removed.
std::vector<std::string> prune_checkpoints(const std::filesystem::path& checkpoints_dir, std::int64_t newest, std::int64_t keep);

}  // namespace lora_dist
