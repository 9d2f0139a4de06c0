// The collectives: what the stream was given so far runs, the bytes travel by MPI at once, and the result is put on the stream
// like any other copy. So it is seen no earlier than a real one, while ranks meet in the order of the calls, without threads.
#include <nccl.h>

#include <mpi.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/cuda_emulation/emulator.h"

struct ncclComm {
  MPI_Comm ranks = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  ncclResult_t status = ncclSuccess;
};

namespace {

std::string& last_error() {
  static std::string text;
  return text;
}

ncclResult_t fail(ncclResult_t result, const std::string& why) {
  last_error() = why;
  return result;
}

ncclResult_t wrap(MPI_Comm ranks, ncclComm_t* comm) {
  *comm = new ncclComm{ranks};
  MPI_Comm_rank(ranks, &(*comm)->rank);
  MPI_Comm_size(ranks, &(*comm)->size);
  return ncclSuccess;
}

std::size_t size_of(ncclDataType_t type) { return type == ncclInt64 ? 8 : 1; }

/// True on every rank when two ranks of a node have the same device.
bool devices_are_shared(MPI_Comm ranks) {
  MPI_Comm node = MPI_COMM_NULL;
  int node_rank = 0;
  int node_size = 1;
  MPI_Comm_split_type(ranks, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &node_rank);
  MPI_Comm_size(node, &node_size);
  int device = 0;
  cudaGetDevice(&device);
  using Address = std::array<char, 32>;
  Address address{};
  cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), device);
  std::vector<Address> addresses(static_cast<std::size_t>(node_size));
  MPI_Allgather(address.data(), static_cast<int>(address.size()), MPI_CHAR, addresses.data(), static_cast<int>(address.size()),
                MPI_CHAR, node);
  MPI_Comm_free(&node);
  int shared = 0;
  for (int other = 0; other < node_size; ++other) {
    shared |= other != node_rank && addresses[static_cast<std::size_t>(other)] == address ? 1 : 0;
  }
  MPI_Allreduce(MPI_IN_PLACE, &shared, 1, MPI_INT, MPI_MAX, ranks);
  return shared != 0;
}

/// True when this collective is to do nothing.
bool is_lost(ncclComm_t comm) {
  static std::int64_t collectives = 0;
  const std::int64_t breaks_at = lora_dist::emulation::setting("LORA_DIST_EMULATED_NCCL_BREAKS_AT", 0);
  if (++collectives < breaks_at || breaks_at == 0) {
    return false;
  }
  comm->status = fail(ncclRemoteError, "the emulated peer is lost");
  return true;
}

/// The bytes after all that the stream was given.
ncclResult_t fetch(const void* from, std::vector<char>& to, cudaStream_t stream) {
  const bool done =
      cudaStreamSynchronize(stream) == cudaSuccess && cudaMemcpy(to.data(), from, to.size(), cudaMemcpyDefault) == cudaSuccess;
  return done ? ncclSuccess : fail(ncclUnhandledCudaError, "the emulated device failed");
}

ncclResult_t put(const std::vector<char>& from, void* to, cudaStream_t stream) {
  const bool done = cudaMemcpyAsync(to, from.data(), from.size(), cudaMemcpyDefault, stream) == cudaSuccess;
  return done ? ncclSuccess : fail(ncclUnhandledCudaError, "the emulated device failed");
}

/// Work that needs device memory: the host's or another device's is a mistake that NCCL does not forgive either.
bool is_on_device(const void* memory, std::size_t bytes) {
  const auto place = lora_dist::emulation::place_of(memory, bytes);
  return bytes == 0 || (place.memory == lora_dist::emulation::Memory::device && place.whole &&
                        place.device == lora_dist::emulation::current_device());
}

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  constexpr std::array<const char*, 8> texts = {"no error",
                                                "unhandled cuda error",
                                                "unhandled system error",
                                                "internal error",
                                                "invalid argument",
                                                "invalid usage",
                                                "remote process exited or network error",
                                                "NCCL operation in progress"};
  return texts.at(static_cast<std::size_t>(result));
}

const char* ncclGetLastError(ncclComm_t /*comm*/) { return last_error().c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::memcpy(id->internal, &now, sizeof now);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  int world_rank = 0;
  int world_size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world_size);
  if (ranks != world_size || rank != world_rank) {
    return fail(ncclInvalidArgument, "the emulated NCCL starts with the ranks of MPI_COMM_WORLD");
  }
  std::int64_t most = 0;
  std::memcpy(&most, id.internal, sizeof most);
  std::int64_t least = most;
  MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
  MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD);
  if (most != least || most == 0) {
    return fail(ncclInvalidArgument, "the ranks came with different unique ids");
  }
  if (devices_are_shared(MPI_COMM_WORLD)) {
    return fail(ncclInvalidUsage, "Duplicate GPU detected");
  }
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &copy);
  return wrap(copy, comm);
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* part, ncclConfig_t* /*config*/) {
  MPI_Comm ranks = MPI_COMM_NULL;
  MPI_Comm_split(comm->ranks, color == NCCL_SPLIT_NOCOLOR ? MPI_UNDEFINED : color, key, &ranks);
  *part = nullptr;
  return ranks == MPI_COMM_NULL ? ncclSuccess : wrap(ranks, part);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) { return ncclCommAbort(comm); }

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized == 0) {
    MPI_Comm_free(&comm->ranks);
  }
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* status) {
  *status = comm->status;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() { return ncclSuccess; }
ncclResult_t ncclGroupEnd() { return ncclSuccess; }

ncclResult_t ncclAllGather(const void* mine, void* all, std::size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  const std::size_t bytes = count * size_of(type);
  const std::size_t all_bytes = bytes * static_cast<std::size_t>(comm->size);
  if (!is_on_device(mine, bytes) || !is_on_device(all, all_bytes)) {
    return fail(ncclInvalidArgument, "all_gather: not memory of this device");
  }
  if (is_lost(comm)) {
    return ncclSuccess;
  }
  std::vector<char> from(bytes);
  std::vector<char> to(all_bytes);
  if (const ncclResult_t result = fetch(mine, from, stream); result != ncclSuccess) {
    return result;
  }
  MPI_Allgather(from.data(), static_cast<int>(bytes), MPI_BYTE, to.data(), static_cast<int>(bytes), MPI_BYTE, comm->ranks);
  return put(to, all, stream);
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t stream) {
  std::vector<char> values(count * size_of(type));
  if (!is_on_device(from, values.size()) || !is_on_device(to, values.size()) || type != ncclInt64 || op == ncclProd) {
    return fail(ncclInvalidArgument, "all_reduce: not sums, maxima or minima of int64 in memory of this device");
  }
  if (is_lost(comm)) {
    return ncclSuccess;
  }
  if (const ncclResult_t result = fetch(from, values, stream); result != ncclSuccess) {
    return result;
  }
  MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(count), MPI_INT64_T,
                op == ncclSum   ? MPI_SUM
                : op == ncclMax ? MPI_MAX
                                : MPI_MIN,
                comm->ranks);
  return put(values, to, stream);
}

ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  std::vector<char> bytes(count * size_of(type));
  const bool is_root = comm->rank == root;
  if ((is_root && !is_on_device(from, bytes.size())) || !is_on_device(to, bytes.size())) {
    return fail(ncclInvalidArgument, "broadcast: not memory of this device");
  }
  if (is_lost(comm)) {
    return ncclSuccess;
  }
  // Every rank lets its stream run: what reads `to` comes before the new bytes.
  if (const ncclResult_t result = fetch(is_root ? from : to, bytes, stream); result != ncclSuccess) {
    return result;
  }
  MPI_Bcast(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, root, comm->ranks);
  return put(bytes, to, stream);
}
