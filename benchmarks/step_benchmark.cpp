// A training step beside oneDNN's own rate for the same products, in one run.
//
//   OMP_NUM_THREADS=2 build/benchmarks/step_benchmark              one process, two threads
//   OMP_NUM_THREADS=1 mpirun -np 2 build/benchmarks/step_benchmark two ranks, one thread each
//
// The shape: hidden 512, 8 layers, 8 heads, 4 kv heads, intermediate 1376, vocabulary 8192, batch 4 x 256, r 16 on every linear,
// NF4. A step counts 4 FLOP for each weight of blocks and head and each token (2 forward, 2 for the gradient of the input); the
// same products alone, as the library does them with its own threads, are the rate that the step is held against. Steps and
// products alternate, and the best of each is kept, because these rates drift on a shared machine.
#include <fmt/format.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>

#include "benchmarks/fixed_batch.h"
#include "benchmarks/random_model.h"
#include "kernels/common/parallel.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"
#include "src/train/open_model.h"
#include "src/train/train_step.h"

namespace {

using namespace lora_dist;

constexpr std::int64_t kSequences = 4;  // of a rank's pass
constexpr std::int64_t kLength = 256;
constexpr int kRank = 16;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// y = x W^T and dx = dy W for every weight of blocks and head, by oneDNN alone.
struct PlainProducts {
  explicit PlainProducts(const ModelSpec& spec) : model(spec) {
    for (const Linear linear : kAllLinears) {
      if (const LinearShape shape = linear_shape(spec, linear); shape.out > 0) {
        shapes.push_back(shape);
      }
    }
    const std::int64_t widest = std::max(spec.vocab, spec.intermediate);
    x.assign(static_cast<std::size_t>(kSequences * kLength * widest), 0.5F);
    y = x;
    w.assign(static_cast<std::size_t>(spec.vocab * spec.hidden), 0.5F);
  }

  void product(std::int64_t out, std::int64_t in) {
    const dnnl_dim_t tokens = kSequences * kLength;
    dnnl_sgemm('N', 'T', tokens, out, in, 1.0F, x.data(), in, w.data(), in, 0.0F, y.data(), out);
    dnnl_sgemm('N', 'N', tokens, in, out, 1.0F, y.data(), out, w.data(), in, 0.0F, x.data(), in);
  }

  void run() {
    for (std::int64_t layer = 0; layer < model.layers; ++layer) {
      for (const LinearShape& shape : shapes) {
        product(shape.out, shape.in);
      }
    }
    product(model.vocab, model.hidden);
  }

  ModelSpec model;
  std::vector<LinearShape> shapes;
  std::vector<float> x, y, w;
};

std::int64_t weights_of(const ModelSpec& spec) {
  std::int64_t count = spec.vocab * spec.hidden;
  for (const Linear linear : kAllLinears) {
    const LinearShape shape = linear_shape(spec, linear);
    count += spec.layers * shape.out * shape.in;
  }
  return count;
}

struct Bench {
  const char* name;
  Quantization quantization;
  Recompute recompute;
  float dropout;
  int tensor = 1;
  int shards = 0;  // data ranks that divide the base; 0: all
};

/// The buffers of the whole adapter and of this rank's part of it, which are the same where nothing is cut.
TrainedBuffers make_buffers(const AdapterLayout& whole, const AdapterPart& part, Arena& arena) {
  const auto take = [&arena](MemoryKind kind, const char* name, std::int64_t count) {
    return arena.take_zeroed<float>(kind, name, count);
  };
  TrainedBuffers buffers{take(MemoryKind::adapters, "factors", whole.count), take(MemoryKind::optimizer, "m", whole.count),
                         take(MemoryKind::optimizer, "v", whole.count), take(MemoryKind::adapters, "gradients", whole.count),
                         arena.take_zeroed<std::int64_t>(MemoryKind::adapters, "sums", whole.count)};
  initialize_adapters(whole, 42, buffers.params);
  buffers.part_params = buffers.params;
  buffers.part_grads = buffers.grads;
  buffers.part_sums = buffers.sums;
  if (!part.factors.empty()) {
    buffers.part_params = take(MemoryKind::adapters, "factors of the part", part.layout.count);
    buffers.part_grads = take(MemoryKind::adapters, "gradients of the part", part.layout.count);
    buffers.part_sums = arena.take_zeroed<std::int64_t>(MemoryKind::adapters, "sums of the part", part.layout.count);
    take_part(part, buffers.params, buffers.part_params, Stream{});
  }
  return buffers;
}

/// Best seconds of a step, over all ranks (the slowest counts), beside the best of the plain products.
void run_bench(const Bench& bench, const std::filesystem::path& folder, int threads, Communicator& world) {
  const Console console{world.rank() == 0};
  ComputePlace compute;
  compute.stream.threads = threads;
  const Mesh mesh = make_mesh(world, bench.tensor);
  const int shards = bench.shards == 0 ? mesh.data : bench.shards;
  const auto model = open_model(folder, {{bench.quantization, true, 64}}, mesh, shards, compute, world, console);
  const AdapterLayout layout = make_adapter_layout(model->spec, {kRank, 32.0, bench.dropout, false, {"all-linear"}});
  const AdapterPart part = make_adapter_part(layout, model->spec, model->base.part);
  const TrainedBuffers buffers = make_buffers(layout, part, model->arena);
  const WorkspaceOptions options{kSequences * kLength, kLength, true, bench.recompute, bench.dropout > 0.0F};
  const Workspace workspace = make_workspace(model->base, part.layout, options, model->arena, model->stream);
  const Transformer transformer{&model->base,        &part.layout,  model->window.get(), &workspace,
                                buffers.part_params, model->stream, model->tensor.get()};
  LossScale unused;

  const benchmarks::FixedBatch batch(kSequences * world.size(), kLength, model->spec.vocab);
  StepOptions step_options;
  step_options.micro_batch = kSequences;
  step_options.dropout = bench.dropout;

  PlainProducts products(model->spec);
  double best_step = 1e9;
  double best_products = 1e9;
  for (std::int64_t trial = 0; trial < 12; ++trial) {
    world.barrier();
    std::array<double, 2> seconds{};
    omp_set_num_threads(threads);
    seconds[0] = seconds_of([&] { products.run(); });
    set_library_threads();
    world.barrier();
    seconds[1] = seconds_of([&] {
      train_step(transformer, part, {*mesh.data_group, world, world}, batch.sequences, batch.samples, step_options, trial,
                 trial + 1, 1e-4, buffers, false, unused);
    });
    world.all_reduce(seconds, Reduce::max, WireKind::control);
    best_products = std::min(best_products, seconds[0]);
    best_step = std::min(best_step, trial == 0 ? 1e9 : seconds[1]);
  }
  const double flop =
      4.0 * static_cast<double>(weights_of(model->spec)) * static_cast<double>(kSequences * kLength * world.size());
  const double tokens = static_cast<double>(kSequences * kLength * world.size());
  console.line(fmt::format("| {} | {} x {} | {:.0f} | {:.0f} | {:.0f} | {:.1f} % |", bench.name, world.size(), threads,
                           tokens / best_step, flop / best_step * 1e-9, flop / best_products * 1e-9,
                           100.0 * best_products / best_step));
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession session(argc, argv);
  set_library_threads();
  const auto world = make_mpi_world();
  const int threads = threads_per_rank(session.place());
  const auto folder = std::filesystem::temp_directory_path() / "lora_dist_step_benchmark";
  if (world->rank() == 0) {
    benchmarks::write_random_model(folder, benchmarks::hidden_512());
    fmt::print("| step | ranks x threads | tokens/s | GFLOP/s | oneDNN alone, GFLOP/s | share |\n|---|---|---|---|---|---|\n");
  }
  world->barrier();
  for (const Bench& bench : {Bench{"NF4, recompute none", Quantization::nf4, Recompute::none, 0.0F},
                             Bench{"NF4, recompute none, dropout 0.05", Quantization::nf4, Recompute::none, 0.05F},
                             Bench{"NF4, recompute block", Quantization::nf4, Recompute::block, 0.0F},
                             Bench{"fp32 base, recompute none", Quantization::none, Recompute::none, 0.0F}}) {
    run_bench(bench, folder, threads, *world);
  }
  if (world->size() > 1) {
    run_bench({"NF4, recompute none, base on each rank", Quantization::nf4, Recompute::none, 0.0F, 1, 1}, folder, threads,
              *world);
    run_bench({"NF4, recompute none, all ranks share a pass", Quantization::nf4, Recompute::none, 0.0F, world->size()}, folder,
              threads, *world);
  }
  world->barrier();
  if (world->rank() == 0) {
    std::filesystem::remove_all(folder);
  }
  return 0;
}
