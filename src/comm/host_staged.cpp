// Device -> pinned host -> the host's communicator -> pinned host -> device.
#include "src/comm/host_staged.h"

#include <cstring>
#include <utility>
#include <vector>

#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/elementwise/elementwise.h"
#include "src/comm/done_collective.h"

namespace lora_dist {

namespace {

/// A pinned host buffer that grows and is reused.
class Staging {
 public:
  explicit Staging(const Stream& stream) : stream_(stream) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() { free(); }

  std::span<std::byte> bytes(std::size_t count) {
    if (count > size_) {
      synchronize(stream_);  // the old buffer may still be read
      free();
      memory_ = static_cast<std::byte*>(stream_.backend == Backend::cuda ? allocate_pinned(count) : ::operator new(count));
      size_ = count;
    }
    return {memory_, count};
  }

  void follow(const Stream& stream) { stream_ = stream; }

 private:
  void free() {
    if (memory_ == nullptr) {
      return;
    }
    if (stream_.backend == Backend::cuda) {
      free_pinned(memory_);
    } else {
      ::operator delete(memory_);
    }
    memory_ = nullptr;
    size_ = 0;
  }

  Stream stream_;
  std::byte* memory_ = nullptr;
  std::size_t size_ = 0;
};

/// The two staging buffers of a gather.
struct GatherStaging {
  explicit GatherStaging(const Stream& stream) : mine(stream), all(stream) {}
  Staging mine;
  Staging all;
  bool taken = false;
};

class StagedGather final : public PendingCollective {
 public:
  StagedGather(std::unique_ptr<PendingCollective> host, GatherStaging& staging, std::span<const std::byte> from,
               std::span<std::byte> to, const Stream& stream)
      : host_(std::move(host)), staging_(staging), from_(from), to_(to), stream_(stream) {}
  ~StagedGather() override {
    try {
      wait();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): a destructor cannot say it; the next collective will
    }
  }

  void wait() override {
    if (host_ == nullptr) {
      return;
    }
    const std::unique_ptr<PendingCollective> host = std::move(host_);
    host->wait();
    copy_bytes(to_.data(), from_.data(), to_.size(), stream_);
    staging_.taken = false;
  }
  bool progress() override { return host_ == nullptr || host_->progress(); }

 private:
  std::unique_ptr<PendingCollective> host_;
  GatherStaging& staging_;
  std::span<const std::byte> from_;
  std::span<std::byte> to_;
  Stream stream_;
};

class HostStaged final : public Communicator {
 public:
  HostStaged(std::unique_ptr<Communicator> host, const Stream& stream)
      : host_(std::move(host)), stream_(stream), mine_(stream), all_(stream) {}

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    require_sizes(mine, all);
    if (size() == 1) {
      copy_alone(mine, all);
      return;
    }
    const std::span<std::byte> here = fetch(mine, mine_);
    const std::span<std::byte> joined = all_.bytes(all.size());
    host_->all_gather(here, joined, kind);
    put(joined, all);
  }

  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    require_sizes(mine, all);
    if (size() == 1) {
      copy_alone(mine, all);
      return std::make_unique<DoneCollective>();
    }
    GatherStaging& staging = free_staging();
    const std::span<std::byte> here = fetch(mine, staging.mine);  // waits, so an earlier copy out of `all` is complete, too
    const std::span<std::byte> joined = staging.all.bytes(all.size());
    staging.taken = true;
    return std::make_unique<StagedGather>(host_->start_all_gather(here, joined, kind), staging, joined, all, stream_);
  }

  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override { reduce(values, op, kind); }
  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override { reduce(values, op, kind); }

  void all_reduce_sum(const TensorView& values, WireKind kind) override {
    sum(values, values, [&](const TensorView& there) { host_->all_reduce_sum(there, kind); });
  }
  void reduce_scatter_sum(const TensorView& values, WireKind kind) override {
    sum(values, equal_part(values, rank(), size()), [&](const TensorView& there) { host_->reduce_scatter_sum(there, kind); });
  }

  void broadcast(std::span<std::byte> data, int root, WireKind kind) override {
    if (size() == 1) {
      host_->broadcast({}, root, kind);  // checks the root
      return;
    }
    const std::span<std::byte> here = fetch(data, mine_);
    host_->broadcast(here, root, kind);
    put(here, data);
  }

  void barrier() override { host_->barrier(); }
  std::unique_ptr<Communicator> split(int color) override { return make_host_staged(host_->split(color), stream_); }
  void follow(const Stream& stream) override {
    stream_ = stream;
    mine_.follow(stream);
    all_.follow(stream);
    for (const auto& gather : gathers_) {
      gather->mine.follow(stream);
      gather->all.follow(stream);
    }
  }
  const WireBytes& wire() const override { return host_->wire(); }

 private:
  void require_sizes(std::span<const std::byte> mine, std::span<std::byte> all) const {
    require(all.size() == mine.size() * static_cast<std::size_t>(size()), "all_gather: all.size() must be mine.size() * size()");
  }
  /// A group of one stays on the device.
  void copy_alone(std::span<const std::byte> mine, std::span<std::byte> all) const {
    if (mine.data() != all.data()) {
      copy_bytes(all.data(), mine.data(), mine.size(), stream_);
    }
  }

  /// Copies the bytes to the host after all earlier work of the stream.
  std::span<std::byte> fetch(std::span<const std::byte> there, Staging& staging) {
    const std::span<std::byte> here = staging.bytes(there.size());
    copy_bytes(here.data(), there.data(), there.size(), stream_);
    synchronize(stream_);
    return here;
  }
  void put(std::span<const std::byte> here, std::span<std::byte> there) {
    copy_bytes(there.data(), here.data(), here.size(), stream_);
    synchronize(stream_);
  }

  template <class T>
  void reduce(std::span<T> values, Reduce op, WireKind kind) {
    if (size() == 1) {
      host_->all_reduce(std::span<T>(), op, kind);  // checks the operation
      return;
    }
    const std::span<std::byte> here = fetch(std::as_bytes(values), mine_);
    host_->all_reduce(std::span<T>(reinterpret_cast<T*>(here.data()), values.size()), op, kind);
    put(here, std::as_writable_bytes(values));
  }

  /// Sums `values` in f32 on the host, rounds `wanted` of them once and copies those back.
  template <class Work>
  void sum(const TensorView& values, const TensorView& wanted, Work work) {
    if (size() == 1) {
      return;
    }
    const std::span<std::byte> here = fetch(bytes_of(values), mine_);
    const TensorView narrow{here.data(), values.dtype, {values.count()}};
    if (values.dtype == DType::f32 || values.dtype == DType::i64) {
      work(narrow);
    } else {
      sums_.resize(static_cast<std::size_t>(values.count()));
      const TensorView wide = view(std::span(sums_));
      cast_cpu(narrow, wide, Stream{});
      work(wide);
      cast_cpu(wide, narrow, Stream{});
    }
    const std::span<std::byte> there = bytes_of(wanted);
    put(here.subspan(static_cast<std::size_t>(there.data() - bytes_of(values).data()), there.size()), there);
  }

  GatherStaging& free_staging() {
    for (const auto& staging : gathers_) {
      if (!staging->taken) {
        return *staging;
      }
    }
    return *gathers_.emplace_back(std::make_unique<GatherStaging>(stream_));
  }

  std::unique_ptr<Communicator> host_;
  Stream stream_;
  Staging mine_;
  Staging all_;
  std::vector<float> sums_;  // f32 sums of bf16 or f16 values
  std::vector<std::unique_ptr<GatherStaging>> gathers_;
};

}  // namespace

std::unique_ptr<Communicator> make_host_staged(std::unique_ptr<Communicator> host, const Stream& stream) {
  return std::make_unique<HostStaged>(std::move(host), stream);
}

}  // namespace lora_dist
