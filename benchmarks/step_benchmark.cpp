// Compares a training step with oneDNN's rate for the same products, in one run.
//
//   OMP_NUM_THREADS=2 build/benchmarks/step_benchmark              one process, two threads
//   OMP_NUM_THREADS=1 mpirun -np 2 build/benchmarks/step_benchmark two ranks, one thread each
//
// The shape: hidden 512, 8 layers, 8 heads, 4 kv heads, intermediate 1376, vocabulary 8192, batch 4 x 256, r 16 on every linear,
// NF4. A step counts 4 FLOP for each weight of blocks and head and each token (2 forward, 2 for the gradient of the input); the
// step is compared with the rate of the same products alone, with the library's own threads. Steps and products alternate, and
// the best of each is kept, because these rates drift on a shared machine.
#include <fmt/format.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <array>

#include "benchmarks/measured_step.h"
#include "kernels/common/parallel.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"

namespace {

using namespace lora_dist;
using namespace lora_dist::benchmarks;

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
  StepSetting setting;
};

/// The best seconds of a step (of the slowest rank) and of the plain products.
void run_bench(const Bench& bench, const std::filesystem::path& folder, int threads, Communicator& world) {
  const auto step = make_step(bench.setting, folder, threads, world);
  const ModelSpec& spec = step->model->spec;
  PlainProducts products(spec);
  double best_step = 1e9;
  double best_products = 1e9;
  for (int trial = 0; trial < 12; ++trial) {
    world.barrier();
    omp_set_num_threads(threads);
    std::array<double, 1> plain = {seconds_of([&] { products.run(); })};
    set_library_threads();
    world.all_reduce(plain, Reduce::max, WireKind::control);
    const double seconds = seconds_of_step(*step, world);
    best_products = std::min(best_products, plain[0]);
    best_step = std::min(best_step, trial == 0 ? 1e9 : seconds);
  }
  const double tokens = static_cast<double>(kSequences * kLength * world.size());
  const double flop = 4.0 * static_cast<double>(weights_of(spec)) * tokens;
  if (world.rank() == 0) {
    fmt::print("| {} | {} x {} | {:.0f} | {:.0f} | {:.0f} | {:.1f} % |\n", bench.name, world.size(), threads, tokens / best_step,
               flop / best_step * 1e-9, flop / best_products * 1e-9, 100.0 * best_products / best_step);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession session(argc, argv);
  set_library_threads();
  const auto world = make_mpi_world();
  const int threads = threads_per_rank(session.process());
  if (world->rank() == 0) {
    fmt::print("| step | ranks x threads | tokens/s | GFLOP/s | oneDNN alone, GFLOP/s | share |\n|---|---|---|---|---|---|\n");
  }
  with_random_model(*world, "lora_dist_step_benchmark", [&](const std::filesystem::path& folder) {
    for (const Bench& bench : {Bench{"NF4, recompute none", {Quantization::nf4, Recompute::none, 0.0F}},
                               Bench{"NF4, recompute none, dropout 0.05", {Quantization::nf4, Recompute::none, 0.05F}},
                               Bench{"NF4, recompute block", {Quantization::nf4, Recompute::block, 0.0F}},
                               Bench{"fp32 base, recompute none", {Quantization::none, Recompute::none, 0.0F}}}) {
      run_bench(bench, folder, threads, *world);
    }
  });
  return 0;
}
