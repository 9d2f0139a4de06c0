// --model, --adapter, and how and where they are computed: what score and generate share, opened for forward passes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "src/commands/base_options.h"
#include "src/commands/command.h"
#include "src/job/open_model.h"

namespace lora_dist {

struct ModelOptions {
  std::string model;
  std::string adapter;  // empty: the base alone
  BaseOptions base;
  std::optional<Backend> backend;  // as --backend and --compute-dtype; nullopt: auto
  std::optional<DType> compute_dtype;
};

void describe_model_options(CommandUse& use, ModelOptions& options);

struct Inference {
  std::unique_ptr<Device> device;
  std::unique_ptr<OpenModel> model;
  OpenAdapter adapter;
  Workspace workspace;

  ForwardContext transformer() const;
};

/// Opens --model and --adapter as --quantization says, else as the adapter records it, divided over all ranks. The workspace is
/// still empty. Collective.
Inference open_for_inference(Communicator& world, const ProcessInfo& process, const ModelOptions& options,
                             const Console& console);

/// Makes the workspace for sequences of at most `max_tokens`, at positions below `max_positions`.
void make_inference_workspace(Inference& inference, std::int64_t max_tokens, std::int64_t max_positions);

}  // namespace lora_dist
