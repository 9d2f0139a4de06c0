// Loads NCCL at first use, so that the program also starts on GPU machines without NCCL. The functions below have NCCL's names
// and forward their arguments.
#include <dlfcn.h>
#include <nccl.h>

#include <string>

#include "src/comm/nccl_communicator.h"

namespace {

/// NCCL's functions; `problem` is empty if all were found.
struct NcclLibrary {
  NcclLibrary() {
    handle = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      problem = std::string("libnccl.so.2 could not be opened (") + dlerror() + "); LD_LIBRARY_PATH says where to look";
      return;
    }
    find(get_version, "ncclGetVersion");
    find(get_error_string, "ncclGetErrorString");
    find(get_last_error, "ncclGetLastError");
    find(get_unique_id, "ncclGetUniqueId");
    find(comm_init_rank_config, "ncclCommInitRankConfig");
    find(comm_split, "ncclCommSplit");
    find(comm_finalize, "ncclCommFinalize");
    find(comm_destroy, "ncclCommDestroy");
    find(comm_abort, "ncclCommAbort");
    find(comm_get_async_error, "ncclCommGetAsyncError");
    find(all_gather, "ncclAllGather");
    find(all_reduce, "ncclAllReduce");
    find(reduce_scatter, "ncclReduceScatter");
    find(broadcast, "ncclBroadcast");
  }

  template <typename Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    if (function == nullptr && problem.empty()) {
      problem = std::string("this machine's libnccl.so.2 has no ") + name + "; NCCL 2.18 or newer is needed";
    }
  }

  void* handle = nullptr;
  std::string problem;
  decltype(&ncclGetVersion) get_version = nullptr;
  decltype(&ncclGetErrorString) get_error_string = nullptr;
  decltype(&ncclGetLastError) get_last_error = nullptr;
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclCommInitRankConfig) comm_init_rank_config = nullptr;
  decltype(&ncclCommSplit) comm_split = nullptr;
  decltype(&ncclCommFinalize) comm_finalize = nullptr;
  decltype(&ncclCommDestroy) comm_destroy = nullptr;
  decltype(&ncclCommAbort) comm_abort = nullptr;
  decltype(&ncclCommGetAsyncError) comm_get_async_error = nullptr;
  decltype(&ncclAllGather) all_gather = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  decltype(&ncclReduceScatter) reduce_scatter = nullptr;
  decltype(&ncclBroadcast) broadcast = nullptr;
};

const NcclLibrary& nccl() {
  static const NcclLibrary library;
  return library;
}

}  // namespace

namespace lora_dist {

std::string why_no_nccl() { return nccl().problem; }

}  // namespace lora_dist

// Call only if why_no_nccl() is empty.
ncclResult_t ncclGetVersion(int* version) { return nccl().get_version(version); }
const char* ncclGetErrorString(ncclResult_t result) { return nccl().get_error_string(result); }
const char* ncclGetLastError(ncclComm_t comm) { return nccl().get_last_error(comm); }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) { return nccl().get_unique_id(id); }
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  return nccl().comm_init_rank_config(comm, ranks, id, rank, config);
}
ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* newcomm, ncclConfig_t* config) {
  return nccl().comm_split(comm, color, key, newcomm, config);
}
ncclResult_t ncclCommFinalize(ncclComm_t comm) { return nccl().comm_finalize(comm); }
ncclResult_t ncclCommDestroy(ncclComm_t comm) { return nccl().comm_destroy(comm); }
ncclResult_t ncclCommAbort(ncclComm_t comm) { return nccl().comm_abort(comm); }
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* asyncError) {
  return nccl().comm_get_async_error(comm, asyncError);
}
ncclResult_t ncclAllGather(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return nccl().all_gather(sendbuff, recvbuff, count, type, comm, stream);
}
ncclResult_t ncclAllReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  return nccl().all_reduce(sendbuff, recvbuff, count, type, op, comm, stream);
}
ncclResult_t ncclReduceScatter(const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  return nccl().reduce_scatter(sendbuff, recvbuff, recvcount, type, op, comm, stream);
}
ncclResult_t ncclBroadcast(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  return nccl().broadcast(sendbuff, recvbuff, count, type, root, comm, stream);
}
