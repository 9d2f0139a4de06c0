// The model folders of full fine-tuning: of the last step and of the best evaluation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/base/trained_pieces.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// Writes output.dir/`name`, a Hugging Face folder like model.path: the same files with the same tensors, in output.model_dtype;
/// trained values are rounded once. Collective; one whole tensor at a time is on every rank, and rank 0 writes.
void save_model(const TrainingRun& run, const std::string& name);

/// A whole trained matrix [rows, cols] on rank 0; empty on the others. Collective.
std::vector<float> gather_matrix(const TrainingRun& run, const TrainedMatrix& matrix);

}  // namespace lora_dist
