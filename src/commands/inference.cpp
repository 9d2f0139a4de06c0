// Opens model and adapter, and makes the buffers of forward passes.
#include "src/commands/inference.h"

#include "src/job/trained_format.h"

namespace lora_dist {

ForwardContext Inference::transformer() const {
  return {&model->base, &adapter.layout, model->window.get(), &workspace, adapter.params, model->stream};
}

WantedFormat wanted_format(const CommandLine& line) {
  return {base_format(line.quantization, line.double_quant, line.block_size), "--quantization",
          line.given.contains("quantization"), line.given.contains("double-quant"), line.given.contains("block-size")};
}

Inference open_for_inference(Communicator& world, const ProcessPlace& place, const CommandLine& line, const Console& console) {
  Inference inference;
  inference.compute = choose_compute_place({line.backend, line.compute_dtype, "auto", ""}, place, world, console);
  const Mesh mesh = make_mesh(world, 1);
  const BaseKeeping keeping{mesh.data, false};  // a row's probabilities are of all ids at once
  const std::optional<BaseFormat> record = line.adapter.empty() ? std::nullopt : agreed_record(line.adapter, world);
  const WantedFormat wanted = as_recorded(wanted_format(line), record);
  inference.model = open_model(line.model, wanted, mesh, keeping, *inference.compute, world, console);
  tell_of_record(line.adapter, record, wanted, inference.model->base.format, console);
  inference.adapter = open_adapter(line.adapter, *inference.model, world);
  return inference;
}

void make_inference_workspace(Inference& inference, std::int64_t max_tokens, std::int64_t max_positions) {
  WorkspaceOptions options;
  options.training = false;
  options.max_tokens = max_tokens;
  options.max_positions = max_positions;
  options.compute_dtype = inference.model->compute_dtype;
  inference.workspace =
      make_workspace(inference.model->base, inference.adapter.layout, options, inference.model->arena, inference.model->stream);
}

}  // namespace lora_dist
