// Reads manifests.
#include "src/job/checkpoint_records.h"

#include <vector>

#include "src/chat_template/template_date.h"
#include "src/checkpoint/folders.h"
#include "src/checkpoint/manifest.h"
#include "src/core/error_of.h"

namespace lora_dist {

namespace {

/// Empty if templates got no day, or if the checkpoint predates the record.
std::string recorded_day(const std::filesystem::path& checkpoint) {
  std::string recorded;
  error_of([&] { recorded = read_manifest(checkpoint).state.progress.value(kTemplateDayProgress, ""); });
  return recorded;
}

/// Returns what `read` finds in the checkpoint to resume from, or in the newest one that has the record. Collective.
template <class Read>
std::string recorded_in_checkpoint(const Config& config, Communicator& world, Read read) {
  std::string recorded;
  const WordOrPath<Resume>& from = config.checkpoint.resume;
  if (world.rank() == 0 && from.kind != Resume::nothing) {
    std::vector<std::filesystem::path> checkpoints = {from.path};
    if (from.kind == Resume::newest) {
      error_of([&] { checkpoints = find_checkpoints(std::filesystem::path(config.output.dir) / "checkpoints"); });
    }
    for (std::size_t i = 0; i < checkpoints.size() && recorded.empty(); ++i) {
      recorded = read(checkpoints[i]);
    }
  }
  return broadcast_string(world, recorded, 0);
}

}  // namespace

std::string recorded_compute_dtype(const std::filesystem::path& checkpoint) {
  std::string recorded;
  error_of([&] { recorded = read_manifest(checkpoint).identity.settings.value(kComputeDtypeSetting, ""); });
  return recorded;
}

std::optional<DType> compute_dtype_of_checkpoint(const Config& config, Communicator& world) {
  const std::string recorded = recorded_in_checkpoint(config, world, recorded_compute_dtype);
  const std::string_view word =
      recorded.size() < 2 ? std::string_view() : std::string_view(recorded).substr(1, recorded.size() - 2);
  return value_of_word(kComputeDtypes, word).value_or(std::nullopt);
}

std::string day_of_templates(const Config& config, Communicator& world) {
  const std::string recorded = recorded_in_checkpoint(config, world, recorded_day);
  return broadcast_string(world, noon_of(recorded) ? recorded : chat_template_today(), 0);
}

}  // namespace lora_dist
