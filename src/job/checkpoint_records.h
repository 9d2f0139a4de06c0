// Reads choices that the program may have made (compute dtype, templates' day) from the checkpoint to resume from.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/comm/communicator.h"
#include "src/config/config.h"

namespace lora_dist {

/// Names under which a checkpoint records them: a setting, and a member of the progress.
inline constexpr const char* kComputeDtypeSetting = "model.compute_dtype";
inline constexpr const char* kTemplateDayProgress = "chat_template_day";

/// TOML text as in the checkpoint's settings: "\"bf16\"", or "\"auto\"" before the dtype was recorded. Empty if the manifest
/// cannot be read: loading reports why.
std::string recorded_compute_dtype(const std::filesystem::path& checkpoint);

/// The compute dtype of the checkpoint that `config` resumes from. Empty without a checkpoint, without a readable one, or if it
/// predates the record. Collective; reads only a manifest.
std::optional<DType> compute_dtype_of_checkpoint(const Config& config, Communicator& world);

/// The day that chat templates get: the one in the checkpoint that `config` resumes from, else today on rank 0. Collective.
std::string day_of_templates(const Config& config, Communicator& world);

}  // namespace lora_dist
