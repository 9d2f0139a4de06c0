// Which blocks of a weight that was quantized whole a part of it touches: the part's cuts may go through blocks, so it keeps the
// scale of each.
#pragma once

#include <cstdint>

#include "kernels/common/runs.h"

namespace lora_dist {

/// Scales that each run of a part keeps: those of the blocks that it touches. Where runs start at different places of a block,
/// room for the most that any could touch.
constexpr std::int64_t scales_per_run(const Runs& runs, std::int64_t block_size) {
  if (runs.length == 0) {
    return 0;
  }
  const bool alike = runs.count <= 1 || runs.stride % block_size == 0;
  const std::int64_t phase = alike ? runs.start % block_size : block_size - 1;
  return (phase + runs.length + block_size - 1) / block_size;
}
/// The block of the whole weight whose scale is number `scale` of the part.
constexpr std::int64_t block_of_scale(const Runs& runs, std::int64_t block_size, std::int64_t scale) {
  const std::int64_t per_run = scales_per_run(runs, block_size);
  return runs.first(scale / per_run) / block_size + scale % per_run;
}
/// Whether the part looks like a weight of its own: each block lies in it whole, but perhaps the last.
constexpr bool is_cut_between_blocks(const Runs& runs, std::int64_t block_size) {
  return runs.start % block_size == 0 && (runs.count <= 1 || (runs.stride % block_size == 0 && runs.length % block_size == 0));
}

}  // namespace lora_dist
