// What a method does once per optimizer step beside AdamW's update (AdaLoRA).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "src/adapter/adapter_config.h"
#include "src/adapter/adapter_tensor.h"
#include "src/core/adalora_options.h"
#include "src/core/arena.h"

namespace lora_dist {

struct AdapterLayout;

/// The ranks that a method has left; part of a run's progress.
struct RankBudget {
  std::vector<bool> kept;  // of each module, in the layout's order; empty: nothing was chosen yet
  bool final = false;      // the choice stays
};

/// Buffers of the hooks, in the operators' memory; empty for methods without hooks.
struct StepMemory {
  std::span<float> sensitivity;  // flat, like the parameters, and saved in checkpoints
  std::span<float> uncertainty;  // likewise
  std::span<float> grams;        // of A and B of each module: [r, r]
  std::span<float> sums;         // three per rank of each module
};

/// One step of the whole adapter, the same on every rank.
struct MethodStep {
  const AdapterLayout& layout;
  std::span<float> params;
  std::span<float> grads;
  const StepMemory& memory;
  const AdaLoraOptions& options;
  RankBudget& budget;
  std::int64_t step = 1;  // from 1
  std::int64_t total_steps = 1;
  Stream stream;
};

/// The method's own term of the loss, which the step's gradient gets.
struct RegularizationLoss {
  double loss = 0.0;
  double squared_norm = 0.0;  // of the whole gradient with the term's
};

/// The tensors of a folder, with their values.
struct KeptTensors {
  std::vector<AdapterTensor> tensors;
  std::vector<float> values;
};

struct StepHooks {
  StepMemory (*take_memory)(const AdapterLayout& layout, Arena& arena);
  /// Adds the gradient of the method's own loss to step.grads: after the reduction, before clipping.
  RegularizationLoss (*add_regularization_gradient)(const MethodStep& step);
  /// After the update, with the gradient as clipped.
  void (*after_update)(const MethodStep& step);
  /// The tensors without the pruned ranks, which the configuration then names. `params`: on the host.
  KeptTensors (*kept_tensors)(const AdapterLayout& layout, const RankBudget& budget, std::span<const float> params,
                              PeftConfig& peft);
};

}  // namespace lora_dist
