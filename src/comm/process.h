// The process as a member of an MPI job: start, end, and where it sits on its node.
#pragma once

#include <optional>
#include <string>

#include "src/comm/cpu_quota.h"

namespace lora_dist {

struct ProcessInfo {
  int rank = 0;
  int ranks = 1;
  int node_rank = 0;   // among the ranks of this node
  int node_ranks = 1;  // how many ranks this node has
  int node_cores = 0;  // cores that the ranks of this node may run on, together; 0: not asked
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

/// Threads that this rank may use: OMP_NUM_THREADS where it is set, else the cores it may run on divided by the ranks of its node
/// (ranks that the launcher bound to cores of their own keep them whole), at most its share of `quota`: CPUs that the control
/// group of the node's ranks may use.
int threads_per_rank(const ProcessInfo& process, const std::optional<double>& quota = cpu_quota());

/// True when every rank of the job has called this within `seconds` of this call: whoever ends first does not take the rest with
/// it before rank 0 has spoken.
bool meet_all_ranks(double seconds);

/// The rank that the launcher gave this process, known without MPI; 0 when there is no launcher.
int launcher_rank();

/// Ends the whole job at once with `exit_code`, also from a rank whose peers wait in a collective.
[[noreturn]] void abort_job(int exit_code);

/// The same from a thread beside one that may be stuck in MPI or hold the lock of an output stream. Writes `message` to stderr
/// first.
[[noreturn]] void abort_stuck_job(const std::string& message, int exit_code);

/// This machine's; "localhost" where it has none.
std::string host_name();

/// "Open MPI 4.1.4" and the like.
std::string mpi_version();

}  // namespace lora_dist
