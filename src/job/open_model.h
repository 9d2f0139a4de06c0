// A model folder opened for work: configuration, frozen base on this rank, weight window, tokenizer.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/adapter_layout.h"
#include "src/adapter/peft_adapter.h"
#include "src/base/frozen_base.h"
#include "src/base/weight_window.h"
#include "src/comm/communicator.h"
#include "src/comm/mesh.h"
#include "src/core/arena.h"
#include "src/job/device.h"
#include "src/model/generation_config.h"
#include "src/report/console.h"
#include "src/tokenizer/tokenizer.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

struct OpenModel {
  std::filesystem::path folder;
  ModelSpec spec;
  TensorDirectory directory;
  std::optional<Tokenizer> tokenizer;  // a folder without one serves data given as input_ids
  Stream stream;
  DType compute_dtype = DType::f32;
  Arena arena;                           // where the operators run
  Arena pinned;                          // of the host, beside a GPU: the base's blocks when they stay there
  Arena host;                            // of the host, beside a GPU: what is copied to be saved
  std::unique_ptr<Communicator> shards;  // the ranks that divide the base; its spans are the operators' memory
  std::unique_ptr<Communicator>
      tensor;  // the ranks that share every micro-batch; null: none; its spans are the operators' memory
  FrozenBase base;
  std::unique_ptr<WeightWindow> window;
};

/// How ranks keep a base between them.
struct BaseKeeping {
  int shards = 1;                   // data ranks that divide it
  bool divides_vocabulary = true;   // embedding and head too
  bool on_host = false;             // beside a GPU the blocks stay in the host's memory, and are copied when their turn comes
  int micro_batches_in_flight = 1;  // that compute with a block each time it is there
  bool of_node = false;             // those that divide it are on one machine, and on CPUs do so in memory that they share
};

/// Collective over `world`. `wanted`: how the base is to be quantized; a folder that is quantized already stays as it is, with a
/// note where that is another format, and is refused where the user wrote another. The model lives where `device` says, which
/// must outlive it. Warnings of the folder are shown. Throws Error, the same on every rank: usage, model, out_of_memory.
std::unique_ptr<OpenModel> open_model(const std::filesystem::path& folder, const WantedFormat& wanted, const Mesh& mesh,
                                      const BaseKeeping& keeping, const Device& device, Communicator& world,
                                      const Console& console);

/// Every byte that the model's arenas hold.
std::vector<MemoryItem> memory_of(const OpenModel& model);

/// An adapter ready to be applied: its layout and its parameters.
struct OpenAdapter {
  AdapterLayout layout;
  std::span<float> params;  // where the operators run
};

/// No parameters at all: the base as it is.
OpenAdapter no_adapter(const ModelSpec& spec);
/// Reads a PEFT folder; `folder` empty: no_adapter. Collective. Throws Error(model), the same on every rank.
OpenAdapter open_adapter(const std::filesystem::path& folder, OpenModel& model, Communicator& world);

/// Token ids that end a generated text: those of generation_config.json, or of config.json where it names none, and the
/// tokenizer's EOS, with which training ends an answer.
std::vector<std::int64_t> stop_ids_of(const OpenModel& model, const GenerationConfig& generation);

}  // namespace lora_dist
