// What the checkpoint that a configuration goes on from says of choices that may have been left to the program.
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

/// As the checkpoint's settings have it: "\"bf16\"" (TOML text), or "\"auto\"" from before the type was recorded. Empty where the
/// manifest cannot be read: loading says why.
std::string recorded_compute_dtype(const std::filesystem::path& checkpoint);

/// The type that products were computed in by the run whose checkpoint `config` goes on from. Empty where there is no checkpoint,
/// none that can be read, or one from before the type was recorded. Collective; reads a manifest alone.
std::optional<DType> compute_dtype_of_checkpoint(const Config& config, Communicator& world);

/// The day that chat templates are told: the one kept in the checkpoint that `config` goes on from, else today's of rank 0.
/// Collective.
std::string day_of_templates(const Config& config, Communicator& world);

}  // namespace lora_dist
