// Communicator over NCCL. All groups of a rank use one stream, so that kernels run in call order, which is the same on every
// rank: concurrent kernels of two groups could deadlock across ranks.
#include "src/comm/nccl_communicator.h"

#include <cuda_runtime.h>
#include <fmt/format.h>
#include <nccl.h>

#include <array>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "src/comm/agree.h"
#include "src/comm/host_staged.h"
#include "src/comm/nccl_group.h"

namespace lora_dist {
namespace {

class NcclPending final : public PendingCollective {
 public:
  NcclPending(std::shared_ptr<NcclGroup> group, const char* collective, const Stream& comm, const Stream& reader)
      : group_(std::move(group)), collective_(collective), reader_(reader) {
    done_.record(comm);
  }
  ~NcclPending() override {
    try {
      done_.stream_wait(reader_);      // so that stream does not overwrite the memory during the collective
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): a destructor cannot say it; the next call will
    }
  }

  void wait() override {
    group_->check_under_way(collective_);
    done_.stream_wait(reader_);
  }
  bool progress() override {
    group_->check_under_way(collective_);
    return true;
  }

 private:
  std::shared_ptr<NcclGroup> group_;
  const char* collective_;
  Stream reader_;
  DeviceEvent done_;
};

ncclRedOp_t nccl_op(Reduce op) {
  switch (op) {
    case Reduce::sum:
      return ncclSum;
    case Reduce::max:
      return ncclMax;
    case Reduce::min:
      return ncclMin;
  }
  return ncclSum;
}

ncclDataType_t nccl_type(DType dtype) {
  return dtype == DType::i64 ? ncclInt64 : dtype == DType::f32 ? ncclFloat32 : dtype == DType::bf16 ? ncclBfloat16 : ncclFloat16;
}

class NcclCommunicator final : public Communicator {
 public:
  /// `staged`: the same group through the host, for barriers, doubles and splits.
  NcclCommunicator(ncclComm_t comm, std::unique_ptr<Communicator> staged, std::shared_ptr<NcclStreams> streams,
                   std::shared_ptr<WireBytes> ledger)
      : staged_(std::move(staged)),
        streams_(std::move(streams)),
        group_(std::make_shared<NcclGroup>(comm, staged_->rank(), streams_)),
        ledger_(std::move(ledger)),
        followed_(streams_->compute) {}

  int rank() const override { return staged_->rank(); }
  int size() const override { return staged_->size(); }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    issue_gather(mine, all, kind);
    wait_on_host("all_gather");
  }

  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    issue_gather(mine, all, kind);
    return std::make_unique<NcclPending>(group_, "all_gather", streams_->comm, followed_);
  }

  /// Integer sums are exact in any order.
  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override {
    (*ledger_)[kind] += static_cast<std::int64_t>(values.size_bytes());
    start_after_followed();
    group_->finish(ncclAllReduce(values.data(), values.data(), values.size(), ncclInt64, nccl_op(op),
                                 group_->handle("all_reduce"), streams_->handle()),
                   "all_reduce");
    wait_on_host("all_reduce");
  }

  /// Through the host: NCCL does not specify the maximum with NaN.
  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override { staged_->all_reduce(values, op, kind); }

  /// The operators' stream waits, not the host.
  void all_reduce_sum(const TensorView& values, WireKind kind) override {
    issue_sum(values, kind);
    let_followed_wait();
  }

  std::unique_ptr<PendingCollective> start_all_reduce_sum(const TensorView& values, WireKind kind) override {
    issue_sum(values, kind);
    return std::make_unique<NcclPending>(group_, "all_reduce", streams_->comm, followed_);
  }
  bool sums_beside() const override { return true; }

  void reduce_scatter_sum(const TensorView& values, WireKind kind) override {
    const TensorView mine = equal_part(values, rank(), size());
    const auto count = static_cast<std::size_t>(mine.count());
    (*ledger_)[kind] += static_cast<std::int64_t>(count * size_of(values.dtype)) * size();
    start_after_followed();
    group_->finish(ncclReduceScatter(values.data, mine.data, count, nccl_type(values.dtype), ncclSum,
                                     group_->handle("reduce_scatter"), streams_->handle()),
                   "reduce_scatter");
    let_followed_wait();
  }

  void broadcast(std::span<std::byte> data, int root, WireKind kind) override {
    require(root >= 0 && root < size(), "broadcast: root is not a rank of the group");
    (*ledger_)[kind] += rank() == root ? static_cast<std::int64_t>(data.size()) : 0;
    start_after_followed();
    group_->finish(
        ncclBroadcast(data.data(), data.data(), data.size(), ncclUint8, root, group_->handle("broadcast"), streams_->handle()),
        "broadcast");
    wait_on_host("broadcast");
  }

  void barrier() override { staged_->barrier(); }

  std::unique_ptr<Communicator> split(int color) override {
    std::unique_ptr<Communicator> part = staged_->split(color);
    wait_on_host("split");  // NCCL requires an idle group
    const bool alone = part->size() == 1;
    ncclComm_t comm = nullptr;
    group_->finish(ncclCommSplit(group_->handle("split"), alone ? NCCL_SPLIT_NOCOLOR : color, rank(), &comm, nullptr), "split");
    if (alone) {
      return part;
    }
    auto made = std::make_unique<NcclCommunicator>(comm, std::move(part), streams_, ledger_);
    made->group_->finish(ncclInProgress, "split");
    return made;
  }

  void follow(const Stream& stream) override {
    staged_->follow(stream);
    followed_ = stream;
  }

  void abort() override { streams_->abort(); }

  const WireBytes& wire() const override { return *ledger_; }

 private:
  void issue_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) {
    require(all.size() == mine.size() * static_cast<std::size_t>(size()), "all_gather: all.size() must be mine.size() * size()");
    (*ledger_)[kind] += static_cast<std::int64_t>(mine.size());
    start_after_followed();
    group_->finish(
        ncclAllGather(mine.data(), all.data(), mine.size(), ncclUint8, group_->handle("all_gather"), streams_->handle()),
        "all_gather");
  }

  void issue_sum(const TensorView& values, WireKind kind) {
    const auto count = static_cast<std::size_t>(values.count());
    (*ledger_)[kind] += static_cast<std::int64_t>(count * size_of(values.dtype));
    start_after_followed();
    group_->finish(ncclAllReduce(values.data, values.data, count, nccl_type(values.dtype), ncclSum, group_->handle("all_reduce"),
                                 streams_->handle()),
                   "all_reduce");
  }

  /// The communication stream waits for the followed stream.
  void start_after_followed() {
    given_.record(followed_);
    given_.stream_wait(streams_->comm);
  }

  /// The followed stream waits for the communication stream.
  void let_followed_wait() {
    done_.record(streams_->comm);
    done_.stream_wait(followed_);
  }

  /// Waits for all issued work. It polls, since a wait inside CUDA would not notice a lost rank.
  void wait_on_host(const char* collective) {
    done_.record(streams_->comm);
    while (!done_.past()) {
      group_->check_under_way(collective);
      std::this_thread::sleep_for(kNcclPause);
    }
    group_->check_under_way(collective);
  }

  std::unique_ptr<Communicator> staged_;
  std::shared_ptr<NcclStreams> streams_;
  std::shared_ptr<NcclGroup> group_;  // destroyed before the streams, on which its kernels run
  std::shared_ptr<WireBytes> ledger_;
  Stream followed_;
  DeviceEvent given_;  // recorded on `followed_` before the last call
  DeviceEvent done_;   // recorded after the last collective that the host or followed_ waits for
};

/// Throws before there is a group. ncclInProgress is not an error.
void check_start(ncclResult_t status) {
  if (status != ncclSuccess && status != ncclInProgress) {
    throw Error(
        ExitCode::communication,
        fmt::format("NCCL did not start: {}; NCCL_DEBUG=WARN shows more, and parallel.communicator = \"mpi\" does without",
                    nccl_reason(status, nullptr)));
  }
}

/// Makes the group of all ranks. NCCL initialises in the background while the ranks exchange status over the host, so that one
/// failing rank does not leave the others waiting.
ncclComm_t start_group(Communicator& world, const ncclUniqueId& id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  ncclResult_t status = ncclCommInitRankConfig(&comm, world.size(), id, world.rank(), &config);
  std::array<std::int64_t, 2> under_way_and_failed{};
  do {
    if (status == ncclInProgress) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const ncclResult_t asked = ncclCommGetAsyncError(comm, &status);
      status = asked == ncclSuccess ? status : asked;
    }
    under_way_and_failed = {status == ncclInProgress ? 1 : 0, status != ncclInProgress && status != ncclSuccess ? 1 : 0};
    world.all_reduce(under_way_and_failed, Reduce::max, WireKind::control);
  } while (under_way_and_failed[0] != 0 && under_way_and_failed[1] == 0);
  try {
    run_together(world, [&] { check_start(status); });
  } catch (const Error&) {
    if (comm != nullptr) {
      ncclCommAbort(comm);
    }
    throw;
  }
  return comm;
}

}  // namespace

std::string nccl_version() {
  if (const std::string problem = why_no_nccl(); !problem.empty()) {
    return "none: " + problem;
  }
  int version = 0;
  check_start(ncclGetVersion(&version));
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

std::string nccl_device_address() {
  int device = 0;
  std::array<char, 32> address{};
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), device), "asking for the device's address");
  return address.data();
}

std::unique_ptr<Communicator> make_nccl(Communicator& world, const Stream& stream) {
  std::unique_ptr<Communicator> staged = make_host_staged(world.split(0), stream);
  if (world.size() == 1) {
    return staged;
  }
  ncclUniqueId id = {};
  run_together(world, [&] {
    if (world.rank() == 0) {
      check_start(ncclGetUniqueId(&id));
    }
  });
  world.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0, WireKind::control);
  auto streams = std::make_shared<NcclStreams>(stream);
  ncclComm_t comm = start_group(world, id);
  return std::make_unique<NcclCommunicator>(comm, std::move(staged), std::move(streams), std::make_shared<WireBytes>());
}

}  // namespace lora_dist
