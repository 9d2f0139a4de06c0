// The pool, and the setting of OpenMP's default number of threads.
#include "kernels/common/parallel.h"

#include <omp.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>

#include <optional>

namespace lora_dist {

namespace {

/// The arena of the pool for this number of threads, one per calling thread.
tbb::task_arena& arena_of(int threads) {
  thread_local std::optional<tbb::task_arena> arena;
  if (!arena || arena->max_concurrency() != threads) {
    arena.emplace(threads);
  }
  return *arena;
}

}  // namespace

void run_pieces(std::int64_t pieces, int threads, const void* work, void (*call)(const void* work, std::int64_t piece)) {
  arena_of(threads).execute([&] {
    tbb::parallel_for(
        std::int64_t{0}, pieces,
        [&](std::int64_t i) {
          set_library_threads();
          call(work, i);
        },
        tbb::simple_partitioner());
  });
}

void set_library_threads() { omp_set_num_threads(1); }

}  // namespace lora_dist
