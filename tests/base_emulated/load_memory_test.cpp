// Host memory while a base is loaded to the emulated GPU.
#include <gtest/gtest.h>
#include <malloc.h>

#include "benchmarks/random_model.h"
#include "kernels/common/device.h"
#include "kernels/elementwise/copy.h"
#include "src/base/frozen_base.h"
#include "src/comm/single_rank.h"
#include "tests/support/scratch.h"
#include "tests/support/whole_base.h"

namespace lora_dist::load_memory_test {
namespace {

std::int64_t heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

/// A group of one rank that records the host's heap size at every collective: after each block.
class Watching final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    watch();
    alone_->all_gather(mine, all, kind);
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    return alone_->start_all_gather(mine, all, kind);
  }
  void all_reduce(std::span<std::int64_t> /*values*/, Reduce /*op*/, WireKind /*kind*/) override { watch(); }
  void all_reduce(std::span<double> /*values*/, Reduce /*op*/, WireKind /*kind*/) override { watch(); }
  void all_reduce_sum(const TensorView& /*values*/, WireKind /*kind*/) override { watch(); }
  void reduce_scatter_sum(const TensorView& /*values*/, WireKind /*kind*/) override { watch(); }
  void broadcast(std::span<std::byte> /*data*/, int /*root*/, WireKind /*kind*/) override { watch(); }
  void barrier() override { watch(); }
  std::unique_ptr<Communicator> split(int color) override { return alone_->split(color); }
  const WireBytes& wire() const override { return alone_->wire(); }

  std::int64_t most = 0;
  int times = 0;

 private:
  void watch() {
    most = std::max(most, heap_bytes());
    ++times;
  }
  std::unique_ptr<Communicator> alone_ = make_single_rank();
};

/// 8 blocks of 12 MB in f32: the heap never has two of them.
TEST(LoadingOnCuda, TheHostHoldsOneBlockAtATime) {
  if (heap_bytes() == 0) {
    GTEST_SKIP() << "this build's allocator does not count";
  }
  const Scratch scratch;
  benchmarks::write_random_model(scratch / "model", benchmarks::hidden_512());
  const ModelSpec spec = read_model_config(scratch / "model");
  const TensorDirectory directory = read_model_directory(scratch / "model");
  Stream stream = make_device_stream();
  {
    Arena arena(stream);
    Watching comm;
    const float one = 1.0F;  // the first copy allocates the pinned ring
    from_host(view(&one, {1}), view(arena.take<float>(MemoryKind::scratch, "one", 1)), stream);
    const std::int64_t before = heap_bytes();
    const FrozenBase base = test::load_whole_base(spec, directory, {Quantization::none}, comm, {arena, stream});
    const std::int64_t block = base.layouts[0].bytes;
    EXPECT_GE(comm.times, spec.layers);
    EXPECT_GT(block, 8'000'000);
    EXPECT_GT(comm.most - before, block / 2);  // the measurement works
    EXPECT_LT(comm.most - before, block + block / 4);
    EXPECT_LT(heap_bytes() - before, block / 4);
  }
  destroy_device_stream(stream);
}

}  // namespace
}  // namespace lora_dist::load_memory_test
