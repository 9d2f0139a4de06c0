// An NCCL communicator and its streams. Only for a build with NCCL.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "kernels/common/cuda_context.h"
#include "kernels/common/stream.h"
#include "src/core/error.h"

namespace lora_dist {

inline constexpr std::chrono::microseconds kNcclPause(20);  // between two polls of NCCL

class NcclGroup;

/// The operators' stream, the communication stream, and the groups that use them (a group and those split from it). Waits for the
/// operators' stream check the groups' status.
struct NcclStreams {
  explicit NcclStreams(const Stream& operators);
  NcclStreams(const NcclStreams&) = delete;
  NcclStreams& operator=(const NcclStreams&) = delete;
  ~NcclStreams();

  cudaStream_t handle() const { return cuda_context(comm).stream; }
  /// Aborts all groups: their kernels end, and later work on the streams continues.
  void abort() const;

  Stream compute;
  Stream comm;
  std::vector<NcclGroup*> groups;
};

/// A group's non-blocking NCCL communicator: calls return at once and their status is polled. Null after an abort. Errors name
/// the rank, the collective and NCCL's reason.
class NcclGroup {
 public:
  NcclGroup(ncclComm_t comm, int rank, std::shared_ptr<NcclStreams> streams);
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup();

  /// Throws after an abort.
  ncclComm_t handle(const char* collective) const;
  /// Waits until the kernel of an NCCL call is on the stream. On failure it aborts all groups, so that no kernel waits for a lost
  /// rank, and throws.
  void finish(ncclResult_t status, const char* collective);
  /// Throws asynchronous errors: a lost connection, another rank's abort.
  void check_under_way(const char* collective);
  /// The same, naming the last collective.
  void check_last();
  void abort();

 private:
  void check(ncclResult_t status, const char* collective);
  Error failure(const char* collective, const std::string& why) const;
  bool finalized() const;

  ncclComm_t comm_;
  int rank_;
  std::shared_ptr<NcclStreams> streams_;
  const char* last_ = "start";
};

/// "unhandled system error: ...".
std::string nccl_reason(ncclResult_t status, ncclComm_t comm);

}  // namespace lora_dist
