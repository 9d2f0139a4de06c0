// What the ranks that share a pass do with hidden states. A linear that is cut by columns leaves each of them a share of a sum,
// and so does going backwards out of linears that are cut by rows (f and g of Megatron-LM). By default all of them get the whole
// sum. With sequence parallelism (Korthikanti et al. 2022, arXiv:2205.05198) a rank gets the sum of its own tokens and keeps,
// norms and adds up those alone; rows of all tokens are put together again where a linear reads them.
#pragma once

#include <memory>
#include <vector>

#include "src/comm/communicator.h"
#include "src/transformer/row_buffer.h"

namespace lora_dist {

/// The tokens of a pass among its ranks. Own rows are equal parts, so the last ones may be padding: rows whose sums and gradients
/// are zeros, and which no token's row ever reads.
struct TensorRows {
  Communicator* tensor = nullptr;  // the ranks that share the pass, over the operators' memory; null: this one alone
  std::int64_t tokens = 0;
  RowBuffer all;  // [own rows * ranks, hidden]: where rows of all tokens come together; 0 wide: each rank keeps all of them
  Stream stream;
  std::int64_t piece = 0;  // tokens of a piece, where a product's sum goes on beside the product of the next; 0: never cut

  /// Whether a rank keeps its own rows alone; then there is a `tensor`.
  bool divided() const { return all.width > 0; }
  /// Rows of a hidden state that this rank keeps.
  std::int64_t own() const;
  /// The first token of them.
  std::int64_t first() const;
};

/// Rows of own() for `tokens` of a pass over so many ranks.
constexpr std::int64_t own_rows(std::int64_t tokens, int ranks) { return (tokens + ranks - 1) / ranks; }

/// This rank's rows of a buffer with room for those of all ranks.
TensorView own_part(const TensorRows& rows, const RowBuffer& all);
/// Every rank's own part of `all` is put in its place there. [tokens, width]
TensorView join_rows(const TensorRows& rows, const RowBuffer& all);
/// The same of rows that lie elsewhere: by way of rows.all, or as they are where nothing is divided.
TensorView rows_of_all(const TensorRows& rows, const TensorView& own);

/// `all` holds this rank's shares of [tokens, width]; its own part becomes their sum over the ranks. The other parts are
/// undefined afterwards where rows are divided.
TensorView sum_rows(const TensorRows& rows, const RowBuffer& all);
/// Zeros in the rows of a buffer that come after the tokens.
void zero_padding(const TensorRows& rows, const RowBuffer& all);
/// x = the sum of the ranks' shares, on all of them. Nothing happens where one rank computes alone.
void sum_over_ranks(const TensorRows& rows, const TensorView& x);

/// A run of a pass's tokens.
struct TokenRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};
/// The rows of those tokens.
TensorView rows_of(const TensorView& x, const TokenRange& tokens);
ConstTensorView rows_of(const ConstTensorView& x, const TokenRange& tokens);
/// The pieces that a product whose rows are summed is made in: one, unless sums go on beside operators.
std::vector<TokenRange> summed_pieces(const TensorRows& rows);

/// Sums that are under way.
using PendingSums = std::vector<std::unique_ptr<PendingCollective>>;
/// Begins sum_over_ranks of some rows.
void start_sum(const TensorRows& rows, const TensorView& x, PendingSums& sums);
/// After that all of them are there for the operators.
void finish_sums(PendingSums& sums);

/// Whether this rank's share is the one that contains what is there once: the residual.
bool has_residual(const TensorRows& rows);

}  // namespace lora_dist
