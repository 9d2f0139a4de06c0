// Polls NCCL for a group's status, and aborts all groups if one fails.
#include "src/comm/nccl_group.h"

#include <fmt/format.h>

#include <exception>
#include <thread>
#include <utility>

#include "kernels/common/device.h"

#if NCCL_VERSION_CODE < NCCL_VERSION(2, 18, 0)
#error "NCCL 2.18 or newer is needed (ncclCommSplit)"
#endif

namespace lora_dist {

NcclStreams::NcclStreams(const Stream& operators) : compute(operators), comm(make_device_stream()) {
  watch_waits(compute, [this] {
    for (NcclGroup* group : groups) {
      group->check_last();
    }
  });
}

NcclStreams::~NcclStreams() {
  watch_waits(compute, {});
  destroy_device_stream(comm);
}

void NcclStreams::abort() const {
  for (NcclGroup* group : groups) {
    group->abort();
  }
}

NcclGroup::NcclGroup(ncclComm_t comm, int rank, std::shared_ptr<NcclStreams> streams)
    : comm_(comm), rank_(rank), streams_(std::move(streams)) {
  streams_->groups.push_back(this);
}

NcclGroup::~NcclGroup() {
  std::erase(streams_->groups, this);
  if (comm_ == nullptr) {
    return;
  }
  // During an exception the other ranks will not take part in finalizing.
  if (std::uncaught_exceptions() > 0 || !finalized()) {
    ncclCommAbort(comm_);
  } else {
    ncclCommDestroy(comm_);
  }
}

ncclComm_t NcclGroup::handle(const char* collective) const {
  if (comm_ == nullptr) {
    throw failure(collective, "the group was aborted after an earlier failure");
  }
  return comm_;
}

void NcclGroup::finish(ncclResult_t status, const char* collective) {
  last_ = collective;
  check(status, collective);
  while (status == ncclInProgress) {
    check(ncclCommGetAsyncError(handle(collective), &status), collective);
    check(status, collective);
    if (status == ncclInProgress) {
      std::this_thread::sleep_for(kNcclPause);
    }
  }
}

void NcclGroup::check_under_way(const char* collective) {
  ncclResult_t status = ncclSuccess;
  check(ncclCommGetAsyncError(handle(collective), &status), collective);
  check(status, collective);
}

void NcclGroup::check_last() {
  if (comm_ != nullptr) {
    check_under_way(last_);
  }
}

void NcclGroup::abort() {
  if (comm_ != nullptr) {
    ncclCommAbort(std::exchange(comm_, nullptr));
  }
}

void NcclGroup::check(ncclResult_t status, const char* collective) {
  if (status == ncclSuccess || status == ncclInProgress) {
    return;
  }
  const Error error = failure(collective, nccl_reason(status, comm_));
  streams_->abort();
  throw error;
}

Error NcclGroup::failure(const char* collective, const std::string& why) const {
  return Error(ExitCode::communication,
               fmt::format("rank {}: NCCL {} failed: {}; a rank, a GPU or the network may be lost: see the other ranks' messages "
                           "(NCCL_DEBUG=WARN shows more), then run the same command again to go on from the last checkpoint",
                           rank_, collective, why),
               ErrorScope::consequence);
}

/// True if all issued work is done on every rank. Waits for the other ranks for a limited time.
bool NcclGroup::finalized() const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  ncclResult_t status = ncclCommFinalize(comm_);
  while (status == ncclInProgress && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kNcclPause);
    if (ncclCommGetAsyncError(comm_, &status) != ncclSuccess) {
      return false;
    }
  }
  return status == ncclSuccess;
}

std::string nccl_reason(ncclResult_t status, ncclComm_t comm) {
  const char* detail = ncclGetLastError(comm);
  const bool has_detail = detail != nullptr && *detail != '\0';
  return fmt::format("{}{}{}", ncclGetErrorString(status), has_detail ? ": " : "", has_detail ? detail : "");
}

}  // namespace lora_dist
