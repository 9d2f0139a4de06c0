// Child processes over POSIX: fork, pipes, poll, and /proc to find the ranks behind mpirun.
#include "tests/program/run_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

namespace lora_dist::program {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

pid_t parent_of(const fs::path& process) {
  const std::string stat = content_of(process / "stat");
  const std::size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string::npos) {
    return 0;
  }
  std::istringstream rest(stat.substr(end_of_name + 1));
  char state = ' ';
  pid_t parent = 0;
  rest >> state >> parent;
  return state == 'Z' ? 0 : parent;
}

/// Living children of `process`.
std::vector<pid_t> children_of(pid_t process) {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos && parent_of(entry.path()) == process) {
      children.push_back(static_cast<pid_t>(std::stol(name)));
    }
  }
  return children;
}

/// The rank that Open MPI or MPICH gave a process; -1 for others.
int rank_of(pid_t process) {
  const std::string environment = '\0' + content_of(fs::path("/proc") / std::to_string(process) / "environ");
  for (const char* variable : {"OMPI_COMM_WORLD_RANK=", "PMI_RANK="}) {
    const std::string name = std::string(1, '\0') + variable;
    if (const std::size_t at = environment.find(name); at != std::string::npos) {
      return std::atoi(environment.c_str() + at + name.size());
    }
  }
  return -1;
}

/// Adds the ranks among the children of `process`, and of children that are no ranks: MPICH's mpirun has a proxy in between.
void find_ranks(pid_t process, std::map<int, pid_t>& found) {
  for (const pid_t child : children_of(process)) {
    if (const int rank = rank_of(child); rank >= 0) {
      found[rank] = child;
    } else {
      find_ranks(child, found);
    }
  }
}

void kill_job(const RunningJob& job) {
  const std::map<int, pid_t> ranks = job.ranks();  // each is a process group of its own
  kill(-job.launcher, SIGKILL);
  for (const auto& [rank, process] : ranks) {
    kill(process, SIGKILL);
  }
}

std::vector<std::string> words_of(const Launch& launch) {
  std::vector<std::string> words;
  if (launch.ranks > 0) {
    words = {LORA_DIST_MPIRUN, "-np", std::to_string(launch.ranks)};
  }
  words.emplace_back(LORA_DIST_PROGRAM);
  words.insert(words.end(), launch.arguments.begin(), launch.arguments.end());
  return words;
}

/// What mpirun needs as root and on fewer cores than ranks; and threads that wait must leave the core to others.
const std::map<std::string, std::string>& launch_environment() {
  static const std::map<std::string, std::string> variables = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                                               {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                                               {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                                                               {"OMPI_MCA_mpi_yield_when_idle", "1"},
                                                               {"OMPI_MCA_hwloc_base_binding_policy", "none"},
                                                               {"OMP_WAIT_POLICY", "passive"},
                                                               // Open MPI leaks what it allocates at start
                                                               {"ASAN_OPTIONS", "detect_leaks=0"}};
  return variables;
}

[[noreturn]] void become(const Launch& launch, std::vector<std::string> words, int out, int err) {
  setpgid(0, 0);
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  for (const auto& [name, value] : launch_environment()) {
    setenv(name.c_str(), value.c_str(), 1);
  }
  if (launch.ranks == 1) {
    setenv("OMPI_MCA_odls_base_sigkill_timeout", "0", 1);  // no other rank needs a second to end
  }
  for (const auto& [name, value] : launch.environment) {
    value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
  }
  if (!launch.folder.empty() && chdir(launch.folder.c_str()) != 0) {
    _exit(126);
  }
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  _exit(127);
}

/// The read end of one of the child's streams.
struct Stream {
  int descriptor = -1;
  std::string* text = nullptr;
};

/// Takes in what has come within a short while; false when both streams have ended.
bool read_some(std::array<Stream, 2>& streams) {
  std::array<pollfd, 2> waiting{};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    waiting[i] = {streams[i].descriptor, POLLIN, 0};
  }
  poll(waiting.data(), waiting.size(), 2);
  bool open = false;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (streams[i].descriptor >= 0 && waiting[i].revents != 0) {
      std::array<char, 4096> buffer{};
      const ssize_t got = read(streams[i].descriptor, buffer.data(), buffer.size());
      if (got > 0) {
        streams[i].text->append(buffer.data(), static_cast<std::size_t>(got));
      } else {
        close(std::exchange(streams[i].descriptor, -1));
      }
    }
    open = open || streams[i].descriptor >= 0;
  }
  return open;
}

/// When the test may interfere.
class Interference {
 public:
  explicit Interference(const Launch& launch) : launch_(launch), due_(static_cast<bool>(launch.act)) {}

  void look(const Finished& so_far, const RunningJob& job) {
    if (!due_ || (!seen_ && so_far.out.find(launch_.when) == std::string::npos)) {
      return;
    }
    if (!seen_) {
      seen_ = true;
      since_ = Clock::now();
    }
    if (seconds_since(since_) >= launch_.delay_seconds) {
      due_ = false;
      launch_.act(job);
    }
  }

 private:
  const Launch& launch_;
  bool due_;
  bool seen_ = false;
  Clock::time_point since_;
};

int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

std::string shown(const Launch& launch, const Finished& finished) {
  std::string text = "command:";
  for (const std::string& word : words_of(launch)) {
    text += " " + word;
  }
  return text + "\nexit code " + std::to_string(finished.exit_code) + (finished.timed_out ? " (timed out)" : "") +
         "\n--- standard output\n" + finished.out + "--- standard error\n" + finished.err;
}

}  // namespace

std::map<int, pid_t> RunningJob::ranks() const {
  std::map<int, pid_t> found;
  find_ranks(launcher, found);
  return found;
}

void RunningJob::kill_rank(int rank) const {
  const std::map<int, pid_t> processes = ranks();
  const auto found = processes.find(rank);
  kill(found == processes.end() ? launcher : found->second, SIGKILL);
}

Finished run_program(const Launch& launch) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (pipe2(out.data(), O_CLOEXEC) != 0 || pipe2(err.data(), O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipe";
    return {};
  }
  const std::vector<std::string> words = words_of(launch);
  const auto start = Clock::now();
  const RunningJob job{fork()};
  if (job.launcher == 0) {
    become(launch, words, out[1], err[1]);
  }
  setpgid(job.launcher, job.launcher);  // whoever is first, parent or child
  close(out[1]);
  close(err[1]);
  Finished finished;
  std::array<Stream, 2> streams = {{{out[0], &finished.out}, {err[0], &finished.err}}};
  Interference interference(launch);
  while (read_some(streams)) {
    interference.look(finished, job);
    if (!finished.timed_out && seconds_since(start) > launch.timeout_seconds) {
      finished.timed_out = true;
      kill_job(job);
    }
  }
  int status = 0;
  waitpid(job.launcher, &status, 0);
  finished.seconds = seconds_since(start);
  finished.exit_code = exit_code_of(status);
  return finished;
}

Finished expect_success(const Launch& launch) {
  Finished finished = run_program(launch);
  EXPECT_EQ(finished.exit_code, 0) << shown(launch, finished);
  return finished;
}

Finished expect_error(const Launch& launch, int exit_code, const std::vector<std::string>& texts) {
  Finished finished = run_program(launch);
  const std::string everything = shown(launch, finished);
  EXPECT_FALSE(finished.timed_out) << everything;
  EXPECT_EQ(finished.exit_code, exit_code) << everything;
  EXPECT_EQ(count_of(finished.err, "lora_dist: error:"), 1) << everything;
  EXPECT_EQ(count_of(finished.out, "lora_dist: error:"), 0) << everything;
  const std::string message = finished.err.substr(std::min(finished.err.find("lora_dist: error:"), finished.err.size()));
  for (const std::string& text : texts) {
    EXPECT_NE(message.find(text), std::string::npos) << "missing: " << text << "\n" << everything;
  }
  return finished;
}

void expect_error_on_1_and_3_ranks(Launch launch, int exit_code, const std::vector<std::string>& texts) {
  for (const int ranks : {1, 3}) {
    launch.ranks = ranks;
    expect_error(launch, exit_code, texts);
  }
}

int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

}  // namespace lora_dist::program
