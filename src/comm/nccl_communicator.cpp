// Communicator over NCCL. All groups of a rank issue on one stream, so that their kernels run in the order of the calls, which is
// the same on every rank: two groups' kernels side by side could wait for each other across ranks.
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
#include "kernels/common/cuda_context.h"
#include "kernels/common/device.h"
#include "src/comm/agree.h"
#include "src/comm/host_staged.h"
#include "src/core/error.h"

#if NCCL_VERSION_CODE < NCCL_VERSION(2, 18, 0)
#error "NCCL 2.18 or newer is needed (ncclCommSplit)"
#endif

namespace lora_dist {
namespace {

/// The operators' stream and the one that collectives run on. Shared by a group and those split from it.
struct NcclStreams {
  explicit NcclStreams(const Stream& operators) : compute(operators), comm(make_device_stream()) {}
  NcclStreams(const NcclStreams&) = delete;
  NcclStreams& operator=(const NcclStreams&) = delete;
  ~NcclStreams() { destroy_device_stream(comm); }

  cudaStream_t handle() const { return cuda_context(comm).stream; }

  Stream compute;
  Stream comm;
};

/// A group's handle at NCCL; null once it was aborted.
class NcclGroup {
 public:
  NcclGroup(ncclComm_t comm, int rank) : comm_(comm), rank_(rank) {}
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup() {
    if (comm_ == nullptr) {
      return;
    }
    // ncclCommDestroy may wait for the other ranks, who are not coming when this one is on its way out with an error.
    if (std::uncaught_exceptions() > 0) {
      ncclCommAbort(comm_);
    } else {
      ncclCommDestroy(comm_);
    }
  }

  /// Throws after an abort.
  ncclComm_t handle(const char* collective) const {
    if (comm_ == nullptr) {
      throw failure(collective, "the group was given up after an earlier failure");
    }
    return comm_;
  }

  /// Throws unless `status` is success, after giving the group up, so that no kernel waits for a rank that is gone.
  void check(ncclResult_t status, const char* collective) {
    if (status == ncclSuccess || status == ncclInProgress) {
      return;
    }
    const Error error = failure(collective, reason(status, comm_));
    if (comm_ != nullptr) {
      ncclCommAbort(std::exchange(comm_, nullptr));
    }
    throw error;
  }

  /// What happened behind the host's back: a lost connection, another rank's abort.
  void check_under_way(const char* collective) {
    ncclResult_t status = ncclSuccess;
    check(ncclCommGetAsyncError(handle(collective), &status), collective);
    check(status, collective);
  }

  static std::string reason(ncclResult_t status, ncclComm_t comm) {
    const char* detail = ncclGetLastError(comm);
    const bool has_detail = detail != nullptr && *detail != '\0';
    return fmt::format("{}{}{}", ncclGetErrorString(status), has_detail ? ": " : "", has_detail ? detail : "");
  }

 private:
  Error failure(const char* collective, const std::string& why) const {
    return Error(
        ExitCode::communication,
        fmt::format("rank {}: NCCL {} failed: {}; a rank, a GPU or the network may be lost: see the other ranks' messages "
                    "(NCCL_DEBUG=WARN shows more), then run the same command again to go on from the last checkpoint",
                    rank_, collective, why));
  }

  ncclComm_t comm_;
  int rank_;
};

/// Throws before there is a group.
void check_start(ncclResult_t status) {
  if (status != ncclSuccess) {
    throw Error(
        ExitCode::communication,
        fmt::format("NCCL did not start: {}; NCCL_DEBUG=WARN shows more, and parallel.communicator = \"mpi\" does without",
                    NcclGroup::reason(status, nullptr)));
  }
}

class NcclGather final : public PendingGather {
 public:
  NcclGather(std::shared_ptr<NcclGroup> group, const Stream& comm, const Stream& reader)
      : group_(std::move(group)), reader_(reader) {
    done_.record(comm);
  }
  ~NcclGather() override {
    try {
      done_.hold_back(reader_);        // its memory is not written by that stream before the gather is over
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): a destructor cannot say it; the next call will
    }
  }

  void wait() override {
    group_->check_under_way("all_gather");
    done_.hold_back(reader_);
  }
  bool poke() override {
    group_->check_under_way("all_gather");
    return true;
  }

 private:
  std::shared_ptr<NcclGroup> group_;
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

class NcclCommunicator final : public Communicator {
 public:
  /// `staged` is the same group through the host: barriers, doubles and splits go that way.
  NcclCommunicator(ncclComm_t comm, std::unique_ptr<Communicator> staged, std::shared_ptr<NcclStreams> streams,
                   std::shared_ptr<WireBytes> ledger)
      : staged_(std::move(staged)),
        streams_(std::move(streams)),
        group_(std::make_shared<NcclGroup>(comm, staged_->rank())),
        ledger_(std::move(ledger)),
        followed_(streams_->compute) {}

  int rank() const override { return staged_->rank(); }
  int size() const override { return staged_->size(); }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    issue_gather(mine, all, kind);
    wait_on_host("all_gather");
  }

  std::unique_ptr<PendingGather> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                  WireKind kind) override {
    issue_gather(mine, all, kind);
    return std::make_unique<NcclGather>(group_, streams_->comm, followed_);
  }

  /// Integers: the sum is exact, whatever order NCCL adds in.
  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override {
    (*ledger_)[kind] += static_cast<std::int64_t>(values.size_bytes());
    start_after_followed();
    group_->check(ncclAllReduce(values.data(), values.data(), values.size(), ncclInt64, nccl_op(op), group_->handle("all_reduce"),
                                streams_->handle()),
                  "all_reduce");
    wait_on_host("all_reduce");
  }

  /// Through the host: NCCL does not say what its maximum of a NaN is.
  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override { staged_->all_reduce(values, op, kind); }

  void broadcast(std::span<std::byte> data, int root, WireKind kind) override {
    require(root >= 0 && root < size(), "broadcast: root is not a rank of the group");
    (*ledger_)[kind] += rank() == root ? static_cast<std::int64_t>(data.size()) : 0;
    start_after_followed();
    group_->check(
        ncclBroadcast(data.data(), data.data(), data.size(), ncclUint8, root, group_->handle("broadcast"), streams_->handle()),
        "broadcast");
    wait_on_host("broadcast");
  }

  void barrier() override { staged_->barrier(); }

  std::unique_ptr<Communicator> split(int color) override {
    std::unique_ptr<Communicator> part = staged_->split(color);
    wait_on_host("split");  // NCCL wants nothing under way on the group meanwhile
    const bool alone = part->size() == 1;
    ncclComm_t comm = nullptr;
    group_->check(ncclCommSplit(group_->handle("split"), alone ? NCCL_SPLIT_NOCOLOR : color, rank(), &comm, nullptr), "split");
    if (alone) {
      return part;
    }
    return std::make_unique<NcclCommunicator>(comm, std::move(part), streams_, ledger_);
  }

  void follow(const Stream& stream) override {
    staged_->follow(stream);
    followed_ = stream;
  }

  const WireBytes& wire() const override { return *ledger_; }

 private:
  void issue_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) {
    require(all.size() == mine.size() * static_cast<std::size_t>(size()), "all_gather: all.size() must be mine.size() * size()");
    (*ledger_)[kind] += static_cast<std::int64_t>(mine.size());
    start_after_followed();
    group_->check(
        ncclAllGather(mine.data(), all.data(), mine.size(), ncclUint8, group_->handle("all_gather"), streams_->handle()),
        "all_gather");
  }

  /// What is issued next starts after what the stream that is followed was given so far.
  void start_after_followed() {
    given_.record(followed_);
    given_.hold_back(streams_->comm);
  }

  /// Until everything issued is done. It polls: a wait inside CUDA would never hear of a rank that is gone.
  void wait_on_host(const char* collective) {
    done_.record(streams_->comm);
    while (!done_.past()) {
      group_->check_under_way(collective);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    group_->check_under_way(collective);
  }

  std::unique_ptr<Communicator> staged_;
  std::shared_ptr<NcclStreams> streams_;
  std::shared_ptr<NcclGroup> group_;  // before the streams: its kernels run there
  std::shared_ptr<WireBytes> ledger_;
  Stream followed_;
  DeviceEvent given_;  // what was given to `followed_` before the last call
  DeviceEvent done_;   // the last collective that the host waited for
};

}  // namespace

bool nccl_is_built_in() { return true; }

std::string nccl_version() {
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
  ncclComm_t comm = nullptr;
  run_together(world, [&] { check_start(ncclCommInitRank(&comm, world.size(), id, world.rank())); });
  return std::make_unique<NcclCommunicator>(comm, std::move(staged), std::move(streams), std::make_shared<WireBytes>());
}

}  // namespace lora_dist
