// The window on an emulated GPU whose streams run late or ahead of each other: the weights of the CPU's window, bit for bit.
#include "src/base/weight_window.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "kernels/elementwise/copy.h"
#include "src/comm/host_staged.h"
#include "src/comm/single_rank.h"
#include "tests/cuda_emulation/emulation_fixture.h"
#include "tests/cuda_emulation/emulator.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"
#include "tests/support/whole_base.h"

namespace lora_dist::weight_window_test {
namespace {

using emulation::Setting;
using test::source;

/// A stream and its prerequisites.
struct GpuStream {
  GpuStream() = default;
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;
  ~GpuStream() { destroy_device_stream(stream); }
  Stream stream = make_device_stream();
};

/// A base on the emulated GPU, or in host memory.
struct OpenedOnGpu {
  OpenedOnGpu(const std::filesystem::path& folder, const BaseFormat& format, bool on_host, Communicator& host)
      : shards(make_host_staged(host.split(0), gpu.stream)) {
    const TensorDirectory directory = read_model_directory(folder);
    base = test::load_whole_base(read_model_config(folder), directory, format, host,
                                 {arena, gpu.stream, DType::f32, on_host ? &pinned : nullptr});
    window = std::make_unique<WeightWindow>(base, *shards, arena, gpu.stream, DType::f32);
  }

  GpuStream gpu;
  Arena arena{gpu.stream};
  Arena pinned{gpu.stream, Arena::Memory::pinned};
  std::unique_ptr<Communicator> shards;
  FrozenBase base;
  std::unique_ptr<WeightWindow> window;
};

std::int64_t weights_in(const FrozenBase& base) {
  std::int64_t count = 0;
  for (const BlockLayout& layout : base.layouts) {
    for (const WeightLayout& weight : layout.weights) {
      count += weight.rows * weight.cols;
    }
  }
  return count;
}

/// Visits all blocks up and down, like a micro-batch, and up again. Copies each visit's weights when operators would read them,
/// which detects late or overwritten data.
std::vector<float> weights_of_visits(WeightWindow& window, const FrozenBase& base, Arena& arena, const Stream& stream) {
  std::vector<std::int64_t> up(base.layouts.size());
  std::iota(up.begin(), up.end(), 0);
  std::vector<std::int64_t> visits = up;
  visits.insert(visits.end(), up.rbegin(), up.rend());
  visits.insert(visits.end(), up.begin(), up.end());

  const std::span<float> all = arena.take<float>(MemoryKind::scratch, "all weights", weights_in(base) * 3);
  const bool cpu = stream.backend == Backend::cpu;
  const std::span<float> scratch = arena.take<float>(MemoryKind::scratch, "weight", cpu ? base.largest_weight() : 0);
  const std::span<float> absmax = arena.take<float>(MemoryKind::scratch, "absmax", cpu ? base.largest_weight() : 0);
  std::size_t at = 0;
  for (std::size_t i = 0; i < visits.size(); ++i) {
    const BlockWeights weights = window.acquire(visits[i]);
    if (i + 1 < visits.size() && visits[i + 1] != visits[i]) {
      window.prefetch(visits[i + 1]);
    }
    for (const FrozenWeight& weight : weights) {
      const ConstTensorView values = dequantize(weight, view(scratch), absmax, stream);
      const auto count = static_cast<std::size_t>(values.count());
      copy(values, {all.data() + at, DType::f32, values.shape}, stream);
      at += count;
      window.progress();
    }
    window.release(visits[i]);
  }
  EXPECT_EQ(at, all.size());
  std::vector<float> out(all.size());
  to_host(view(std::span<const float>(all)), view(std::span(out)), stream);
  return out;
}

struct Base {
  const char* folder;
  BaseFormat format;
};
std::vector<float> weights_on_cpu(const Base& of) {
  const auto comm = make_single_rank();
  Arena arena;
  const FrozenBase base = test::load_whole_base(read_model_config(source(of.folder)), read_model_directory(source(of.folder)),
                                                of.format, *comm, {arena, {}});
  WeightWindow window(base, *comm, arena, Stream{}, DType::f32);
  return weights_of_visits(window, base, arena, Stream{});
}

void expect_weights(const Base& of, bool on_host, Communicator& comm, const std::vector<float>& expected) {
  OpenedOnGpu opened(source(of.folder), of.format, on_host, comm);
  const std::vector<float> got = weights_of_visits(*opened.window, opened.base, opened.arena, opened.gpu.stream);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
      << of.folder << ", " << comm.size() << " ranks, on host " << on_host;
}

/// Device memory accessible to the host, which is faster; access is tested elsewhere.
void expect_weights_everywhere(const Base& of) {
  const Setting open("LORA_DIST_EMULATED_OPEN", "1");
  const std::vector<float> expected = weights_on_cpu(of);
  for (const bool on_host : {false, true}) {
    const auto single = make_single_rank();
    const Setting ahead("LORA_DIST_EMULATED_LATE", "2");  // the operators' stream late, the window's ahead of it
    expect_weights(of, on_host, *single, expected);
  }
  for (const bool on_host : {false, true}) {
    const Setting late("LORA_DIST_EMULATED_LATE", "1");  // every stream as late as can be
    test::on_ranks(2, [&](Communicator& comm) { expect_weights(of, on_host, comm, expected); });
  }
}

TEST(WindowOnCuda, HasTheNf4WeightsOfTheCpuHoweverStreamsRun) {
  expect_weights_everywhere({"tests/golden/tiny_llama_bias", {Quantization::nf4, true}});
  expect_weights_everywhere({"tests/golden/tiny_llama_bias", {Quantization::nf4, false, 4096}});
}
TEST(WindowOnCuda, HasTheFp4AndInt8WeightsOfTheCpu) {
  expect_weights_everywhere({"tests/golden/tiny_llama_bias", {Quantization::fp4, true}});
  expect_weights_everywhere({"tests/golden/tiny_llama_bias", {Quantization::int8}});
  expect_weights_everywhere({"tests/golden/prequantized/qwen2_fp4_nested_in_f32", {}});
}
TEST(WindowOnCuda, HasPlainWeightsWhereTheyLieOrCast) {
  expect_weights_everywhere({"demo/model", {Quantization::none}});
  expect_weights_everywhere({"tests/golden/tiny_llama_head_dim", {Quantization::none}});  // bf16
}

std::int64_t held(const Arena& arena, const std::string& name) {
  std::int64_t bytes = 0;
  for (const MemoryItem& item : arena.items()) {
    bytes += item.name.starts_with(name) ? item.bytes : 0;
  }
  return bytes;
}

TEST(WindowOnCuda, TakesTwoDequantizedBlocksAndOneForCodesThatAreFetched) {
  const auto single = make_single_rank();
  for (const bool on_host : {false, true}) {
    const OpenedOnGpu opened(source("demo/model"), {Quantization::nf4}, on_host, *single);
    const auto layers = static_cast<std::int64_t>(opened.base.layouts.size());
    const std::int64_t block = weights_in(opened.base) / layers;
    EXPECT_GE(held(opened.arena, "dequantized block"), 2 * 4 * block);
    EXPECT_LE(held(opened.arena, "dequantized block"), 2 * 4 * (block + 7 * 128));
    EXPECT_EQ(held(opened.arena, "window"), on_host ? opened.base.largest_window() : 0);
    EXPECT_EQ(sum_by_kind(opened.pinned.items())[static_cast<std::size_t>(MemoryKind::base_on_host)],
              on_host ? layers * opened.base.layouts[0].slice_bytes : 0);
    EXPECT_EQ(held(opened.arena, "block"), on_host ? 0 : layers * opened.base.layouts[0].slice_bytes);
  }
  const OpenedOnGpu plain(source("demo/model"), {Quantization::none}, false, *single);
  EXPECT_EQ(sum_by_kind(plain.arena.items())[static_cast<std::size_t>(MemoryKind::windows)], 0);
}

/// Micro-batches after the first allocate no device or host memory, in any order of the streams.
TEST(WindowOnCuda, APassAllocatesNothing) {
  const AdapterSpec spec{4, 8.0, 0.1, false, {"all-linear"}};
  test::TestBatch pass;
  pass.add({1, 403, 407, 261, 378, 270}, {1, 403, 407, 261, 378, 270});
  const Setting open("LORA_DIST_EMULATED_OPEN", "1");
  test::on_ranks(2, [&](Communicator& comm) {
    OpenedOnGpu opened(source("demo/model"), {Quantization::nf4}, true, comm);
    const AdapterLayout layout = make_adapter_layout(opened.base.spec, spec);
    const std::span<float> params = opened.arena.take_zeroed<float>(MemoryKind::adapters, "factors", layout.count);
    const std::span<float> grads = opened.arena.take_zeroed<float>(MemoryKind::adapters, "gradients", layout.count);
    const Workspace workspace =
        make_workspace(opened.base, layout, {16, 16, true, Recompute::block, true, DType::f32}, opened.arena, opened.gpu.stream);
    const ForwardContext model{&opened.base, &layout, opened.window.get(), &workspace, params, opened.gpu.stream};
    const double first = test::loss_and_gradient(model, pass, {0.1F, 1, 2}, 1.0F, grads);
    comm.barrier();
    const std::int64_t before = emulation::allocations_made();
    comm.barrier();
    EXPECT_EQ(test::loss_and_gradient(model, pass, {0.1F, 1, 2}, 1.0F, grads), first);
    comm.barrier();
    EXPECT_EQ(emulation::allocations_made(), before);
    comm.barrier();
  });
}

}  // namespace
}  // namespace lora_dist::weight_window_test
