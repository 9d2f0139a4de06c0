// The common part of training and evaluation: a model with its data and its adapter.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/adapter_config.h"
#include "src/adapter/adapter_layout.h"
#include "src/adapter/adapter_shard.h"
#include "src/comm/mesh.h"
#include "src/config/config.h"
#include "src/data/dataset.h"
#include "src/data/packing.h"
#include "src/job/open_model.h"
#include "src/report/console.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// The purpose of a run: training needs gradients, moments and the activations that backward reads.
enum class Purpose : std::uint8_t { train, evaluate };

struct ModelRun {
  Config config;
  Communicator* world = nullptr;
  Mesh mesh;
  const Device* device = nullptr;
  Console console;
  std::filesystem::path output;

  std::unique_ptr<OpenModel> model;
  Dataset dataset;
  std::vector<Sequence> train;
  std::vector<Sequence> validation;
  std::filesystem::path tokenizer_folder;  // of a tokenizer other than the model's; empty: the model's
  std::string data_digest;                 // of the training samples' ids and labels

  AdapterLayout layout;                 // of the whole flat buffer
  AdapterShard part;                    // the slices of this rank's TP shard
  PeftConfig peft;                      // the adapter's description in its folder; of several methods, the first one's
  std::vector<PeftConfig> peft_beside;  // of the others
  SharedTensors shared;                 // the adapter's shared tensors; in training only rank 0 keeps them, for its folder
  std::span<float> params;              // the whole flat buffer, in the operators' memory
  std::span<float> part_params;         // of the TP shard; the whole buffer without TP
  std::span<float> initial;             // the initial values of params, if the layout's linears are residual; else empty
  std::span<float> part_initial;
  std::string shared_digest;  // of the tensors that all modules of the adapter share; empty: there are none
  AdapterLayout no_layout;    // of the base alone
  Workspace workspace;

  /// The descriptions of all methods.
  std::vector<PeftConfig> descriptions() const;
  /// The model with the current adapter, or the base alone.
  ForwardContext tuned() const;
  ForwardContext base() const;
};

/// Fills in what needs no file, and checks early what would otherwise fail only after minutes of loading. `device` must outlive
/// the run. Collective; throws Error, the same on every rank.
void begin_run(ModelRun& run, const Config& config, Communicator& world, const Device& device, Purpose purpose);
/// Opens model and data, and prints the resolved values. `adapter`: a PEFT folder to evaluate; empty: adapter.init_from.
/// Collective; throws Error, the same on every rank.
void open_model_and_data(ModelRun& run, Purpose purpose, const std::filesystem::path& adapter);
/// The same, and the adapter.
void open_run(ModelRun& run, Purpose purpose, const std::filesystem::path& adapter);
/// Packs the samples, each with the adapter's virtual tokens before it, into sequences. Collective.
void pack_data(ModelRun& run);
/// Takes the buffers of forward and, for training, backward. Throws Error(out_of_memory).
void take_workspace(ModelRun& run, Purpose purpose);

/// The requested base format, and which of its values the user wrote.
WantedFormat wanted_format(const Config& config);

/// The sizes of a run's buffers, with this many virtual tokens per sequence. `config.data.max_length` fits the model.
WorkspaceOptions workspace_options(const Config& config, const ModelSpec& spec, std::int64_t virtual_tokens, DType compute_dtype,
                                   Purpose purpose);

/// The configuration's choice of backend and compute dtype.
DeviceChoice device_choice(const Config& config);

}  // namespace lora_dist
