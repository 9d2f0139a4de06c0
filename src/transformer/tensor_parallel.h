// Hidden states of ranks that share a micro-batch. A linear cut by columns leaves each rank a share of a sum, and so does the
// backward of linears cut by rows (f and g of Megatron-LM). By default every rank gets the whole sum. With sequence parallelism
// (Korthikanti et al. 2022, arXiv:2205.05198) a rank gets the sum of its own tokens, and keeps, norms and adds only those; the
// input of a linear is gathered from all ranks.
#pragma once

#include <memory>
#include <vector>

#include "src/adapter/token_range.h"
#include "src/comm/communicator.h"
#include "src/transformer/row_buffer.h"

namespace lora_dist {

/// A micro-batch's tokens divided over its TP ranks. Sequence-parallel shards are equal, so the last ones may hold padding: rows
/// with zero sums and gradients, which no token's row reads.
struct TensorParallel {
  Communicator* group = nullptr;  // the ranks that share the micro-batch, over the operators' memory; null: only this one
  std::int64_t tokens = 0;
  RowBuffer gathered;  // [shard_tokens * ranks, hidden]: for gathered shards; 0 wide: each rank keeps all rows
  Stream stream;
  std::int64_t piece = 0;  // tokens per piece, if a piece's sum runs beside the next piece's product; 0: one piece

  /// True if a rank keeps only the rows of its own tokens; then there is a `group`.
  bool sequence_parallel() const { return gathered.width > 0; }
  /// Rows of a hidden state that this rank keeps.
  std::int64_t shard_tokens() const;
  /// The first of these tokens.
  std::int64_t first_token() const;
  /// True if this rank's share of a sum contains the residual.
  bool adds_residual() const;
};

/// Rows per shard for a micro-batch of `tokens` tokens.
constexpr std::int64_t tokens_of_shard(std::int64_t tokens, int ranks) { return (tokens + ranks - 1) / ranks; }

/// This rank's rows of a buffer for the rows of all ranks.
TensorView shard_of(const TensorParallel& tp, const RowBuffer& all);
/// Gathers every rank's shard of `all` in place. [tokens, width]
TensorView gather_shards(const TensorParallel& tp, const RowBuffer& all);
/// The same for a shard in another buffer: through tp.gathered, or the shard itself without sequence parallelism.
TensorView gather_shard(const TensorParallel& tp, const TensorView& shard);

/// `all` holds this rank's shares of [tokens, width]; its own shard becomes their sum over the ranks. With sequence parallelism
/// the other rows are undefined afterwards.
TensorView reduce_to_shards(const TensorParallel& tp, const RowBuffer& all);
/// Zeros the rows of a buffer after the tokens.
void zero_padding(const TensorParallel& tp, const RowBuffer& all);
/// x = the sum of the ranks' shares, on all of them. Does nothing without a group.
void all_reduce_rows(const TensorParallel& tp, const TensorView& x);

/// The pieces of a product whose rows are summed: one, unless sums run beside operators.
std::vector<TokenRange> summed_pieces(const TensorParallel& tp);

/// Sums in progress.
using PendingSums = std::vector<std::unique_ptr<PendingCollective>>;
/// Starts all_reduce_rows of some rows.
void start_all_reduce(const TensorParallel& tp, const TensorView& x, PendingSums& sums);
/// After it the operators may read all of them.
void finish_all_reduces(PendingSums& sums);

}  // namespace lora_dist
