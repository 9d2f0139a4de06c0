// What a run leaves for its users: an adapter's folder, or a model's.
#pragma once

#include <cstdint>
#include <filesystem>

#include "src/train/training_run.h"

namespace lora_dist {

/// Of the last step, or of the best evaluation.
enum class ResultOf : std::uint8_t { last, best };

/// output.dir/adapter or adapter_best; of full fine-tuning model or model_best.
std::filesystem::path result_folder(const TrainingRun& run, ResultOf which);

/// Writes it after `step` steps. Collective; rank 0 writes.
void save_result(const TrainingRun& run, std::int64_t step, ResultOf which);

/// True if it is there. Collective; rank 0 looks.
bool result_is_there(const TrainingRun& run);

}  // namespace lora_dist
