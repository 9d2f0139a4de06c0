// Collectives: run earlier work of the stream, transfer the bytes by MPI, and enqueue the result as a copy, so that it appears no
// earlier than with NCCL. Everything happens in ncclCommGetAsyncError, which detects callers that do not poll.
#include <nccl.h>

#include <mpi.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/elementwise/elementwise.h"
#include "src/comm/nccl_communicator.h"
#include "tests/cuda_emulation/emulator.h"

struct ncclComm {
  MPI_Comm ranks = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  ncclResult_t status = ncclSuccess;
  std::function<ncclResult_t()> asked = nullptr;                   // run by the next ncclCommGetAsyncError
  std::shared_ptr<bool> given_up = std::make_shared<bool>(false);  // ends kernels that wait for a lost peer
  std::int64_t questions_before_loss_shows = 0;
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

ncclResult_t later(ncclComm_t comm, std::function<ncclResult_t()> work) {
  if (comm->asked || comm->status == ncclInProgress) {
    return fail(ncclInvalidUsage, "the emulated NCCL was asked for more before it had taken the last call");
  }
  comm->asked = std::move(work);
  return ncclInProgress;
}

ncclResult_t wrap(MPI_Comm ranks, ncclComm_t* comm) {
  *comm = new ncclComm{ranks};
  MPI_Comm_rank(ranks, &(*comm)->rank);
  MPI_Comm_size(ranks, &(*comm)->size);
  return ncclSuccess;
}

std::size_t size_of(ncclDataType_t type) {
  return type == ncclInt64 ? 8 : type == ncclFloat32 ? 4 : type == ncclBfloat16 || type == ncclFloat16 ? 2 : 1;
}
bool is_float(ncclDataType_t type) { return type == ncclFloat32 || type == ncclBfloat16 || type == ncclFloat16; }

/// The ranks' values, added in f32 in rank order.
void sum_floats(std::vector<char>& values, std::size_t count, ncclDataType_t type, MPI_Comm ranks) {
  int parts = 1;
  MPI_Comm_size(ranks, &parts);
  std::vector<char> all(values.size() * static_cast<std::size_t>(parts));
  const auto size = static_cast<int>(values.size());
  MPI_Allgather(values.data(), size, MPI_BYTE, all.data(), size, MPI_BYTE, ranks);
  const lora_dist::DType dtype = type == ncclFloat32    ? lora_dist::DType::f32
                                 : type == ncclBfloat16 ? lora_dist::DType::bf16
                                                        : lora_dist::DType::f16;
  std::vector<float> sum(count);
  std::vector<float> theirs(count);
  const auto n = static_cast<std::int64_t>(count);
  for (int part = 0; part < parts; ++part) {
    lora_dist::cast_cpu({all.data() + values.size() * static_cast<std::size_t>(part), dtype, {n}},
                        lora_dist::view(std::span(theirs)), {});
    for (std::size_t i = 0; i < count; ++i) {
      sum[i] += theirs[i];
    }
  }
  lora_dist::cast_cpu(lora_dist::view(std::span<const float>(sum)), {values.data(), dtype, {n}}, {});
}

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

/// True if this collective is lost.
bool is_lost(ncclComm_t comm, cudaStream_t stream) {
  static std::int64_t collectives = 0;
  const std::int64_t breaks_at = lora_dist::emulation::setting("LORA_DIST_EMULATED_NCCL_BREAKS_AT", 0);
  if (++collectives < breaks_at || breaks_at == 0) {
    return false;
  }
  const std::int64_t hangs = lora_dist::emulation::setting("LORA_DIST_EMULATED_NCCL_HANGS", 0);
  comm->questions_before_loss_shows = comm->status == ncclSuccess ? hangs : comm->questions_before_loss_shows;
  comm->status = fail(ncclRemoteError, "the emulated peer is lost");
  if (hangs > 0) {
    lora_dist::emulation::enqueue(stream, [over = comm->given_up] { return *over ? cudaSuccess : cudaErrorNotReady; });
  }
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

/// Checks that the memory is of this device, which NCCL requires.
bool is_on_device(const void* memory, std::size_t bytes) {
  const auto place = lora_dist::emulation::place_of(memory, bytes);
  return bytes == 0 || (place.memory == lora_dist::emulation::Memory::device && place.whole &&
                        place.device == lora_dist::emulation::current_device());
}

/// Shared by all collectives unless lost: later, `work` computes the result from the bytes at `from`, which is copied to `to`.
template <class Work>
ncclResult_t collective(ncclComm_t comm, cudaStream_t stream, const void* from, std::size_t bytes, void* to, Work work) {
  if (is_lost(comm, stream)) {
    return ncclSuccess;
  }
  return later(comm, [=] {
    std::vector<char> values(bytes);
    if (const ncclResult_t result = fetch(from, values, stream); result != ncclSuccess) {
      return result;
    }
    work(values);
    return put(values, to, stream);
  });
}

}  // namespace

/// LORA_DIST_EMULATED_NO_NCCL: emulates a machine without the library.
std::string lora_dist::why_no_nccl() {
  return std::getenv("LORA_DIST_EMULATED_NO_NCCL") != nullptr ? "the emulated NCCL was not found on this machine" : "";
}

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

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config == nullptr || config->blocking != 0) {
    return fail(ncclInvalidUsage, "the emulated NCCL has only groups that do not hold the host");
  }
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
  const int fails = lora_dist::emulation::setting("LORA_DIST_EMULATED_NCCL_START_FAILS", 0) != 0 ? 1 : 0;
  int any_fails = 0;
  MPI_Allreduce(&fails, &any_fails, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  if (fails != 0) {
    return fail(ncclSystemError, "the emulated network is down");
  }
  if (any_fails != 0) {
    *comm = new ncclComm{};
    (*comm)->status = ncclInProgress;
    return ncclInProgress;
  }
  if (devices_are_shared(MPI_COMM_WORLD)) {
    return fail(ncclInvalidUsage, "Duplicate GPU detected");
  }
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &copy);
  wrap(copy, comm);
  return later(*comm, [] { return ncclSuccess; });
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* part, ncclConfig_t* /*config*/) {
  *part = nullptr;
  return later(comm, [=] {
    MPI_Comm ranks = MPI_COMM_NULL;
    MPI_Comm_split(comm->ranks, color == NCCL_SPLIT_NOCOLOR ? MPI_UNDEFINED : color, key, &ranks);
    return ranks == MPI_COMM_NULL ? ncclSuccess : wrap(ranks, part);
  });
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  return later(comm, [] { return ncclSuccess; });
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) { return ncclCommAbort(comm); }

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  *comm->given_up = true;
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized == 0 && comm->ranks != MPI_COMM_NULL) {
    MPI_Comm_free(&comm->ranks);
  }
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* status) {
  if (comm->asked) {
    const ncclResult_t result = std::exchange(comm->asked, nullptr)();
    comm->status = comm->status == ncclSuccess ? result : comm->status;
  }
  *status = comm->questions_before_loss_shows > 0 ? ncclSuccess : comm->status;
  comm->questions_before_loss_shows -= comm->questions_before_loss_shows > 0 ? 1 : 0;
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
  return collective(comm, stream, mine, bytes, all, [=](std::vector<char>& values) {
    const std::vector<char> from = std::exchange(values, std::vector<char>(all_bytes));
    MPI_Allgather(from.data(), static_cast<int>(bytes), MPI_BYTE, values.data(), static_cast<int>(bytes), MPI_BYTE, comm->ranks);
  });
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t stream) {
  const std::size_t size = count * size_of(type);
  if (!is_on_device(from, size) || !is_on_device(to, size) || op == ncclProd ||
      (type != ncclInt64 && !(is_float(type) && op == ncclSum))) {
    return fail(ncclInvalidArgument, "all_reduce: neither integers nor sums of floats in memory of this device");
  }
  return collective(comm, stream, from, size, to, [=](std::vector<char>& values) {
    if (is_float(type)) {
      sum_floats(values, count, type, comm->ranks);
      return;
    }
    MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(count), MPI_INT64_T,
                  op == ncclSum   ? MPI_SUM
                  : op == ncclMax ? MPI_MAX
                                  : MPI_MIN,
                  comm->ranks);
  });
}

ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  const std::size_t part = count * size_of(type);
  const std::size_t whole = part * static_cast<std::size_t>(comm->size);
  if (!is_on_device(from, whole) || !is_on_device(to, part) || op != ncclSum || (type != ncclInt64 && !is_float(type))) {
    return fail(ncclInvalidArgument, "reduce_scatter: neither a sum of integers nor one of floats in memory of this device");
  }
  return collective(comm, stream, from, whole, to, [=](std::vector<char>& values) {
    const std::size_t all = count * static_cast<std::size_t>(comm->size);
    if (is_float(type)) {
      sum_floats(values, all, type, comm->ranks);
    } else {
      MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(all), MPI_INT64_T, MPI_SUM, comm->ranks);
    }
    const auto mine = values.begin() + static_cast<std::ptrdiff_t>(part) * comm->rank;
    values = std::vector<char>(mine, mine + static_cast<std::ptrdiff_t>(part));
  });
}

ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  const std::size_t size = count * size_of(type);
  const bool is_root = comm->rank == root;
  if ((is_root && !is_on_device(from, size)) || !is_on_device(to, size)) {
    return fail(ncclInvalidArgument, "broadcast: not memory of this device");
  }
  // Every rank runs its stream: earlier reads of `to` precede the new bytes.
  return collective(comm, stream, is_root ? from : to, size, to, [=](std::vector<char>& bytes) {
    MPI_Bcast(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, root, comm->ranks);
  });
}
