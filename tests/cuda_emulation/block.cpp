// Runs a kernel: blocks sequentially, the threads of a block as fibers that switch at barriers.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "tests/cuda_emulation/emulator.h"
#include "tests/cuda_emulation/fiber.h"

namespace lora_dist::emulation {

namespace {

constexpr std::size_t kMostShared = std::size_t{256} << 10;
constexpr std::size_t kPage = 4096;
constexpr int kLanes = 32;
constexpr unsigned kAll = 0xFFFFFFFFU;

enum class State : std::uint8_t { fresh, ready, at_block_barrier, at_warp_intrinsic, returned };

struct Worker;
struct Thread {
  State state = State::fresh;
  uint3 index = {0, 0, 0};
  Worker* worker = nullptr;  // while the thread is running
};
// An intrinsic completes when all lanes have arrived. A lane can be at most one intrinsic ahead, so two sets of slots suffice.
struct Warp {
  unsigned arrived = 0;
  unsigned generation = 0;
  const char* intrinsic = "";
  std::uint64_t slots[2][kLanes] = {};
};
// A fiber that runs threads one after another.
struct Worker {
  explicit Worker(void (*entry)(void*)) : fiber(entry, this) {}
  Fiber fiber;
  std::size_t thread = 0;
};

// An order of n unordered items: from `first` in steps of `step` modulo n, coprime to n.
class Order {
 public:
  Order(std::size_t first, std::size_t step, std::size_t n) : at_(first), step_(step), n_(n) {}
  std::size_t next() {
    const std::size_t now = at_;
    at_ += step_;
    at_ -= at_ >= n_ ? n_ : 0;
    return now;
  }

 private:
  std::size_t at_;
  std::size_t step_;
  std::size_t n_;
};

enum class Ordering : std::uint8_t { forward, reverse, shuffle };

struct Machine {
  const KernelRun* run = nullptr;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<Worker*> idle;
  std::size_t current = 0;  // running thread
  void* shared_memory = nullptr;
  void* shared = nullptr;
  Ordering ordering = Ordering::forward;
  std::uint64_t randomness = 1;

  Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine() {
    if (shared_memory != nullptr) {
      munmap(shared_memory, kMostShared + kPage);
    }
  }
};

Machine& machine() {
  static thread_local Machine made;
  return made;
}

Order next_order(Machine& m, std::size_t n) {
  if (m.ordering == Ordering::reverse) {
    return {n - 1, n - 1, n};
  }
  if (m.ordering == Ordering::forward || n < 2) {
    return {0, 1, n};
  }
  const auto draw = [&m, n] {
    m.randomness = m.randomness * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>((m.randomness >> 33U) % n);
  };
  const std::size_t first = draw();
  std::size_t step = 1 + draw();
  while (std::gcd(step, n) != 1) {
    ++step;
  }
  return {first, step % n, n};
}

[[noreturn]] void give_up(const Machine& m, std::size_t warp, const std::string& what) {
  std::string lanes;
  for (std::size_t i = warp * kLanes; i < std::min((warp + 1) * kLanes, m.threads.size()); ++i) {
    static constexpr const char* kNames[] = {"not begun", "running", "at __syncthreads", "at the intrinsic", "returned"};
    lanes += "\n  lane " + std::to_string(i % kLanes) + ": " + kNames[static_cast<int>(m.threads[i].state)];
  }
  std::fprintf(stderr, "emulated CUDA: block (%u, %u, %u), warp %zu: %s%s\n", blockIdx.x, blockIdx.y, blockIdx.z, warp,
               what.c_str(), lanes.c_str());
  std::abort();
}

void work(void* argument) {
  auto* self = static_cast<Worker*>(argument);
  Machine& m = machine();
  for (;;) {
    m.run->thread_body();
    m.threads[self->thread].state = State::returned;
    m.idle.push_back(self);
    self->fiber.give_way();
  }
}

void run_thread(Machine& m, std::size_t i) {
  Thread& thread = m.threads[i];
  if (thread.state == State::fresh) {
    if (m.idle.empty()) {
      m.workers.push_back(std::make_unique<Worker>(&work));
      m.idle.push_back(m.workers.back().get());
    }
    thread.worker = m.idle.back();
    m.idle.pop_back();
    thread.worker->thread = i;
    thread.state = State::ready;
  }
  m.current = i;
  threadIdx = thread.index;
  thread.worker->fiber.resume();
}

void wait_here(Machine& m, State state) {
  Thread& thread = m.threads[m.current];
  thread.state = state;
  thread.worker->fiber.give_way();
}

// Runs until each of its threads has returned or is at the block's barrier.
void run_warp(Machine& m, std::size_t warp) {
  const std::size_t first = warp * kLanes;
  const std::size_t count = std::min<std::size_t>(kLanes, m.threads.size() - first);
  for (bool progress = true; progress;) {
    progress = false;
    Order order = next_order(m, count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t thread = first + order.next();
      if (m.threads[thread].state <= State::ready) {
        run_thread(m, thread);
        progress = true;
      }
    }
  }
  if (m.warps[warp].arrived != 0) {
    give_up(m, warp, std::string("lanes are missing at ") + m.warps[warp].intrinsic);
  }
}

// Whether a barrier released threads.
bool pass_block_barrier(Machine& m) {
  bool waited = false;
  for (Thread& thread : m.threads) {
    if (thread.state == State::at_block_barrier) {
      thread.state = State::ready;
      waited = true;
    }
  }
  return waited;
}

void run_block(Machine& m) {
  for (Thread& thread : m.threads) {
    thread.state = State::fresh;
  }
  if (m.run->shared_bytes > 0) {
    std::memset(m.shared, 0xFF, m.run->shared_bytes);  // NaN: uninitialised
  }
  do {
    Order order = next_order(m, m.warps.size());
    for (std::size_t i = 0; i < m.warps.size(); ++i) {
      run_warp(m, order.next());
    }
  } while (pass_block_barrier(m));
}

void prepare_block(Machine& m, const KernelRun& run) {
  m.run = &run;
  const char* text = std::getenv("LORA_DIST_EMULATED_ORDER");
  const std::string_view order = text == nullptr ? "" : text;
  m.ordering = order == "reverse" ? Ordering::reverse : order == "shuffle" ? Ordering::shuffle : Ordering::forward;
  m.threads.assign(std::size_t{run.block.x} * run.block.y * run.block.z, Thread{});
  for (std::size_t i = 0; i < m.threads.size(); ++i) {
    const auto linear = static_cast<unsigned>(i);
    m.threads[i].index = {linear % run.block.x, linear / run.block.x % run.block.y, linear / run.block.x / run.block.y};
  }
  m.warps.assign((m.threads.size() + kLanes - 1) / kLanes, Warp{});
  if (m.shared_memory == nullptr) {
    void* made = mmap(nullptr, kMostShared + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED || mprotect(static_cast<char*>(made) + kMostShared, kPage, PROT_NONE) != 0) {
      std::perror("emulated CUDA: no memory for a block's shared memory");
      std::abort();
    }
    m.shared_memory = made;
  }
  // It ends at an unmapped page, so that an index past the end is detected.
  m.shared = static_cast<char*>(m.shared_memory) + kMostShared - (run.shared_bytes + 15) / 16 * 16;
  blockDim = run.block;
  gridDim = run.grid;
}

}  // namespace

void block_barrier() { wait_here(machine(), State::at_block_barrier); }

int lane() { return static_cast<int>(machine().current % kLanes); }

void* dynamic_shared() { return machine().shared; }

const std::uint64_t* exchange(const char* intrinsic, unsigned mask, std::uint64_t bits) {
  Machine& m = machine();
  const std::size_t number = m.current / kLanes;
  const std::size_t lane = m.current % kLanes;
  Warp& warp = m.warps[number];
  if (mask != kAll) {
    give_up(m, number, std::string(intrinsic) + " was called with a mask that leaves lanes out");
  }
  if (warp.arrived != 0 && warp.intrinsic != intrinsic && std::strcmp(warp.intrinsic, intrinsic) != 0) {
    give_up(m, number, std::string("some lanes are at ") + warp.intrinsic + ", others at " + intrinsic);
  }
  const std::uint64_t* slots = warp.slots[warp.generation % 2];
  warp.slots[warp.generation % 2][lane] = bits;
  warp.intrinsic = intrinsic;
  warp.arrived |= 1U << lane;
  if (warp.arrived != kAll) {
    wait_here(m, State::at_warp_intrinsic);
    return slots;
  }
  warp.arrived = 0;
  ++warp.generation;
  for (std::size_t i = 0; i < kLanes; ++i) {
    Thread& thread = m.threads[number * kLanes + i];
    thread.state = State::ready;
  }
  return slots;
}

void run_blocks(const KernelRun& run) {
  Machine& m = machine();
  prepare_block(m, run);
  const std::size_t blocks = std::size_t{run.grid.x} * run.grid.y * run.grid.z;
  Order order = next_order(m, blocks);
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t block = order.next();
    blockIdx = {static_cast<unsigned>(block % run.grid.x), static_cast<unsigned>(block / run.grid.x % run.grid.y),
                static_cast<unsigned>(block / run.grid.x / run.grid.y)};
    run_block(m);
  }
}

}  // namespace lora_dist::emulation
