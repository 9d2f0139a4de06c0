// The adapter that a run starts with: fresh, or from a PEFT folder.
#pragma once

#include <filesystem>
#include <span>

#include "src/job/model_run.h"

namespace lora_dist {

/// Checks adapter.target_modules against the model, before minutes of loading. Where the user wrote none and the model does not
/// have the default ones, those of its family take their place, with a note. Throws Error(usage) with the names that exist.
void choose_targets(Config& config, const ModelSpec& model, const Console& console);

/// Fills run.layout, run.part, run.peft and the parameters. From `adapter` if it names a PEFT folder, else from
/// adapter.init_from, else fresh (in training) or none (in evaluation). What the folder says about rank, scale and targets takes
/// the place of the configuration's defaults; keys that the user wrote must agree with it. Collective; throws Error(usage) for
/// such a key and Error(model) for a folder that does not fit, the same on every rank.
void prepare_adapter(ModelRun& run, Purpose purpose, const std::filesystem::path& adapter);

/// The layout of a new adapter as the configuration describes it. Throws as make_adapter_layout.
AdapterLayout configured_layout(const Config& config, const ModelSpec& model);

/// An adapter's flat buffer where the operators run, and that of a TP rank's shard: the whole one again where nothing is cut.
struct AdapterParams {
  std::span<float> whole;
  std::span<float> part;
};
AdapterParams take_parameters(const AdapterLayout& layout, const AdapterShard& part, Arena& arena);

}  // namespace lora_dist
