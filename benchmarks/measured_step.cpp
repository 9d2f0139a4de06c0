// Opens the model and takes the buffers that a run would take.
#include "benchmarks/measured_step.h"

#include <array>

#include "benchmarks/random_model.h"
#include "src/train/training_run.h"

namespace lora_dist::benchmarks {

namespace {

constexpr int kRank = 16;

}  // namespace

std::unique_ptr<MeasuredStep> make_step(const StepSetting& setting, const std::filesystem::path& folder, int threads,
                                        Communicator& world) {
  auto step = std::make_unique<MeasuredStep>();
  step->device.stream.threads = threads;
  step->mesh = make_mesh(world, setting.tensor);
  const int shards = setting.shards == 0 ? step->mesh.data : setting.shards;
  step->model = open_model(folder, {{setting.quantization, true, 64}}, step->mesh, {shards, setting.shards_vocabulary},
                           step->device, world, Console{world.rank() == 0});
  OpenModel& model = *step->model;
  step->batch.emplace(kSequences * world.size(), kLength, model.spec.vocab);
  step->layout = make_adapter_layout(model.spec, {kRank, 32.0, setting.dropout, false, {"all-linear"}});
  step->part = make_adapter_shard(step->layout, model.spec, model.base.tp);
  step->buffers =
      take_trained_buffers(take_parameters(step->layout, step->part, model.arena), step->layout, step->part, 1, model.arena);
  initialize_adapters(step->layout, 42, step->buffers.params);
  take_shard(step->part, step->buffers.params, step->buffers.part_params, model.stream);
  WorkspaceOptions sizes{kSequences * kLength, kLength, true, setting.recompute, setting.dropout > 0.0F};
  sizes.sequence_parallel = setting.sequence_parallel;
  step->workspace = make_workspace(model.base, step->part.layout, sizes, model.arena, model.stream);
  step->options.micro_batch = kSequences;
  step->options.dropout = setting.dropout;
  return step;
}

double seconds_of_step(MeasuredStep& step, Communicator& world) {
  OpenModel& model = *step.model;
  const ForwardContext context{&model.base,  &step.part.layout, model.window.get(), &step.workspace, step.buffers.part_params,
                               model.stream, model.tensor.get()};
  world.barrier();
  std::array<double, 1> seconds = {seconds_of([&] {
    train_step({.model = context,
                .part = step.part,
                .ranks = {*step.mesh.data_group, world, world},
                .buffers = step.buffers,
                .sequences = step.batch->sequences,
                .samples = step.batch->samples,
                .options = step.options,
                .step = step.steps,
                .optimizer_step = step.steps + 1,
                .learning_rate = 1e-4},
               step.loss_scale);
  })};
  ++step.steps;
  world.all_reduce(seconds, Reduce::max, WireKind::control);
  return seconds[0];
}

void with_random_model(Communicator& world, const char* name, const std::function<void(const std::filesystem::path&)>& work) {
  const auto folder = std::filesystem::temp_directory_path() / name;
  if (world.rank() == 0) {
    write_random_model(folder, hidden_512());
  }
  world.barrier();
  work(folder);
  world.barrier();
  if (world.rank() == 0) {
    std::filesystem::remove_all(folder);
  }
}

}  // namespace lora_dist::benchmarks
