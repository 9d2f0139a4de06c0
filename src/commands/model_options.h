// --model, --adapter, quantization, backend and compute dtype: the options that score and generate share.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "src/commands/base_options.h"
#include "src/commands/command.h"
#include "src/commands/watch_command.h"
#include "src/job/open_model.h"

namespace lora_dist {

struct ModelOptions {
  std::string model;
  std::string adapter;  // empty: the base alone
  BaseOptions base;
  std::optional<Backend> backend;  // of --backend and --compute-dtype; nullopt: auto
  std::optional<DType> compute_dtype;
  int watchdog_seconds = ParallelConfig{}.watchdog_seconds;
};

void describe_model_options(CommandUse& use, ModelOptions& options);
/// Throws a usage error for what is out of range.
void check_model_options(const ModelOptions& options);
/// watch_command() as --watchdog-seconds says.
std::unique_ptr<Watchdog> watch_inference(Communicator& world, const ProcessInfo& process, const ModelOptions& options);

struct Inference {
  std::unique_ptr<Device> device;
  std::unique_ptr<OpenModel> model;
  OpenAdapter adapter;
  Workspace workspace;

  ForwardContext transformer() const;
};

/// Opens --model and --adapter in the format of --quantization, else of the adapter's record, sharded over all ranks. The
/// workspace is not allocated. Collective.
Inference open_for_inference(Communicator& world, const ProcessInfo& process, const ModelOptions& options,
                             const Console& console);

/// Allocates the workspace for sequences of at most `max_tokens`, at positions below `max_positions`.
void make_inference_workspace(Inference& inference, std::int64_t max_tokens, std::int64_t max_positions);

}  // namespace lora_dist
