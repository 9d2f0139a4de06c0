// Sets up the adapter at the start of a run: new, or from a PEFT folder.
#pragma once

#include <filesystem>
#include <span>

#include "src/job/model_run.h"

namespace lora_dist {

/// Checks adapter.target_modules against the model before loading it; where none are set, chooses the method's. Throws
/// Error(usage) listing the existing names.
void choose_targets(Config& config, const ModelSpec& model);

/// Fills run.layout, run.part, run.peft and the parameters: from `adapter` if it names a PEFT folder, else from
/// adapter.init_from, else a new adapter (training) or none (evaluation). Rank, scale and targets of the folder replace the
/// configuration's defaults; keys that the user wrote must agree with them. Collective; throws Error(usage) for such a key and
/// Error(model) for a folder that does not fit, the same on every rank.
void prepare_adapter(ModelRun& run, Purpose purpose, const std::filesystem::path& adapter);

/// The virtual tokens of a new adapter; 0: its method has none.
std::int64_t configured_virtual_tokens(const AdapterConfig& adapter);

/// The layout of a new adapter with the configuration's settings. Throws as make_adapter_layout.
AdapterLayout configured_layout(const Config& config, const ModelSpec& model);

/// An adapter's flat buffer in the operators' memory, and what its micro-batches use: a TP rank's shard, or the buffer's front.
struct AdapterParams {
  std::span<float> whole;
  std::span<float> part;
  std::span<float> initial = {};  // of the layout's residual linears: the initial values of both; else empty
  std::span<float> part_initial = {};
};
AdapterParams take_parameters(const AdapterLayout& layout, const AdapterShard& part, Arena& arena);

}  // namespace lora_dist
