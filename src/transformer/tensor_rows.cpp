// Sums of rows over the tensor ranks, whole or scattered.
#include "src/transformer/tensor_rows.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kTile = 256;      // rows of a GPU product's largest tile: the last one costs as much as a full one
constexpr std::int64_t kMostPieces = 4;  // the last one's sum is not hidden; more pieces make smaller products

/// The rows of all ranks, with those that are no token's.
TensorView padded(const TensorRows& rows, const RowBuffer& all) {
  return all.rows(rows.divided() ? rows.own() * rows.tensor->size() : rows.tokens);
}

}  // namespace

std::int64_t TensorRows::own() const { return divided() ? own_rows(tokens, tensor->size()) : tokens; }
std::int64_t TensorRows::first() const { return divided() ? tensor->rank() * own() : 0; }

TensorView own_part(const TensorRows& rows, const RowBuffer& all) { return all.rows_from(rows.first(), rows.own()); }

TensorView join_rows(const TensorRows& rows, const RowBuffer& all) {
  if (rows.divided()) {
    const std::span<std::byte> mine = bytes_of(own_part(rows, all));
    const std::span<std::byte> whole = bytes_of(padded(rows, all));
    // Over a device the stream waits for it, the host does not.
    rows.tensor->start_all_gather(mine, whole, WireKind::tensor_activation)->wait();
  }
  return all.rows(rows.tokens);
}

TensorView rows_of_all(const TensorRows& rows, const TensorView& own) {
  if (!rows.divided()) {
    return own;
  }
  copy(own, own_part(rows, rows.all), rows.stream);
  return join_rows(rows, rows.all);
}

TensorView sum_rows(const TensorRows& rows, const RowBuffer& all) {
  if (!rows.divided()) {
    sum_over_ranks(rows, all.rows(rows.tokens));
    return all.rows(rows.tokens);
  }
  zero_padding(rows, all);
  rows.tensor->reduce_scatter_sum(padded(rows, all), WireKind::tensor_activation);
  return own_part(rows, all);
}

void zero_padding(const TensorRows& rows, const RowBuffer& all) {
  if (const std::int64_t padding = padded(rows, all).rows() - rows.tokens; padding > 0) {
    zero(all.rows_from(rows.tokens, padding), rows.stream);
  }
}

void sum_over_ranks(const TensorRows& rows, const TensorView& x) {
  if (rows.tensor != nullptr) {
    rows.tensor->all_reduce_sum(x, WireKind::tensor_activation);
  }
}

TensorView rows_of(const TensorView& x, const TokenRange& tokens) {
  const auto bytes = static_cast<std::size_t>(tokens.first * x.cols()) * size_of(x.dtype);
  return {static_cast<std::byte*>(x.data) + bytes, x.dtype, {tokens.count, x.cols()}};
}

ConstTensorView rows_of(const ConstTensorView& x, const TokenRange& tokens) {
  const auto bytes = static_cast<std::size_t>(tokens.first * x.cols()) * size_of(x.dtype);
  return {static_cast<const std::byte*>(x.data) + bytes, x.dtype, {tokens.count, x.cols()}};
}

std::vector<TokenRange> summed_pieces(const TensorRows& rows) {
  const bool beside = rows.tensor != nullptr && !rows.divided() && rows.tensor->sums_beside() && rows.piece > 0;
  const std::int64_t pieces = beside ? std::clamp<std::int64_t>(rows.tokens / rows.piece, 1, kMostPieces) : 1;
  std::vector<TokenRange> ranges;
  for (std::int64_t i = 0, first = 0; i < pieces; ++i) {
    const std::int64_t even = rows.tokens * (i + 1) / pieces;
    const std::int64_t end = i + 1 < pieces ? even - even % std::min(rows.piece, kTile) : rows.tokens;
    ranges.push_back({first, end - first});
    first = end;
  }
  return ranges;
}

void start_sum(const TensorRows& rows, const TensorView& x, PendingSums& sums) {
  if (rows.tensor != nullptr) {
    sums.push_back(rows.tensor->start_all_reduce_sum(x, WireKind::tensor_activation));
  }
}

void finish_sums(PendingSums& sums) {
  for (const auto& sum : sums) {
    sum->wait();
  }
  sums.clear();
}

bool has_residual(const TensorRows& rows) { return rows.tensor == nullptr || rows.tensor->rank() == 0; }

}  // namespace lora_dist
