// Sums of rows over the TP ranks: all-reduced, or reduced to sequence-parallel shards.
#include "src/transformer/tensor_parallel.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kTile = 256;      // rows of a GPU product's largest tile: the last one costs as much as a full one
constexpr std::int64_t kMostPieces = 4;  // the last one's sum is not hidden; more pieces make smaller products

/// The rows of all ranks, including padding.
TensorView padded(const TensorParallel& tp, const RowBuffer& all) {
  return all.rows(tp.sequence_parallel() ? tp.shard_tokens() * tp.group->size() : tp.tokens);
}

}  // namespace

std::int64_t TensorParallel::shard_tokens() const {
  return sequence_parallel() ? tokens_of_shard(tokens, group->size()) : tokens;
}
std::int64_t TensorParallel::first_token() const { return sequence_parallel() ? group->rank() * shard_tokens() : 0; }
bool TensorParallel::adds_residual() const { return group == nullptr || group->rank() == 0; }

TensorView shard_of(const TensorParallel& tp, const RowBuffer& all) { return all.rows_from(tp.first_token(), tp.shard_tokens()); }

TensorView gather_shards(const TensorParallel& tp, const RowBuffer& all) {
  if (tp.sequence_parallel()) {
    const std::span<std::byte> mine = bytes_of(shard_of(tp, all));
    const std::span<std::byte> whole = bytes_of(padded(tp, all));
    // On a device the stream waits, not the host.
    tp.group->start_all_gather(mine, whole, WireKind::tensor_activation)->wait();
  }
  return all.rows(tp.tokens);
}

TensorView gather_shard(const TensorParallel& tp, const TensorView& shard) {
  if (!tp.sequence_parallel()) {
    return shard;
  }
  copy(shard, shard_of(tp, tp.gathered), tp.stream);
  return gather_shards(tp, tp.gathered);
}

TensorView reduce_to_shards(const TensorParallel& tp, const RowBuffer& all) {
  if (!tp.sequence_parallel()) {
    all_reduce_rows(tp, all.rows(tp.tokens));
    return all.rows(tp.tokens);
  }
  zero_padding(tp, all);
  tp.group->reduce_scatter_sum(padded(tp, all), WireKind::tensor_activation);
  return shard_of(tp, all);
}

void zero_padding(const TensorParallel& tp, const RowBuffer& all) {
  if (const std::int64_t padding = padded(tp, all).rows() - tp.tokens; padding > 0) {
    zero(all.rows_from(tp.tokens, padding), tp.stream);
  }
}

void all_reduce_rows(const TensorParallel& tp, const TensorView& x) {
  if (tp.group != nullptr) {
    tp.group->all_reduce_sum(x, WireKind::tensor_activation);
  }
}

std::vector<TokenRange> summed_pieces(const TensorParallel& tp) {
  const bool beside = tp.group != nullptr && !tp.sequence_parallel() && tp.group->sums_beside() && tp.piece > 0;
  const std::int64_t pieces = beside ? std::clamp<std::int64_t>(tp.tokens / tp.piece, 1, kMostPieces) : 1;
  std::vector<TokenRange> ranges;
  for (std::int64_t i = 0, first = 0; i < pieces; ++i) {
    const std::int64_t even = tp.tokens * (i + 1) / pieces;
    const std::int64_t end = i + 1 < pieces ? even - even % std::min(tp.piece, kTile) : tp.tokens;
    ranges.push_back({first, end - first});
    first = end;
  }
  return ranges;
}

void start_all_reduce(const TensorParallel& tp, const TensorView& x, PendingSums& sums) {
  if (tp.group != nullptr) {
    sums.push_back(tp.group->start_all_reduce_sum(x, WireKind::tensor_activation));
  }
}

void finish_all_reduces(PendingSums& sums) {
  for (const auto& sum : sums) {
    sum->wait();
  }
  sums.clear();
}

}  // namespace lora_dist
