// Opens model and adapter, and allocates the workspace of forward passes.
#include "src/commands/model_options.h"

#include "src/commands/option_values.h"
#include "src/job/trained_format.h"
#include "src/transformer/adapter_params.h"

namespace lora_dist {

void describe_model_options(CommandUse& use, ModelOptions& options) {
  use.options.add_options()                                                                      //
      ("model", path_of(options.model, "DIR"), "Hugging Face model folder, or a GGUF file")      //
      ("adapter", path_of(options.adapter, "DIR"), "PEFT adapter folder; none: the base alone")  //
      ("quantization", word_value(options.base.quantization, "quantization", kQuantizations),
       "how the base is kept in memory (default: as the adapter was trained by its record, else none; a folder that is quantized "
       "already stays so)")  //
      ("block-size", value_of(options.base.block_size, "N"),
       "with nf4 and fp4: weights per scale (default: by the adapter's record, else 64)")  //
      ("double-quant", value_of(options.base.double_quant, "true|false"),
       "with nf4 and fp4: quantize the block scales as well (default: by the adapter's record, else true)")  //
      ("backend", word_value(options.backend, "backend", kBackends),
       "where to compute (default auto: on the GPU where there is one)")  //
      ("compute-dtype", word_value(options.compute_dtype, "compute-dtype", kComputeDtypes),
       "type of products (default auto: fp32 on the CPU, bf16 on a GPU)")  //
      ("watchdog-seconds", value_of(options.watchdog_seconds, "N"),
       "end a job in which no rank makes progress for so long (default 600; 0: never)");
}

void check_model_options(const ModelOptions& options) {
  check_base_options(options.base);
  if (options.watchdog_seconds < 0) {
    fail_usage(fmt::format("--watchdog-seconds must be at least 0 (got {})", options.watchdog_seconds));
  }
}

std::unique_ptr<Watchdog> watch_inference(Communicator& world, const ProcessInfo& process, const ModelOptions& options) {
  return watch_command(world, process, options.watchdog_seconds, "--watchdog-seconds");
}

ForwardContext Inference::transformer() const {
  return {&model->base, &adapter.layout, model->window.get(), &workspace, adapter.params, model->stream};
}

Inference open_for_inference(Communicator& world, const ProcessInfo& process, const ModelOptions& options,
                             const Console& console) {
  Inference inference;
  inference.device = choose_device({options.backend, options.compute_dtype, {}, {}}, process, world, console);
  const Mesh mesh = make_mesh(world, 1);
  const BaseKeeping keeping{mesh.data, false};  // a row's probabilities need all ids at once
  const std::optional<BaseFormat> record = options.adapter.empty() ? std::nullopt : agreed_record(options.adapter, world);
  const WantedFormat wanted = as_recorded(wanted_format(options.base, Quantization::none), record);
  GrownVocabulary grown;
  run_together(world, [&] { grown = vocabulary_of(options.adapter); });
  inference.model = open_model(options.model, wanted, mesh, keeping, *inference.device, world, console, grown);
  tell_of_record(options.adapter, record, wanted, inference.model->base.format, console);
  inference.adapter = open_adapter(options.adapter, *inference.model, world);
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
  AdapterShard whole;
  whole.layout = inference.adapter.layout;
  fill_frozen(inference.adapter.layout, whole, inference.adapter.shared, inference.workspace, inference.model->stream);
}

}  // namespace lora_dist
