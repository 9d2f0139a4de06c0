// Everything that a training or evaluation job holds: model, data, adapters and buffers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/adapter_config.h"
#include "src/adapter/adapter_layout.h"
#include "src/adapter/adapter_part.h"
#include "src/comm/mesh.h"
#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/data/packing.h"
#include "src/job/open_model.h"
#include "src/report/console.h"
#include "src/report/metrics_log.h"
#include "src/train/run_watch.h"
#include "src/train/train_step.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// What a run is prepared for: training needs gradients, moments and what backward keeps.
enum class Purpose : std::uint8_t { train, evaluate };

/// Where the state is copied to when a checkpoint begins: the host's memory, saved_range() (src/checkpoint/shard.h) of the flat
/// buffers.
struct StateCopy {
  std::span<float> params;
  std::span<float> m;
  std::span<float> v;
};

/// What the checkpoints of this process cost, in seconds of rank 0.
struct SaveCosts {
  std::int64_t saved = 0;
  double blocked = 0.0;  // that training waited for them
  double most_blocked = 0.0;
  double seconds = 0.0;  // from the beginning of each to its end
  double most_seconds = 0.0;
};

struct TrainingRun {
  Config config;
  Communicator* world = nullptr;
  Mesh mesh;
  const ComputePlace* compute = nullptr;
  Console console;
  std::filesystem::path output;
  std::unique_ptr<RunWatch> watch;  // while training

  std::unique_ptr<OpenModel> model;
  Dataset dataset;
  std::vector<Sequence> train;
  std::vector<Sequence> validation;
  std::string data_digest;      // of the training samples' ids and labels
  std::string base_hash;        // empty where nothing is trained
  GenerationConfig generation;  // how answers to validation questions are made, while training

  AdapterLayout layout;     // of the whole flat buffers
  AdapterPart part;         // what this rank's tensor part computes with
  PeftConfig peft;          // how the adapter is described in its folder
  AdapterLayout no_layout;  // the base alone
  TrainedBuffers buffers;
  StateCopy copy;  // while training
  Workspace workspace;
  WireBytes last_wire;               // of the last step, summed over the ranks
  std::int64_t last_peak_bytes = 0;  // most that was ever resident in a process
  WaitTimes waits;                   // of all steps of this process
  SaveCosts saves;

  /// The model with the adapter as it is now, or the base alone.
  ForwardContext tuned() const;
  ForwardContext base() const;
};

/// Opens model and data where `compute` says, which must outlive the run, and shows what was resolved. Collective. `adapter`: a
/// PEFT folder to evaluate; empty: adapter.init_from. Throws Error, the same on every rank.
TrainingRun prepare_run(const Config& config, Communicator& world, const ComputePlace& compute, Purpose purpose,
                        const std::filesystem::path& adapter);

/// Bytes that this rank has sent so far, over the host and between devices.
WireBytes sent_bytes(const TrainingRun& run);

/// How the base is to be kept, and which of it the user wrote.
WantedFormat wanted_format(const Config& config);

/// The sizes of a run's buffers. `config.data.max_length` fits the model.
WorkspaceOptions workspace_options(const Config& config, const ModelSpec& spec, DType compute_dtype, Purpose purpose);

/// What the configuration says about where operators run.
ComputeChoice compute_choice(const Config& config);

/// Prints the memory that each rank holds, by kind. Collective.
void show_memory(const TrainingRun& run);

}  // namespace lora_dist
