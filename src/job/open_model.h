// An opened model folder: configuration, frozen base on this rank, weight window, tokenizer.
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
#include "src/job/grown_vocabulary.h"
#include "src/model/generation_config.h"
#include "src/report/console.h"
#include "src/tokenizer/tokenizer.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

struct OpenModel {
  std::filesystem::path folder;
  ModelSpec spec;
  TensorDirectory directory;
  std::optional<Tokenizer> tokenizer;  // empty without tokenizer files, which is enough for data given as input_ids
  Stream stream;
  DType compute_dtype = DType::f32;
  Arena arena;                           // the operators' memory
  Arena pinned;                          // host memory beside a GPU: the base's blocks if they stay there
  Arena host;                            // host memory beside a GPU: copies to be saved
  std::unique_ptr<Communicator> shards;  // the ranks that divide the base; its spans are the operators' memory
  std::unique_ptr<Communicator>
      tensor;  // the ranks that share every micro-batch; null without TP; its spans are the operators' memory
  FrozenBase base;
  std::optional<FrozenBase> values;  // the base in f32, if it is trained and computed with in 16 bits
  std::unique_ptr<WeightWindow> window;
};

/// How ranks divide and store a base.
struct BaseKeeping {
  int shards = 1;                   // data ranks that divide it
  bool divides_vocabulary = true;   // embedding and head too
  bool on_host = false;             // blocks stay in host memory beside a GPU, and are copied when needed
  int micro_batches_in_flight = 1;  // that compute with a block per fetch
  bool of_node = false;             // the ranks that divide it are on one machine, and on CPUs share its memory
  bool trained = false;             // it is loaded to be trained
};

/// Collective over `world`. `wanted`: the requested base format; a prequantized folder keeps its own, with a note if it differs
/// from a default, and an error if it differs from what the user wrote. `device` must outlive the model. Prints the folder's
/// warnings. Throws Error, the same on every rank: usage, model, out_of_memory.
std::unique_ptr<OpenModel> open_model(const std::filesystem::path& folder, const WantedFormat& wanted, const Mesh& mesh,
                                      const BaseKeeping& keeping, const Device& device, Communicator& world,
                                      const Console& console, const GrownVocabulary& grown = {});

/// All memory that the model's arenas hold.
std::vector<MemoryItem> memory_of(const OpenModel& model);

/// An adapter ready to be applied: its layout and its parameters.
struct OpenAdapter {
  AdapterLayout layout;
  std::span<float> params;  // in the operators' memory
  SharedTensors shared = {};
};

/// An adapter without parameters: the plain base.
OpenAdapter no_adapter(const ModelSpec& spec);
/// Reads a PEFT folder; `folder` empty: no_adapter. Collective. Throws Error(model), the same on every rank.
OpenAdapter open_adapter(const std::filesystem::path& folder, OpenModel& model, Communicator& world);

/// Token ids that end a generated text: those of generation_config.json (of config.json if it names none), and the tokenizer's
/// EOS, with which training ends an answer.
std::vector<std::int64_t> stop_ids_of(const OpenModel& model, const GenerationConfig& generation);

}  // namespace lora_dist
