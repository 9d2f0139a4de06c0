// The state of a training job: an opened model with its data, and the additions of training.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "src/job/adapter_setup.h"
#include "src/job/model_run.h"
#include "src/report/metrics_log.h"
#include "src/train/run_watch.h"
#include "src/train/train_step.h"

namespace lora_dist {

/// The copy of the state for a checkpoint: host memory with saved_range() (src/checkpoint/shard.h) of the flat buffers.
struct StateCopy {
  std::span<float> params;
  std::span<float> m;
  std::span<float> v;
  std::span<float> sensitivity = {};  // of AdaLoRA, as is the next
  std::span<float> uncertainty = {};
  std::span<float> initial = {};  // of a layout with residual linears
};

struct TrainingRun : ModelRun {
  std::unique_ptr<RunWatch> watch;
  std::string base_hash;
  GenerationConfig generation;  // for answers to validation questions
  TrainedBuffers buffers;
  RankBudget budget;                              // of AdaLoRA
  std::optional<TrainedBase> trained;             // of full fine-tuning
  std::unique_ptr<Communicator> gradient_shards;  // the ranks that divide the trained base
  std::int64_t trained_count = 0;                 // parameters
  StateCopy copy;
  Arena::Mark before_adapter;        // in the model's arena
  Arena::Mark before_adapter_host;   // in the model's arena of host memory
  WireBytes last_wire;               // of the last step, summed over the ranks
  std::int64_t last_peak_bytes = 0;  // largest resident size of a process
  WaitTimes waits;                   // of all steps of this process
};

/// Opens model and data on `device`, which must outlive the run, and prints the resolved values. Collective; throws Error, the
/// same on every rank.
TrainingRun open_training(const Config& config, Communicator& world, const Device& device);
/// Makes the adapter that run.config describes and takes every buffer of training; frees those of an earlier adapter. Collective;
/// throws Error, the same on every rank.
void set_up_adapter(TrainingRun& run);
/// Both, one after the other.
TrainingRun prepare_training(const Config& config, Communicator& world, const Device& device);

/// Takes the flat buffers of gradients and moments; with TP those of the shard as well. `layout`: of the whole buffers;
/// `micro_batches`: in flight. All are zeroed.
TrainedBuffers take_trained_buffers(const AdapterParams& params, const AdapterLayout& layout, const AdapterShard& part,
                                    int micro_batches, Arena& arena);

/// Bytes that this rank has sent so far, over host memory and between devices.
WireBytes sent_bytes(const TrainingRun& run);

/// Prints the memory of each rank by kind. Collective.
void show_memory(const TrainingRun& run);

}  // namespace lora_dist
