// The adapter that a run starts with: fresh, or from a PEFT folder.
#pragma once

#include <filesystem>

#include "src/train/training_run.h"

namespace lora_dist {

/// Checks adapter.target_modules against the model, before minutes of loading. Where the user wrote none and the model does not
/// have the default ones, those of its family take their place, with a note. Throws Error(usage) with the names that exist.
void choose_targets(Config& config, const ModelSpec& model, const Console& console);

/// Fills run.layout, run.peft and run.buffers. From `adapter` if it names a PEFT folder, else from adapter.init_from, else fresh
/// (in training) or none (in evaluation). What the folder says about rank, scale and targets takes the place of the
/// configuration's defaults; keys that the user wrote must agree with it. Collective; throws Error(usage) for such a key and
/// Error(model) for a folder that does not fit, the same on every rank.
void prepare_adapter(TrainingRun& run, Purpose purpose, const std::filesystem::path& adapter);

/// Takes the flat buffers of the parameters and, to train them, of gradients and moments; of a cut model those of the part as
/// well. `layout`: of the whole; `micro_batches`: in flight. Sums, gradients and moments are zeroed.
TrainedBuffers take_trained_buffers(const AdapterLayout& layout, const AdapterPart& part, Purpose purpose, int micro_batches,
                                    Arena& arena);

}  // namespace lora_dist
