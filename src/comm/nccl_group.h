// A group of ranks at NCCL, and the streams that collectives run on. Only for a build with NCCL.
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

inline constexpr std::chrono::microseconds kNcclPause(20);  // between two questions to NCCL

class NcclGroup;

/// The operators' stream and the one that collectives run on, and the groups that use them: a group and those split from it.
/// Whoever waits for the operators' stream meanwhile asks how the groups are.
struct NcclStreams {
  explicit NcclStreams(const Stream& operators);
  NcclStreams(const NcclStreams&) = delete;
  NcclStreams& operator=(const NcclStreams&) = delete;
  ~NcclStreams();

  cudaStream_t handle() const { return cuda_context(comm).stream; }
  /// All groups: their kernels end, and what the streams hold behind them goes on.
  void give_up() const;

  Stream compute;
  Stream comm;
  std::vector<NcclGroup*> groups;
};

/// A group's handle at NCCL, which never holds the host: calls return at once, and what became of them is asked for. Null once
/// it was given up. Errors name the rank, the collective and NCCL's reason.
class NcclGroup {
 public:
  NcclGroup(ncclComm_t comm, int rank, std::shared_ptr<NcclStreams> streams);
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup();

  /// Throws after the group was given up.
  ncclComm_t handle(const char* collective) const;
  /// After a call of NCCL's: waits until its kernel is on the stream. Throws unless it is, after giving up all groups, so that no
  /// kernel waits for a rank that is gone.
  void finish(ncclResult_t status, const char* collective);
  /// Throws what happened behind the host's back: a lost connection, another rank's abort.
  void check_under_way(const char* collective);
  /// The same for whoever waits for something else.
  void check_last();
  void give_up();

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
