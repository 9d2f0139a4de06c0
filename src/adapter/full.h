// Full fine-tuning: the tensors of the base that are trained. It is no adapter: matrices are trained where the base holds them
// (src/base/trained_base.h), small tensors in the flat buffer.
#pragma once

#include <string>
#include <vector>

#include "src/adapter/trained_norm.h"
#include "src/adapter/trained_vector.h"
#include "src/base/trained_base.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

struct AdapterMethod;

struct TrainedTensors {
  TrainedMatrices matrices;
  std::vector<TrainedVector> vectors;
  std::vector<TrainedNorm> norms;
  std::int64_t count = 0;  // elements of all of them
};

/// Every tensor of the model; or those whose whole names match a pattern of `trainable`, as Python's re.fullmatch has it. Throws
/// Error(usage) naming train.trainable for a pattern that is not understood or that matches nothing.
TrainedTensors trained_tensors(const ModelSpec& model, const std::vector<std::string>& trainable);

/// The numbers of trained and of all parameters, worded as in PEFT's print_trainable_parameters.
std::string trainable_line(const TrainedTensors& tensors, const ModelSpec& model);

/// The row of adapter.method = "full"; it is not among adapter_methods(), since no folder holds it.
const AdapterMethod& full_method();

}  // namespace lora_dist
