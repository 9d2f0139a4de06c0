// CPU threads: one oneTBB pool, whose idle threads sleep. Callers cut work into pieces by shape alone; only the thread that
// computes a piece varies.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace lora_dist {

/// Calls call(work, i) for i in [0, pieces) on `threads` threads, including the calling one. parallel_for without its template.
void run_pieces(std::int64_t pieces, int threads, const void* work, void (*call)(const void* work, std::int64_t piece));

/// Calls work(i) for i in [0, pieces), on stream.threads threads. `work` must not throw.
/// Nested library calls (oneDNN) see one thread: see set_library_threads().
template <class Work>
void parallel_for(std::int64_t pieces, const Stream& stream, const Work& work) {
  if (stream.threads <= 1 || pieces <= 1) {
    for (std::int64_t i = 0; i < pieces; ++i) {
      work(i);
    }
    return;
  }
  run_pieces(pieces, stream.threads, &work, [](const void* object, std::int64_t i) { (*static_cast<const Work*>(object))(i); });
}

/// Calls work(begin, end) over [0, n) in pieces of `grain` elements (the last one shorter).
template <class Work>
void parallel_ranges(std::int64_t n, std::int64_t grain, const Stream& stream, const Work& work) {
  const std::int64_t pieces = (n + grain - 1) / grain;
  parallel_for(pieces, stream, [&](std::int64_t i) {
    const std::int64_t begin = i * grain;
    work(begin, begin + grain < n ? begin + grain : n);
  });
}

/// Makes OpenMP libraries run on the calling thread only, so that parallel_for is the only source of parallelism and results do
/// not depend on the number of threads. The setting is per thread: it is made at program start, in each pool thread, and by
/// operators that call oneDNN, whose caller may be another thread.
void set_library_threads();

}  // namespace lora_dist
