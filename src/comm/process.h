// The process as a member of an MPI job: start, end, and its rank and cores on the node.
#pragma once

#include <optional>
#include <string>

namespace lora_dist {

struct ProcessInfo {
  int rank = 0;
  int ranks = 1;
  int node_rank = 0;                     // among the ranks of this node
  int node_ranks = 1;                    // how many ranks this node has
  int node_cores = 0;                    // cores that the ranks of this node may run on, together; 0: not asked
  std::optional<double> cpu_share = {};  // of the CPUs that control groups allow, what is this rank's (cpu_quota.h)
};

/// Starts MPI in its constructor and finalizes it in its destructor. Without mpirun or srun it is a job of one rank.
class MpiSession {
 public:
  MpiSession(int& argc, char**& argv);
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  ~MpiSession();

  const ProcessInfo& process() const { return process_; }

 private:
  ProcessInfo process_;
};

/// Threads for this rank: OMP_NUM_THREADS if set, else its allowed cores divided by the ranks of its node (ranks bound by the
/// launcher to separate cores keep all of theirs), at most its cpu_share.
int threads_per_rank(const ProcessInfo& process);

/// True if every rank of the job calls this within `seconds`. Ranks call it before exit, so that none ends the job before rank 0
/// has printed the error.
bool meet_all_ranks(double seconds);

/// The rank assigned by the launcher, known without MPI; 0 without a launcher.
int launcher_rank();

/// Ends the whole job at once with `exit_code`, even if peers wait in a collective.
[[noreturn]] void abort_job(int exit_code);

/// The same from another thread, while the main thread may be stuck in MPI or hold an output stream's lock. Writes `message` to
/// stderr first.
[[noreturn]] void abort_stuck_job(const std::string& message, int exit_code);

/// This machine's host name; "localhost" if it has none.
std::string host_name();

/// "Open MPI 4.1.4" and the like.
std::string mpi_version();

}  // namespace lora_dist
