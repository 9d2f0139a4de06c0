// The process as a member of an MPI job.
#include "src/comm/process.h"

#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "src/comm/cpu_quota.h"
#include "src/comm/mpi_check.h"

namespace lora_dist {
namespace {

/// A set of cores as bits: the affinity mask of one or several processes.
using CoreSet = std::array<std::uint64_t, 64>;

CoreSet cores_of_this_process() {
  CoreSet cores{};
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) {
    for (std::size_t core = 0; core < CPU_SETSIZE && core < cores.size() * 64; ++core) {
      if (CPU_ISSET(core, &mask)) {
        cores[core / 64] |= std::uint64_t{1} << (core % 64);
      }
    }
  }
  return cores;
}

int count_cores(const CoreSet& cores) {
  int count = 0;
  for (const std::uint64_t word : cores) {
    count += std::popcount(word);
  }
  return count;
}

/// Every rank's text, of the ranks of `node`.
std::vector<std::string> gather_texts(MPI_Comm node, int ranks, const std::string& mine) {
  int length = static_cast<int>(mine.size());
  int longest = 0;
  check_mpi(MPI_Allreduce(&length, &longest, 1, MPI_INT, MPI_MAX, node), "start");
  std::string padded = mine;
  padded.resize(static_cast<std::size_t>(longest));
  std::string all(padded.size() * static_cast<std::size_t>(ranks), '\0');
  check_mpi(MPI_Allgather(padded.data(), longest, MPI_CHAR, all.data(), longest, MPI_CHAR, node), "start");
  std::vector<std::string> texts;
  for (int rank = 0; rank < ranks; ++rank) {
    texts.emplace_back(all.substr(static_cast<std::size_t>(rank) * padded.size(), padded.size()).c_str());  // without padding
  }
  return texts;
}

std::optional<double> share_of_limits(MPI_Comm node, const ProcessInfo& process) {
  std::vector<std::vector<CpuLimit>> of_ranks;
  for (const std::string& text : gather_texts(node, process.node_ranks, to_text(cpu_limits()))) {
    of_ranks.push_back(limits_from(text));
  }
  return cpu_share(of_ranks, process.node_rank);
}

ProcessInfo find_process() {
  ProcessInfo process;
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &process.rank), "start");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &process.ranks), "start");
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, process.rank, MPI_INFO_NULL, &node), "start");
  check_mpi(MPI_Comm_rank(node, &process.node_rank), "start");
  check_mpi(MPI_Comm_size(node, &process.node_ranks), "start");
  CoreSet cores = cores_of_this_process();
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, cores.data(), static_cast<int>(cores.size()), MPI_UINT64_T, MPI_BOR, node), "start");
  process.cpu_share = share_of_limits(node, process);
  check_mpi(MPI_Comm_free(&node), "start");
  process.node_cores = count_cores(cores);
  return process;
}

/// The integer at the start of `text`; 0 if there is none.
int leading_number(const char* text) {
  const std::string_view view = text == nullptr ? "" : text;
  int number = 0;
  std::from_chars(view.data(), view.data() + view.size(), number);
  return number;
}

bool mpi_is_running() {
  int started = 0;
  int finalized = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&finalized);
  return started != 0 && finalized == 0;
}

}  // namespace

MpiSession::MpiSession(int& argc, char**& argv) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "start");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  process_ = find_process();
}

MpiSession::~MpiSession() {
  if (mpi_is_running()) {
    MPI_Finalize();
  }
}

int threads_per_rank(const ProcessInfo& process) {
  const int asked = leading_number(std::getenv("OMP_NUM_THREADS"));
  constexpr int kMostThreads = 1024;  // more than any node has; limits the effect of a typing error
  if (asked > 0) {
    return std::min(asked, kMostThreads);
  }
  const int own = std::max(1, count_cores(cores_of_this_process()));
  int threads = (process.node_cores > 0 ? process.node_cores : own) / std::max(1, process.node_ranks);
  if (process.cpu_share) {
    threads = std::min(threads, static_cast<int>(*process.cpu_share));
  }
  return std::clamp(threads, 1, own);
}

bool meet_all_ranks(double seconds) {
  if (!mpi_is_running()) {
    return true;
  }
  MPI_Request request = MPI_REQUEST_NULL;
  if (MPI_Ibarrier(MPI_COMM_WORLD, &request) != MPI_SUCCESS) {
    return false;
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  int done = 0;
  while (done == 0) {
    if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) {
      return false;
    }
    if (done == 0 && std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

int launcher_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* text = std::getenv(name); text != nullptr) {
      return leading_number(text);
    }
  }
  return 0;
}

void abort_job(int exit_code) {
  std::fflush(nullptr);
  if (mpi_is_running()) {
    // MPICH's launcher drops what it has not yet read of an aborting rank's output.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    MPI_Abort(MPI_COMM_WORLD, exit_code);
  }
  std::_Exit(exit_code);
}

void abort_stuck_job(const std::string& message, int exit_code) {
  const ssize_t ignored = ::write(STDERR_FILENO, message.data(), message.size());
  static_cast<void>(ignored);
  // MPI_Abort tells the launcher, which also ends stopped processes; if MPI_Abort is stuck, the launcher notices this process's
  // exit.
  std::thread([exit_code] { abort_job(exit_code); }).detach();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  std::_Exit(exit_code);
}

std::string mpi_version() {
#ifdef OMPI_MAJOR_VERSION
  return fmt::format("Open MPI {}.{}.{}", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION);
#else
  // Only the first line or sentence: some libraries append their build options.
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string_view whole(text.data(), static_cast<std::size_t>(length));
  return std::string(whole.substr(0, whole.find_first_of("\n,")));
#endif
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

}  // namespace lora_dist
