// What the ranks that share a micro-batch do with hidden states. A linear that is cut by columns leaves each of them a share of a
// sum, and so does going backwards out of linears that are cut by rows (f and g of Megatron-LM). By default every rank gets the
// whole sum. With sequence parallelism (Korthikanti et al. 2022, arXiv:2205.05198) a rank gets the sum of its own tokens and
// keeps, norms and adds up those alone; rows of all tokens are gathered where a linear reads them.
#pragma once

#include <memory>
#include <vector>

#include "src/adapter/token_range.h"
#include "src/comm/communicator.h"
#include "src/transformer/row_buffer.h"

namespace lora_dist {

/// A micro-batch's tokens among its TP ranks. Sequence-parallel shards are equal, so the last ones may hold padding: rows
/// whose sums and gradients are zeros, and which no token's row ever reads.
struct TensorParallel {
  Communicator* group = nullptr;  // the ranks that share the micro-batch, over the operators' memory; null: this one alone
  std::int64_t tokens = 0;
  RowBuffer gathered;  // [shard_tokens * ranks, hidden]: where shards are gathered; 0 wide: each rank keeps all rows
  Stream stream;
  std::int64_t piece = 0;  // tokens of a piece, where a product's sum goes on beside the product of the next; 0: never cut

  /// Whether a rank keeps the rows of its own tokens alone; then there is a `group`.
  bool sequence_parallel() const { return gathered.width > 0; }
  /// Rows of a hidden state that this rank keeps.
  std::int64_t shard_tokens() const;
  /// The first token of them.
  std::int64_t first_token() const;
  /// Whether this rank's share of a sum is the one that contains the residual.
  bool adds_residual() const;
};

/// Rows of each shard for `tokens` of a micro-batch over so many ranks.
constexpr std::int64_t tokens_of_shard(std::int64_t tokens, int ranks) { return (tokens + ranks - 1) / ranks; }

/// This rank's rows of a buffer with room for those of all ranks.
TensorView shard_of(const TensorParallel& tp, const RowBuffer& all);
/// Gathers every rank's shard of `all` in place. [tokens, width]
TensorView gather_shards(const TensorParallel& tp, const RowBuffer& all);
/// The same of a shard that lies elsewhere: by way of tp.gathered, or as it is without sequence parallelism.
TensorView gather_shard(const TensorParallel& tp, const TensorView& shard);

/// `all` holds this rank's shares of [tokens, width]; its own shard becomes their sum over the ranks. The other rows are
/// undefined afterwards with sequence parallelism.
TensorView reduce_to_shards(const TensorParallel& tp, const RowBuffer& all);
/// Zeros in the rows of a buffer that come after the tokens.
void zero_padding(const TensorParallel& tp, const RowBuffer& all);
/// x = the sum of the ranks' shares, on all of them. Nothing happens where one rank computes alone.
void all_reduce_rows(const TensorParallel& tp, const TensorView& x);

/// The pieces that a product whose rows are summed is made in: one, unless sums go on beside operators.
std::vector<TokenRange> summed_pieces(const TensorParallel& tp);

/// Sums that are under way.
using PendingSums = std::vector<std::unique_ptr<PendingCollective>>;
/// Begins all_reduce_rows of some rows.
void start_all_reduce(const TensorParallel& tp, const TensorView& x, PendingSums& sums);
/// After that all of them are there for the operators.
void finish_all_reduces(PendingSums& sums);

}  // namespace lora_dist
