// Training steps of models of given shapes with random weights, compared with the device's product and copy rates, measured in
// the same run. `gpu_step_benchmark --all` measures every shape, base and recompute mode; --help lists the options. One process.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "benchmarks/fixed_batch.h"
#include "benchmarks/random_base.h"
#include "benchmarks/step_costs.h"
#include "benchmarks/step_options.h"
#include "kernels/common/parallel.h"
#include "kernels/elementwise/copy.h"
#include "kernels/matmul/matmul.h"
#include "src/base/weight_window.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"
#include "src/comm/single_rank.h"
#include "src/core/error_of.h"
#include "src/core/memory_report.h"
#include "src/job/device.h"
#include "src/train/training_run.h"

namespace lora_dist::benchmarks {
namespace {

constexpr int kRank = 16;
constexpr std::int64_t kWarmSteps = 2;  // the first chooses algorithms and takes the operators' scratch

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Best seconds of a call, launches of a round back to back.
double seconds_of_calls(const Stream& stream, const std::function<void()>& call) {
  constexpr int kCalls = 10;
  constexpr int kRounds = 5;
  call();
  synchronize(stream);
  double best = 1e30;
  for (int round = 0; round < kRounds; ++round) {
    best = std::min(best, seconds_of([&] {
                            for (int i = 0; i < kCalls; ++i) {
                              call();
                            }
                            synchronize(stream);
                          }) / kCalls);
  }
  return best;
}

struct DeviceRates {
  double product = 0.0;  // FLOP/s in the compute dtype
  double copy = 0.0;     // bytes/s, read and written
};

DeviceRates measure_rates(const Device& place, std::int64_t n) {
  Arena arena(place.stream);
  const auto bytes = n * n * static_cast<std::int64_t>(size_of(place.dtype));
  const auto matrix = [&](const char* name) {
    const TensorView made{arena.take<std::byte>(MemoryKind::scratch, name, bytes).data(), place.dtype, {n, n}};
    fill_with_random_weights(made, place.stream);
    return made;
  };
  const TensorView a = matrix("a");
  const TensorView b = matrix("b");
  const TensorView c = matrix("c");
  const double product =
      seconds_of_calls(place.stream, [&] { matmul({.a = a, .b = b, .op_b = Transpose::yes, .c = c}, place.stream); });
  const double copying = seconds_of_calls(place.stream, [&] { copy(a, c, place.stream); });
  const auto size = static_cast<double>(n);
  return {2.0 * size * size * size / product, 2.0 * static_cast<double>(bytes) / copying};
}

/// A row of the table.
struct Measured {
  double seconds = 0.0;  // of a step, on average
  double setup_seconds = 0.0;
  StepResult last;
  std::int64_t in_use = 0;     // device memory, of all processes; on the CPU the peak resident bytes
  std::int64_t arena = 0;      // the run's own buffers
  std::int64_t operators = 0;  // workspaces of operators
  double dequantized_bytes = 0.0;
};

TrainedBuffers make_buffers(const AdapterLayout& layout, const AdapterShard& whole, Arena& arena, const Stream& stream) {
  TrainedBuffers buffers = take_trained_buffers(take_parameters(layout, whole, arena), layout, whole, 1, arena);
  std::vector<float> factors(static_cast<std::size_t>(layout.count));
  initialize_adapters(layout, 42, factors);
  from_host(view(std::span<const float>(factors)), view(buffers.params), stream);
  return buffers;
}

std::int64_t memory_in_use(const Device& place) {
  return place.on_device() ? place.gpu->total_bytes - free_device_bytes() : peak_resident_bytes();
}

/// Makes the model, trains, and frees everything.
Measured measure(const StepCase& step, const StepBenchOptions& options, const Device& place, Communicator& world) {
  Measured result;
  Arena arena(place.stream);
  FrozenBase base;
  result.setup_seconds = seconds_of([&] {
    base = make_random_base(step.spec, {step.base, true, 64}, place.dtype, arena, place.stream);
  });
  const auto shards = make_single_rank();
  WeightWindow window(base, *shards, arena, place.stream, place.dtype);
  const AdapterLayout layout = make_adapter_layout(step.spec, {kRank, 32.0, 0.0, false, {"all-linear"}});
  const AdapterShard whole = make_adapter_shard(layout, step.spec, base.tp);
  const TrainedBuffers buffers = make_buffers(layout, whole, arena, place.stream);
  WorkspaceOptions sizes;
  sizes.max_tokens = options.micro_batch * options.sequence_length;
  sizes.max_positions = options.sequence_length;
  sizes.recompute = step.recompute;
  sizes.compute_dtype = place.dtype;
  const Workspace workspace = make_workspace(base, layout, sizes, arena, place.stream);
  const ForwardContext model{&base, &layout, &window, &workspace, buffers.params, place.stream};

  const FixedBatch batch(options.global_batch, options.sequence_length, step.spec.vocab);
  StepOptions step_options;
  step_options.micro_batch = options.micro_batch;
  step_options.scaled = place.dtype == DType::f16;
  LossScale loss_scale;
  Communicator& gradients = place.on_device() ? *place.data : world;
  std::int64_t done = 0;
  const auto train = [&](std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i, ++done) {
      result.last = train_step({.model = model,
                                .part = whole,
                                .ranks = {world, world, gradients},
                                .buffers = buffers,
                                .sequences = batch.sequences,
                                .samples = batch.samples,
                                .options = step_options,
                                .step = done,
                                .optimizer_step = done + 1,
                                .learning_rate = 1e-4},
                               loss_scale);
    }
    synchronize(place.stream);
  };
  train(kWarmSteps);
  result.seconds = seconds_of([&] { train(options.steps); }) / static_cast<double>(options.steps);
  result.in_use = memory_in_use(place);  // nothing was freed before: this is the peak
  result.arena = sum_by_kind(arena.items())[kMemoryKinds];
  result.operators = operator_scratch_bytes(place.stream);
  result.dequantized_bytes = dequantized_bytes_per_pass(base, place.dtype) *
                             std::ceil(static_cast<double>(options.global_batch) / static_cast<double>(options.micro_batch));
  return result;
}

const char* name_of_recompute(Recompute recompute) {
  return recompute == Recompute::none ? "none" : recompute == Recompute::selective ? "selective" : "block";
}

/// "16384 tokens, 16376 of them targets": as train_step counts them.
std::string tokens_of_step(const StepBenchOptions& options) {
  const FixedBatch batch(options.global_batch, options.sequence_length, 1);
  std::int64_t tokens = 0;
  std::int64_t targets = 0;
  for (const Sample& sample : batch.samples) {
    tokens += static_cast<std::int64_t>(sample.input_ids.size());
    targets += trained_tokens(sample);
  }
  return fmt::format("{} tokens, {} of them targets", tokens, targets);
}

void print_head(const StepBenchOptions& options, const Device& place, const DeviceRates& rates) {
  const std::string dtype(name_of(place.dtype));
  fmt::print("{}: {} product {:.3g} TFLOP/s ({} cubed), copy {:.4g} GB/s (read and written)\n\n", place.description(), dtype,
             rates.product / 1e12, options.product_size, rates.copy / 1e9);
  fmt::print(
      "Steps of {} sequences of {} tokens, {} a pass: {}. r {} on every linear, random weights, mean of {} steps. TFLOP/s: 4 "
      "FLOP for each weight of blocks and head and each token, 6 with recompute = block; attention not counted, then "
      "counted. MFU: the first against the product rate. Dequantizing: the share of the step that its bytes would take at "
      "the copy's rate. Qwen3 shapes are Llama blocks of Qwen3's sizes, without its norms of q and k.\n\n",
      options.global_batch, options.sequence_length, options.micro_batch, tokens_of_step(options), kRank, options.steps);
  fmt::print(
      "| shape | base | recompute | tokens/s | step | TFLOP/s | with attention | MFU | dequantizing | loss | {} | arena | "
      "operators' own | base made in |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
      place.on_device() ? "device memory in use" : "peak resident");
}

void print_row(const StepCase& step, const StepBenchOptions& options, const DeviceRates& rates, const Measured& m) {
  const double tokens_per_second = static_cast<double>(m.last.tokens) / m.seconds;
  const double flop = flop_per_weight(step.recompute) * multiplied_weights(step.spec) * tokens_per_second;
  const double attention = attention_flop_per_token(step.spec, options.sequence_length, step.recompute) * tokens_per_second;
  fmt::print(" {:.0f} | {:.4g} s | {:.4g} | {:.4g} | {:.1f} % | {:.1f} % | {} | {} | {} | {} | {:.1f} s |\n", tokens_per_second,
             m.seconds, flop / 1e12, (flop + attention) / 1e12, 100.0 * flop / rates.product,
             100.0 * m.dequantized_bytes / rates.copy / m.seconds,
             m.last.finite ? fmt::format("{:.4f}", m.last.loss) : "not finite", human_bytes(m.in_use), human_bytes(m.arena),
             human_bytes(m.operators), m.setup_seconds);
}

/// An out-of-memory error becomes a row; other errors end the run.
void run_case(const StepCase& step, const StepBenchOptions& options, const DeviceRates& rates, const ProcessInfo& process,
              Communicator& world) {
  const auto place = choose_device({*value_of_word(kBackends, options.backend), {}, {}, {}}, process, world,
                                   Console{});  // operators' scratch starts anew
  fmt::print("| {} | {} | {} |", step.shape, step.base == Quantization::nf4 ? "nf4" : "bf16", name_of_recompute(step.recompute));
  std::fflush(stdout);
  const std::optional<Error> error = error_of([&] { print_row(step, options, rates, measure(step, options, *place, world)); });
  if (error && error->code() == ExitCode::out_of_memory) {
    const std::string message = error->what();
    fmt::print(" {} |\n", message.substr(0, message.find('\n')));
  } else if (error) {
    fmt::print(" failed |\n");
    throw Error(*error);
  }
  std::fflush(stdout);
}

void run(const StepBenchOptions& options, const ProcessInfo& process, Communicator& world) {
  if (options.help) {
    fmt::print("{}", step_options_help());
    return;
  }
  if (options.backend == "cuda" && device_count() == 0) {
    fmt::print("skipped: no device ({})\n", why_no_device());
    return;
  }
  if (world.size() > 1) {
    throw Error(ExitCode::usage, "gpu_step_benchmark measures one GPU: start it without mpirun");
  }
  DeviceRates rates;
  {
    const auto place = choose_device({*value_of_word(kBackends, options.backend), {}, {}, {}}, process, world, Console{});
    rates = measure_rates(*place, options.product_size);
    print_head(options, *place, rates);
  }
  for (const StepCase& step : options.cases) {
    run_case(step, options, rates, process, world);
  }
}

}  // namespace
}  // namespace lora_dist::benchmarks

int main(int argc, char** argv) {
  using namespace lora_dist;
  MpiSession session(argc, argv);
  set_library_threads();
  const auto world = make_mpi_world();
  const std::optional<Error> error =
      error_of([&] { benchmarks::run(benchmarks::parse_step_options(argc, argv), session.process(), *world); });
  if (error) {
    fmt::print(stderr, "gpu_step_benchmark: {}\n", error->what());
    return static_cast<int>(error->code());
  }
  return 0;
}
