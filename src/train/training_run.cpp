// Adds to an opened model: gradients, moments, a watch, the base's hash.
#include "src/train/training_run.h"

#include "kernels/common/device.h"
#include "kernels/fixed_point/fixed_point.h"
#include "src/adapter/full.h"
#include "src/base/base_hash.h"
#include "src/comm/agree.h"
#include "src/core/activity.h"
#include "src/core/memory_report.h"
#include "src/job/full_setup.h"
#include "src/train/encode_virtual_tokens.h"
#include "src/train/initial_adapter.h"
#include "src/train/saving.h"

namespace lora_dist {

namespace {

void show_adapter(const TrainingRun& run) {
  const AdapterConfig& adapter = run.config.adapter;
  if (trains_base(run.config)) {
    run.console.line(fmt::format("training   full: the base's own weights{}",
                                 run.config.train.trainable.empty() ? "" : ", those of train.trainable"));
    run.console.line(trainable_line(trained_tensors(run.model->spec, run.config.train.trainable), run.model->spec));
    return;
  }
  std::string text;
  for (const PeftConfig& peft : run.descriptions()) {
    text += fmt::format("{}{}, {}", text.empty() ? "" : " + ", word_of(kMethods, peft.method),
                        method_of(peft.method).peft.options(peft));
  }
  run.console.line(fmt::format("adapter    {}; {}", text, adapter.init_from.empty() ? "fresh" : "from " + adapter.init_from));
  run.console.line(trainable_line(run.layout, run.model->spec));
}

/// The base's own matrices, and the group that sums their gradients. Collective.
void take_trained_base(TrainingRun& run) {
  OpenModel& model = *run.model;
  run.gradient_shards = (run.device->data ? *run.device->data : *run.world).split(run.mesh.tensor_rank);
  run_together(*run.world, [&] {
    const TrainedTensors tensors = trained_tensors(model.spec, run.config.train.trainable);
    run.trained = make_trained_base(model.base, model.values ? *model.values : model.base, tensors.matrices, run.mesh.data_rank,
                                    model.arena);
    run.trained->shards = run.gradient_shards.get();
    count_saved_matrices(*run.trained, run.device->on_device(), run.device->on_device() ? model.host : model.arena);
  });
}

/// Takes all buffers of steps and checkpoints. Collective.
void take_buffers(TrainingRun& run) {
  run_together(*run.world, [&] {
    Arena& arena = run.model->arena;
    run.buffers = take_trained_buffers({run.params, run.part_params}, run.layout, run.part,
                                       run.config.train.micro_batches_in_flight, arena);
    take_workspace(run, Purpose::train);
    run.copy = take_state_copy(run.layout, run.world->rank(), run.world->size(), run.device->on_device(),
                               run.device->on_device() ? run.model->host : arena);
    if (run.device->on_device()) {  // the optimizer's sums take memory as well; the gradients are zero
      explain_full_memory(arena, "what operators keep for themselves", [&] {
        fixed_point_read(view(run.buffers.sums), view(run.buffers.grads.first(run.buffers.sums.size())), run.model->stream);
      });
      arena.count(MemoryKind::operator_scratch, "operators' own", operator_scratch_bytes(run.model->stream));
    }
  });
}

}  // namespace

TrainedBuffers take_trained_buffers(const AdapterParams& params, const AdapterLayout& layout, const AdapterShard& part,
                                    int micro_batches, Arena& arena) {
  const std::int64_t n = layout.count;
  TrainedBuffers buffers;
  buffers.params = params.whole;
  buffers.part_params = params.part;
  buffers.grads = arena.take_zeroed<float>(MemoryKind::adapters, "gradients of a micro-batch", n);
  buffers.sums = arena.take_zeroed<std::int64_t>(MemoryKind::adapters, "gradients of a step, fixed point", layout.used_count());
  buffers.m = arena.take_zeroed<float>(MemoryKind::optimizer, "first moments", n);
  buffers.v = arena.take_zeroed<float>(MemoryKind::optimizer, "second moments", n);
  if (layout.method->step != nullptr) {
    buffers.method = layout.method->step->take_memory(layout, arena);
  }
  const std::int64_t of_part = part.layout.count;
  const bool whole = part.parameters.empty();
  buffers.part_sums =
      whole ? buffers.sums : arena.take_zeroed<std::int64_t>(MemoryKind::adapters, "gradients of a step of the part", of_part);
  for (int i = 0; i < micro_batches; ++i) {
    buffers.part_grads.push_back(
        whole && i == 0 ? buffers.grads.first(static_cast<std::size_t>(of_part))
                        : arena.take_zeroed<float>(MemoryKind::adapters, "gradients of a micro-batch of the part", of_part));
  }
  return buffers;
}

WireBytes sent_bytes(const TrainingRun& run) {
  WireBytes sent = run.world->wire();
  const Communicator* data = run.device->data.get();
  if (data != nullptr && &data->wire() != &run.world->wire()) {  // NCCL has counters of its own
    for (std::size_t kind = 0; kind < kWireKinds; ++kind) {
      sent.bytes[kind] += data->wire().bytes[kind];
    }
  }
  return sent;
}

TrainingRun open_training(const Config& config, Communicator& world, const Device& device) {
  TrainingRun run;
  begin_run(run, config, world, device, Purpose::train);
  run.watch = std::make_unique<RunWatch>(config, world, run.console);
  open_model_and_data(run, Purpose::train, {});
  run_together(world, [&] { run.generation = read_generation_config(run.model->folder, run.model->spec); });
  for (const std::string& warning : run.generation.warnings) {
    run.console.warn(warning);
  }
  {
    const AtWork now("hashing the base model");
    run.base_hash = base_model_hash(run.model->folder, run.model->directory, world);
  }
  run.before_adapter = run.model->arena.mark();
  run.before_adapter_host = run.model->host.mark();
  return run;
}

void set_up_adapter(TrainingRun& run) {
  run.model->arena.release_after(run.before_adapter);
  run.model->host.release_after(run.before_adapter_host);
  run.budget = {};
  run.trained.reset();
  prepare_adapter(run, Purpose::train, {});
  pack_data(run);
  run.trained_count =
      trains_base(run.config) ? trained_tensors(run.model->spec, run.config.train.trainable).count : run.layout.trained_count();
  show_adapter(run);
  take_buffers(run);
  if (trains_base(run.config)) {
    take_trained_base(run);
  }
  initialize_adapter_from_base(run);
  if (run.layout.encoder) {
    put_encoded_rows(*run.layout.encoder, run.params, run.model->stream);
    take_shard(run.part, run.params, run.part_params, run.model->stream);
  }
}

TrainingRun prepare_training(const Config& config, Communicator& world, const Device& device) {
  TrainingRun run = open_training(config, world, device);
  set_up_adapter(run);
  return run;
}

void show_memory(const TrainingRun& run) {
  MemoryByKind least = sum_by_kind(memory_of(*run.model));
  MemoryByKind most = least;
  run.world->all_reduce(least, Reduce::min, WireKind::control);
  run.world->all_reduce(most, Reduce::max, WireKind::control);
  run.console.line(memory_table(least, most, run.world->size()));
}

}  // namespace lora_dist
