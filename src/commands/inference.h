// What score and generate share: a model, perhaps with an adapter, opened for forward passes.
#pragma once

#include <memory>

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/commands/command_line.h"
#include "src/job/open_model.h"

namespace lora_dist {

struct Inference {
  std::unique_ptr<ComputePlace> compute;
  std::unique_ptr<OpenModel> model;
  OpenAdapter adapter;
  Workspace workspace;

  ForwardContext transformer() const;
};

/// How the base is to be kept, as --quantization, --double-quant and --block-size say; merge and quantize ask it too.
WantedFormat wanted_format(const CommandLine& line);

/// Opens --model and --adapter as --quantization says, else as the adapter records it, divided over all ranks. The workspace is
/// still empty. Collective.
Inference open_for_inference(Communicator& world, const ProcessPlace& place, const CommandLine& line, const Console& console);

/// Makes the workspace for sequences of at most `max_tokens`, at positions below `max_positions`.
void make_inference_workspace(Inference& inference, std::int64_t max_tokens, std::int64_t max_positions);

}  // namespace lora_dist
